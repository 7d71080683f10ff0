"""The contract as checks, for the library's estimators and for those of a plug-in.

`check` runs every check on several settings of a class, on tiny networks in float64, and states
each verdict in a plain sentence.
"""

from estimators.conformance.cases import Case, cases, every_case, served
from estimators.conformance.every_check import ACROSS, CHECKS, MANY
from estimators.conformance.many_draws import many_draws
from estimators.conformance.settings import settings
from estimators.conformance.trial import Trial, draw, one_thread, trials
from estimators.conformance.verdicts import Verdict, check

__all__ = [
    "ACROSS",
    "CHECKS",
    "MANY",
    "Case",
    "Trial",
    "Verdict",
    "cases",
    "check",
    "draw",
    "every_case",
    "many_draws",
    "one_thread",
    "served",
    "settings",
    "trials",
]
