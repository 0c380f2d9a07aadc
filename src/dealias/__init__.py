# SPDX-License-Identifier: Apache-2.0
"""dealias: dense prediction that treats sampling as signal processing."""

__version__ = "0.1.0"
