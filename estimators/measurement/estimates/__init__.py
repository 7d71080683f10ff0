"""Measures from draws, with intervals, laws and verdicts."""
