"""Cosine annealing, Loshchilov and Hutter (2017), arXiv:1608.03983, without restarts."""

from dataclasses import dataclass
from math import cos, pi

from backend.training.schedules.contract import WithWarmup


@dataclass(frozen=True)
class Cosine(WithWarmup):
    """Cosine: a linear rise over `warmup` steps, then half a cosine down to zero at the end."""

    def after_warmup(self, step: int, steps: int) -> float:
        """½ (1 + cos(π t)) with t from 0 to 1."""
        return 0.5 * (1 + cos(pi * min(1.0, step / steps)))
