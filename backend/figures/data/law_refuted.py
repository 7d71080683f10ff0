"""Laws that a measure refutes although its own standard error, which grows with it, would not.

Both tests ask how far a measure may go if the law holds, and bound that without a word about the
tails of the draws: by Markov, a mean of what is never negative is r times what it should be with
a probability of at most 1 / r.
"""

from typing import Any

import numpy as np

from backend.figures.data.source import Floats
from backend.figures.data.student import half_width

SQUARES = ("relative_variance", "relative_mse")
"""Measures that are means of what is never negative."""
TWICE = 2.0
"""Up to this ratio of measure and law, standard errors alone decide."""
ERRORS = 5.0
FAR = float(np.exp(ERRORS))
"""Times the law that one dominating draw, whose mean has a standard error as large as itself,
must reach: a chance of at most 0.7 %."""

BELOW = 6.0
"""Standard errors on the log scale, as Student's t has them, that it may be below."""


def above(value: Any, error: Any, law: Any) -> Any:
    """Where a mean of squares is too large: 5 standard errors on the log scale, and twice.

    Where its standard error is not known, it is taken to be as large as the mean itself.
    """
    with np.errstate(all="ignore"):
        away, noise = np.log(np.divide(value, law)), np.divide(error, value)
        noise = np.where(np.isfinite(noise), noise, 1.0)
        return (law > 0) & (value > TWICE * law) & (away > ERRORS * noise)


def below(value: Any, error: Any, law: Any, draws: int) -> Any:
    """Where a mean of squares is too small on the log scale.

    The rare large draws that it lacks are lacking in its error too: hence further than above.
    """
    with np.errstate(all="ignore"):
        away, noise = np.log(np.divide(law, value)), np.divide(error, value)
        return (value < law) & (away > half_width(draws, BELOW) * noise)


def astray(bias: Floats, spread: Floats, of_bias: Floats, of_spread: Floats, draws: int) -> Any:
    """Where ‖ḡ − g‖² is too large for the law's own variance: FAR times what it expects.

    `bias` and `spread` are measured relative to ‖g‖², `of_bias` and `of_spread` the law's.
    """
    expected = of_spread / draws + of_bias
    with np.errstate(all="ignore"):
        return (expected > 0) & (bias + spread / draws > FAR * expected)
