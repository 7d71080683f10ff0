"""Feedback that is what it stands for gives backprop."""

from collections import OrderedDict

import pytest
import torch
from torch import nn

from estimators import Chain, DirectFeedbackAlignment, Site, stream
from estimators.autodiff.calculus import value_and_grad
from estimators.conformance import cases
from estimators.feedback._direct import mean_jacobian
from estimators.feedback.brsf import BRSF
from estimators.feedback.dkp import DKP
from estimators.feedback.fdfa import FDFA
from estimators.feedback.feedback_alignment import FeedbackAlignment
from estimators.feedback.frsf import FRSF
from estimators.feedback.kolen_pollack import KolenPollack
from estimators.feedback.usf import USF
from estimators.feedback.weight_mirror import WeightMirror

CASES = cases()
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
STEP = torch.tensor(1)


def rng():
    return stream(0, "estimator")


def behind(params):
    """The weights behind the first layer."""
    return {n: p for n, p in params.items() if p.ndim > 1 and "1.0" not in n}


def with_weights(params, change):
    return {n: change(p) if p.ndim > 1 else p for n, p in params.items()}


@each_case
@pytest.mark.parametrize("method", [FeedbackAlignment(), WeightMirror()])
def test_feedback_through_the_transposed_weight_is_backprop(case, method):
    found = method.estimate(case.chain, case.params, (STEP, behind(case.params)), rng())
    loss, exact = value_and_grad(case.chain, case.params)
    torch.testing.assert_close(dict(found.grads), exact, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(found.loss, loss)


@each_case
def test_a_difference_of_zero_between_feedback_and_weight_is_backprop(case):
    kept = {n: torch.zeros_like(w) for n, w in behind(case.params).items()}
    found = KolenPollack().estimate(case.chain, case.params, (STEP, kept), rng())
    exact = value_and_grad(case.chain, case.params)[1]
    torch.testing.assert_close(dict(found.grads), exact, rtol=1e-12, atol=1e-14)


@each_case
def test_uniform_signs_are_exact_for_weights_of_that_magnitude(case):
    params = with_weights(case.params, lambda w: 0.3 * w.sign())
    kept = {n: torch.tensor(0.3, dtype=torch.float64) for n in behind(params)}
    found = USF().estimate(case.chain, params, (STEP, kept), rng())
    exact = value_and_grad(case.chain, params)[1]
    torch.testing.assert_close(dict(found.grads), exact, rtol=1e-12, atol=1e-14)


@each_case
def test_fixed_magnitudes_are_exact_where_they_are_the_weights(case):
    kept = {n: w.abs() for n, w in behind(case.params).items()}
    found = FRSF().estimate(case.chain, case.params, (STEP, kept), rng())
    exact = value_and_grad(case.chain, case.params)[1]
    torch.testing.assert_close(dict(found.grads), exact, rtol=1e-12, atol=1e-14)


@each_case
def test_batchwise_magnitudes_are_exact_on_average_for_weights_of_one_magnitude(case):
    size = 0.4
    params = with_weights(case.params, lambda w: size * (2 / torch.pi) ** 0.5 * w.sign())
    state = STEP, {n: torch.tensor(size, dtype=torch.float64) for n in behind(params)}
    exact, noise = flat(value_and_grad(case.chain, params)[1]), rng()
    draws = torch.stack(
        [flat(BRSF().estimate(case.chain, params, state, noise).grads) for _ in range(600)]
    )
    error = (draws.mean(0) - exact).abs()
    assert (error <= 5 * draws.std(0) / 600**0.5 + 1e-12).all()
    assert draws.std(0).max() > 0.01


def flat(grads):
    return torch.cat([g.reshape(-1) for g in grads.values()])


def linear_behind_the_stage():
    """A network whose Jacobian from the first stage's output to its own is one matrix."""
    torch.manual_seed(0)
    module = nn.Sequential(
        OrderedDict(
            hidden=nn.Sequential(nn.Linear(4, 6), Site(), nn.Tanh()),
            middle=nn.Linear(6, 5),
            output=nn.Linear(5, 3),
        )
    ).double()
    chain = Chain(module, torch.randn(7, 4).double(), torch.randint(3, (7,)))
    return chain, {n: p.detach() for n, p in module.named_parameters()}


def state_of(method, feedback):
    if not isinstance(method, FDFA):
        return STEP, feedback
    zeros = torch.zeros_like(feedback)
    return STEP, feedback, (zeros, zeros) if method.learning == "adam" else ()


DIRECT = [DirectFeedbackAlignment(), DKP(), FDFA(), FDFA(learning="adam")]


@pytest.mark.parametrize("method", DIRECT)
def test_direct_feedback_with_the_true_jacobian_is_backprop(method):
    chain, params = linear_behind_the_stage()
    w = params["output.weight"]
    state = state_of(method, torch.cat([w @ params["middle.weight"], w], 1))
    found = method.estimate(chain, params, state, rng())
    torch.testing.assert_close(dict(found.grads), value_and_grad(chain, params)[1])


@each_case
@pytest.mark.parametrize("method", DIRECT)
def test_direct_feedback_with_the_jacobian_of_its_one_example_is_backprop(method, case):
    chain = case.chain.on(case.chain.x[:1], case.chain.y[:1])
    state = state_of(method, mean_jacobian(chain, case.params))
    found = method.estimate(chain, case.params, state, rng())
    torch.testing.assert_close(dict(found.grads), value_and_grad(chain, case.params)[1])


@pytest.mark.parametrize("method", DIRECT)
def test_feedback_of_zero_leaves_the_last_stage_alone_with_its_exact_gradient(method):
    chain, params = linear_behind_the_stage()
    zeros = torch.zeros_like(mean_jacobian(chain, params))
    found = method.estimate(chain, params, state_of(method, zeros), rng()).grads
    exact = value_and_grad(chain, params)[1]
    for name, g in found.items():
        torch.testing.assert_close(g, exact[name] if "output" in name else torch.zeros_like(g))


LIMITS = {
    "FeedbackAlignment": test_feedback_through_the_transposed_weight_is_backprop,
    "WeightMirror": test_feedback_through_the_transposed_weight_is_backprop,
    "KolenPollack": test_a_difference_of_zero_between_feedback_and_weight_is_backprop,
    "USF": test_uniform_signs_are_exact_for_weights_of_that_magnitude,
    "FRSF": test_fixed_magnitudes_are_exact_where_they_are_the_weights,
    "BRSF": test_batchwise_magnitudes_are_exact_on_average_for_weights_of_one_magnitude,
    "DirectFeedbackAlignment": test_direct_feedback_with_the_true_jacobian_is_backprop,
    "FDFA": test_direct_feedback_with_the_true_jacobian_is_backprop,
    "DKP": test_direct_feedback_with_the_true_jacobian_is_backprop,
}
