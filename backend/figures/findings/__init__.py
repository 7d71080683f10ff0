"""What a reader of a run must know beside its charts: one list for page, export and notebook."""

from backend.figures.findings.finding import FAULT, Finding, ordered, serious
from backend.figures.findings.run import findings_of

__all__ = ["FAULT", "Finding", "findings_of", "ordered", "serious"]
