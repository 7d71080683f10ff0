"""Direct feedback alignment of Nøkland (2016)."""

from dataclasses import dataclass
from typing import Annotated

from estimators.core.bounds import Gt, Le
from estimators.feedback._direct import DrawnFeedback


@dataclass(frozen=True)
class DirectFeedbackAlignment(DrawnFeedback):
    """Sends the error at the output straight to every stage, through fixed random weights.

    δ_l = e B_l at the output of every stage but the last, with e = ∂L/∂output and B_l random and
    fixed. Within its stage each signal is pulled back exactly; the last stage is exact.

    Use it where stages should learn in parallel, without waiting for signals from later stages.
    Convolutional stages hardly learn from it.

    Biased; exact where B_l is the Jacobian ∂output/∂h_l. Costs one forward and one backward pass
    and stores the activations of one stage.

    Source: Nøkland (2016), arXiv:1609.01596.

    Example:
        >>> estimator = DirectFeedbackAlignment(scale=0.5)
        >>> measured = measure(net, loss, batch, [estimator])
    """

    scale: Annotated[float, Gt(0), Le(1000)] = 1.0
    """Size of the feedback: the entries of B_l are uniform in ±scale·√(6/units)."""
