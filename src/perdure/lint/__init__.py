"""Finds in the source of workflows what a replay may not repeat, before it runs. Nothing is imported or executed."""

from perdure.lint.check import Checked, check
from perdure.lint.finding import RULES, Finding, Rule, Severity

__all__ = ["Checked", "Finding", "RULES", "Rule", "Severity", "check"]
