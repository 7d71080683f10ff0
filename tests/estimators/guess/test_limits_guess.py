"""A guess that is the target makes a projection exact."""

import pytest
import torch

from estimators import GuessAndTarget, stream
from estimators.autodiff.calculus import value_and_grad
from tests.estimators.guess.setup_guess import UNITS, begun, close, convolutional


@pytest.mark.parametrize("unit", UNITS)
def test_a_guess_along_the_gradient_gives_the_gradient(unit):
    """Whatever the length of the guess: here twice and half as long in turn."""
    chain, params = convolutional()
    estimator = GuessAndTarget(guess="global", unit=unit, source="oracle")
    state = begun(estimator, chain, params)
    draw = estimator.estimate(chain, params, state, stream(0, "estimator"))
    close(draw.grads, value_and_grad(chain, params)[1])
    raw = GuessAndTarget(guess="global", unit="tensor", normalise="raw")
    draw = raw.estimate(chain, params, state, stream(0, "estimator"))
    for name, g in value_and_grad(chain, params)[1].items():
        if not name.startswith("head."):
            torch.testing.assert_close(draw.grads[name], g * g.square().sum())


LIMITS = {"GuessAndTarget": test_a_guess_along_the_gradient_gives_the_gradient}
