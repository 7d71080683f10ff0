"""Are the draws of an estimator heavy-tailed, so that intervals from them are too narrow?"""

import math

from torch import Tensor

from estimators.statistics.tails import MIN_DRAWS, is_heavy

ROUNDING = 1e-24
"""Squared deviations below this share of the squared length of a draw are rounding."""


def tail_index(x: Tensor, largest: int) -> float:
    """Hill's (1975) estimate of α of a tail P(X > x) ~ x^−α, from the `largest` of numbers ≥ 0.

    1 over the mean of log x of the largest, less that of the next. 0 where the next is 0: fewer
    numbers than that are not 0. Infinite where they are all the same.

    Args:
        x: (K,), all finite.
        largest: less than K.
    """
    top = x.sort(descending=True).values[: largest + 1]
    if not top[-1] > 0:
        return 0.0 if top[0] > 0 else math.inf
    spread = (top[:-1] / top[-1]).log().mean().item()
    return 1 / spread if spread > 0 else math.inf


def heavy_tails(innovations: Tensor, squares: Tensor) -> tuple[bool | None, ...]:
    """Whether the deviations of the draws are heavy-tailed, for each of G groups; None where there
    are too few draws to tell.

    Args:
        innovations: squared deviations from the mean of the draws before, (K, G).
        squares: ‖ĝ_k‖², (K, G).
    """
    return tuple(
        _is_heavy(x[x.isfinite()], y[y.isfinite()])
        for x, y in zip(innovations.T, squares.T, strict=True)
    )


def _is_heavy(x: Tensor, squares: Tensor) -> bool | None:
    if len(squares) < MIN_DRAWS:
        return None
    x = x.where(x > ROUNDING * squares.mean(), 0.0)
    return is_heavy(tail_index(x, math.isqrt(len(x))), tail_index(x, len(x) // 4))
