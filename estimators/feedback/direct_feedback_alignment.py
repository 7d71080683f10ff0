"""Direct feedback alignment: Nøkland (2016), arXiv:1609.01596."""

from dataclasses import dataclass
from typing import Annotated

from estimators.core.bounds import Gt, Le
from estimators.feedback._direct import DrawnFeedback


@dataclass(frozen=True)
class DirectFeedbackAlignment(DrawnFeedback):
    """δ_l = e B_l at the output of every stage but the last, e = ∂L/∂output, B_l random, fixed.

    Within its stage each signal is pulled back exactly; the last stage is exact.
    """

    scale: Annotated[float, Gt(0), Le(1000)] = 1.0
    """Size of the feedback: the entries of B_l are uniform in ±scale·√(6/units)."""
