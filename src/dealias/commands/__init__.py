# SPDX-License-Identifier: Apache-2.0
"""Subcommands of the command line: their arguments, and what they run; importing one loads nothing heavy."""
