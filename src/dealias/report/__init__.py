# SPDX-License-Identifier: Apache-2.0
"""Tables and pictures of finished runs, made from their files alone: no model and no training code is needed here."""
