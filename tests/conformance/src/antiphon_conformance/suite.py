"""Owns the two suites: for any model at an address, and for a provider whose vendor is scripted.

What does not apply without a scripted vendor is not in the first suite, so nothing is ever skipped.
"""

from antiphon_conformance.cases.model import ModelConformance
from antiphon_conformance.cases.wire_faults import FaultCases
from antiphon_conformance.cases.wire_text import TextCases
from antiphon_conformance.cases.wire_time import TimeCases
from antiphon_conformance.cases.wire_tools import ToolCases


class WireConformance(TextCases, ToolCases, FaultCases, TimeCases, ModelConformance):  # type: ignore[misc]  # fixtures
    """Everything a provider of a scripted vendor must do."""


__all__ = ["ModelConformance", "WireConformance"]
