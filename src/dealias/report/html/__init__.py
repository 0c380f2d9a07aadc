# SPDX-License-Identifier: Apache-2.0
"""The report that people look at: one HTML file, made from the directories of finished runs alone."""

from .page import write_report

__all__ = ["write_report"]
