"""A plug-in of its own state, and the number of threads."""

import os

import pytest
import torch

PLUGIN = '''
"""An estimator whose state decides its next gradient, for tests."""
from dataclasses import dataclass
import torch
from estimators.autodiff.calculus import value_and_grad
from estimators.core.contract import Claim, Cost, Estimate, Estimator


@dataclass(frozen=True)
class Drifting(Estimator):
    """Backprop, pushed along a random walk that lives in the state."""

    breaks_at: int = -1
    """Step at which the gradient becomes NaN; -1: never."""
    channels: int = 1
    """How many scalars it reports."""

    def claim(self, objective, /):
        return Claim.BIASED

    def cost(self, objective, /):
        return Cost(forwards=1, vjps=1)

    def init(self, objective, params, rng, /):
        return {"count": torch.zeros((), dtype=torch.int64), "walk": (torch.zeros(()),)}

    def advance(self, objective, params, state, rng, /):
        walk = state["walk"][0] + torch.randn((), generator=rng)
        return {"count": state["count"] + 1, "walk": (walk,)}

    def estimate(self, objective, params, state, rng, /):
        loss, grads = value_and_grad(objective, params)
        push = 1e-3 * state["walk"][0]
        push = torch.where(state["count"] == self.breaks_at, torch.nan, push)
        grads = {n: g + push for n, g in grads.items()}
        info = {f"walk{i}": state["walk"][0] + i for i in range(self.channels)}
        state = self.advance(objective, params, state, rng)
        return Estimate(grads, loss, state, info)
'''


@pytest.fixture
def plugins(tmp_path):
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "drifting.py").write_text(PLUGIN)
    return [folder]


@pytest.fixture(autouse=True, scope="module")
def threads():
    """One thread, or as many as the environment says: no test may depend on the number."""
    before = torch.get_num_threads()
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    yield
    torch.set_num_threads(before)
