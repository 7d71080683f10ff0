"""The average of forward gradients over the steps."""

import torch

from estimators import Claim, ForwardGradient, stream
from estimators.autodiff.calculus import value_and_grad
from estimators.conformance import cases
from estimators.perturbation.averaged_projected import AveragedProjected

CASE = cases()[0]
PARAMS = CASE.params
MOVED = {name: p + 0.1 for name, p in PARAMS.items()}


def flat(grads):
    return torch.cat([g.reshape(-1) for g in grads.values()])


def run(estimator, points):
    """The estimates along `points`, each with its own seed, and those of the forward gradient."""
    state = estimator.init(CASE.chain, PARAMS, stream(0, "init"))
    averaged, newest = [], []
    plain = ForwardGradient(tangents=estimator.tangents, noise=estimator.noise)
    for step, params in enumerate(points):
        found = estimator.estimate(CASE.chain, params, state, stream(0, "estimator", step))
        alone = plain.estimate(CASE.chain, params, None, stream(0, "estimator", step))
        state = found.state
        averaged.append(flat(found.grads))
        newest.append(flat(alone.grads))
        assert torch.equal(found.loss, alone.loss)
    return torch.stack(averaged), torch.stack(newest)


def test_with_all_the_weight_on_the_newest_it_is_the_forward_gradient():
    estimator = AveragedProjected(rate=1, tangents=2)
    averaged, newest = run(estimator, [PARAMS, MOVED, PARAMS])
    torch.testing.assert_close(averaged, newest)
    assert estimator.claim(CASE.chain) is Claim.UNBIASED
    assert AveragedProjected().claim(CASE.chain) is Claim.BIASED


def test_a_falling_weight_gives_the_plain_mean_of_all_steps():
    averaged, newest = run(AveragedProjected(rate=1, power=1), [PARAMS, MOVED, PARAMS, MOVED])
    for k in range(4):
        torch.testing.assert_close(averaged[k], newest[: k + 1].mean(0))


def test_the_weights_of_past_steps_are_as_said():
    averaged, newest = run(AveragedProjected(rate=0.5, power=0.5), [PARAMS, MOVED, PARAMS])
    second = averaged[0] + 0.5 / 2**0.5 * (newest[1] - averaged[0])
    torch.testing.assert_close(averaged[0], newest[0])
    torch.testing.assert_close(averaged[1], second)
    torch.testing.assert_close(averaged[2], second + 0.5 / 3**0.5 * (newest[2] - second))


def test_where_the_weights_rest_the_mean_of_the_steps_tends_to_the_gradient():
    """Of k steps with signs: E‖ĝ_k − g‖² = (d − 1)/k ‖g‖²."""
    exact = flat(value_and_grad(CASE.chain, PARAMS)[1])
    averaged, _ = run(AveragedProjected(rate=1, power=1), [PARAMS] * 400)
    for k in (100, 400):
        error = (averaged[k - 1] - exact).square().sum() / exact.square().sum()
        assert 0.6 < error * k / (len(exact) - 1) < 1.5


def test_at_rest_the_variance_is_smaller_by_the_rate():
    """γ/(2 − γ) of one draw's, once the first steps are forgotten; and no bias."""
    exact = flat(value_and_grad(CASE.chain, PARAMS)[1])
    averaged, newest = run(AveragedProjected(rate=0.5), [PARAMS] * 600)
    ratio = (averaged[10:] - exact).square().sum() / (newest[10:] - exact).square().sum()
    assert 0.85 < ratio * 1.5 / 0.5 < 1.15
    along = averaged[10:] @ exact / exact.square().sum()
    # The steps are correlated: as many as a third of them would be independent.
    assert abs(along.mean() - 1) < 5 * along.std() / (600 / 3) ** 0.5


def test_a_shadow_keeps_its_average_going():
    estimator = AveragedProjected()
    state = estimator.init(CASE.chain, PARAMS, stream(0, "init"))
    found = estimator.estimate(CASE.chain, PARAMS, state, stream(0, "estimator"))
    alone = estimator.advance(CASE.chain, PARAMS, state, stream(0, "estimator"))
    assert alone["step"] == found.state["step"] == 1
    assert state["step"] == 0
    assert all(torch.equal(alone["mean"][n], g) for n, g in found.grads.items())


LIMITS = {
    "AveragedProjected": test_where_the_weights_rest_the_mean_of_the_steps_tends_to_the_gradient
}
