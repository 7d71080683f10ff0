"""Direct feedback that learns: DKP, and FDFA against its laws of bias and variance."""

import math
from collections import OrderedDict

import pytest
import torch
from torch import nn

from estimators import Chain, DirectFeedbackAlignment, Site, stream
from estimators.autodiff.calculus import value_and_grad
from estimators.conformance import cases
from estimators.feedback._direct import is_compared, mean_jacobian, uniform_feedback
from estimators.feedback.dkp import DKP
from estimators.feedback.fdfa import FDFA

CASES = cases()
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
METHODS = [DirectFeedbackAlignment(), DKP(), FDFA(), FDFA(learning="adam")]


def rng(seed=0):
    return stream(seed, "estimator")


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=rng(seed))


def chain_of(shape, count=4, **stages):
    torch.manual_seed(0)
    module = nn.Sequential(OrderedDict(stages)).double()
    chain = Chain(module, normal(count, *shape), torch.zeros(count).long())
    return chain, {n: p.detach() for n, p in module.named_parameters()}


def linear(count):
    """Two boundaries, of 4 and 3 units, and the two Jacobians side by side, (2, 7)."""
    chain, params = chain_of(
        (3,),
        count,
        hidden=nn.Sequential(nn.Linear(3, 4), Site(), nn.Tanh()),
        middle=nn.Linear(4, 3),
        output=nn.Linear(3, 2),
    )
    w = params["output.weight"]
    return chain, params, torch.cat([w @ params["middle.weight"], w], 1)


# --- what all share ---


@pytest.mark.parametrize("method", METHODS)
@each_case
def test_advance_is_the_estimate_s_state(method, case):
    state = method.init(case.chain, case.params, rng())
    if type(method) is not DirectFeedbackAlignment:  # its feedback is fixed
        found = method.estimate(case.chain, case.params, state, rng(1)).state
        with torch.no_grad():
            wanted = method.advance(case.chain, case.params, state, rng(1))
        torch.testing.assert_close(found, wanted, rtol=0, atol=0)
        assert not torch.equal(found[1], state[1])
        assert int(found[0]) == 1


def test_feedback_is_uniform_in_its_bounds():
    chain, params, _ = linear(3)
    for scale in (1.0, 0.5):
        b, c = uniform_feedback(chain, params, scale, rng()).split([4, 3], 1)
        assert 0.8 * scale * (6 / 4) ** 0.5 < b.abs().max() <= scale * (6 / 4) ** 0.5
        assert 0.8 * scale * (6 / 3) ** 0.5 < c.abs().max() <= scale * (6 / 3) ** 0.5


@each_case
def test_the_mean_jacobian_is_autograd_s(case):
    places = []

    def keep(_, h):
        places.append(h.detach())
        return h

    case.chain.forward(case.params, at_stage=keep)

    def output(*moved):
        return case.chain.forward(case.params, at_stage=lambda i, h: h + moved[i])

    zeros = tuple(map(torch.zeros_like, places))
    found = torch.autograd.functional.jacobian(output, zeros)
    wanted = [j.sum(0).flatten(2).mean(1) if j.ndim > 4 else j.sum(0).mean(1) for j in found]
    torch.testing.assert_close(mean_jacobian(case.chain, case.params), torch.cat(wanted, 1))


@pytest.mark.parametrize("method", METHODS)
def test_the_feedback_is_compared_with_the_jacobian_at_the_period_s_last_step(method):
    chain, params, jacobian = linear(3)
    _, *rest = method.init(chain, params, rng())
    for step, reported in ((0, False), (30, False), (31, True), (32, False), (63, True)):
        state = (torch.tensor(step), 2 * jacobian, *rest[1:])
        info = method.estimate(chain, params, state, rng()).info
        assert bool(info) is reported
    state = (torch.tensor(31), 2 * jacobian, *rest[1:])
    info = method.estimate(chain, params, state, rng()).info
    for name in ("hidden", "middle"):
        torch.testing.assert_close(info["feedback_norm_ratio"][name].item(), 2.0)
        assert info["feedback_angle"][name] < 1e-3


# --- DKP ---


def test_direct_kolen_pollack_moves_the_last_feedback_as_the_output_s_weight():
    chain, params, _ = linear(5)
    method = DKP(rate=0.3, decay=0.2)
    state = method.init(chain, params, rng())
    gap = state[1][:, 4:] - params["output.weight"]
    for step in range(20):
        found = method.estimate(chain, params, state, rng())
        decays = {"output.weight": 0.3 * 0.2}
        params = {n: (1 - decays.get(n, 0)) * p - 0.3 * found.grads[n] for n, p in params.items()}
        state = found.state
        wanted = (1 - 0.06) ** (step + 1) * gap
        torch.testing.assert_close(state[1][:, 4:] - params["output.weight"], wanted)


# --- FDFA ---


@each_case
@pytest.mark.parametrize("noise", ["normal", "rademacher"])
def test_a_draw_is_the_mean_jacobian_on_average(case, noise):
    method, draws = FDFA(rate=1.0, noise=noise), rng(1)
    state = method.init(case.chain, case.params, draws)
    assert torch.equal(state[1], torch.zeros_like(state[1]))
    found = torch.stack(
        [method.advance(case.chain, case.params, state, draws)[1] for _ in range(1500)]
    )
    jacobian = mean_jacobian(case.chain, case.params)
    error = (found.mean(0) - jacobian).abs() / (found.std(0) / 1500**0.5)
    assert error.max() <= 5
    along = (found * jacobian).sum((1, 2)) / jacobian.square().sum()
    assert (along.mean() - 1).abs() <= 5 * along.std() / 1500**0.5
    assert along.std() < 4


def variance_of_a_draw(jacobian, sign):
    """Var(d_i p_j) = ‖row i of all Jacobians‖² ± J_ij², the derived law."""
    return jacobian.square().sum(1, keepdim=True) + sign * jacobian.square()


@pytest.mark.parametrize(
    ("count", "alpha", "noise", "sign"),
    [
        (1, 1.0, "normal", 1),
        (1, 0.1, "normal", 1),
        (8, 0.1, "normal", 1),
        (8, 0.4, "normal", 1),
        (8, 0.4, "rademacher", -1),
    ],
)
def test_the_variance_of_the_feedback_falls_as_alpha_over_two_minus_alpha_n(
    count, alpha, noise, sign
):
    chain, params, jacobian = linear(count)
    method, draws = FDFA(rate=alpha, noise=noise), rng(7)
    state = torch.tensor(0), jacobian, ()
    seen = []
    for _ in range(1500):
        state = method.advance(chain, params, state, draws)
        seen.append(state[1])
    found = (torch.stack(seen[60:]) - jacobian).square().mean(0)
    wanted = alpha / (2 - alpha) / count * variance_of_a_draw(jacobian, sign)
    assert found.sum() == pytest.approx(wanted.sum().item(), rel=0.15)
    torch.testing.assert_close(found, wanted, rtol=0.5, atol=0)


def test_what_lags_is_the_average():
    """With J drifting by r a step, E B = J − r (1 − α)/α: bias falls with α, noise grows."""
    chain, params, _ = linear(4)
    drift = 0.01 * normal(2, 3, seed=5)
    lags, spreads = [], []
    for alpha in (0.05, 0.2, 0.8):
        found = ends_of_a_drift(chain, params, drift, alpha)
        law = -drift * (1 - alpha) / alpha
        se = found.std(0) / len(found) ** 0.5
        assert ((found.mean(0) - law).abs() <= 5 * se).all()
        lags.append(law.square().sum())
        spreads.append(found.var(0).sum())
    assert lags[0] > lags[1] > lags[2]
    assert spreads[0] < spreads[1] < spreads[2]


def ends_of_a_drift(chain, params, drift, alpha, runs=25, steps=120):
    """(runs, 2, 3): B − J of the last boundary, whose Jacobian is the output's weight."""
    method, ends, w = FDFA(rate=alpha), [], params["output.weight"]
    for run in range(runs):
        draws, state = rng(run), method.init(chain, params, rng())
        for t in range(steps):
            moved = {**params, "output.weight": w + t * drift}
            state = method.advance(chain, moved, state, draws)
        start = (1 - alpha) ** steps * w  # what is left of beginning at zero
        ends.append(state[1][:, 4:] - (w + (steps - 1) * drift) + start)
    return torch.stack(ends)


def test_from_zero_the_feedback_approaches_the_jacobian_geometrically():
    chain, params, jacobian = linear(6)
    method, ends = FDFA(rate=0.1), []
    for run in range(150):
        state, draws = method.init(chain, params, rng()), rng(run)
        for _ in range(8):
            state = method.advance(chain, params, state, draws)
        ends.append(state[1])
    found = torch.stack(ends)
    error = (found.mean(0) - (1 - 0.9**8) * jacobian).abs()
    assert (error <= 5 * found.std(0) / 150**0.5).all()


@each_case
@pytest.mark.parametrize("noise", ["normal", "rademacher"])
@pytest.mark.parametrize(("alpha", "steps"), [(1.0, 1), (0.3, 4)])
def test_the_feedback_is_its_law_at_every_boundary(case, noise, alpha, steps):
    """Examples with Jacobians of their own, and a beginning that is not at rest."""
    method, draws, runs = FDFA(rate=alpha, noise=noise), rng(1), 300
    zero = method.init(case.chain, case.params, rng())
    start = normal(*zero[1].shape, seed=2)
    ends = []
    for _ in range(runs):
        state = (zero[0], start, zero[2])
        for _ in range(steps):
            state = method.advance(case.chain, case.params, state, draws)
        ends.append(state[1])
    law = method.feedback_law(case.chain, case.params, start, steps)
    off = torch.stack(ends) - law.mean
    assert (off.mean(0).abs() <= 5 * off.std(0) / runs**0.5).all()
    sizes = [math.prod(place.shape) for place in case.chain.boundaries]
    for piece, said in zip(off.split(sizes, 2), law.variance, strict=True):
        squares = piece.square().sum((1, 2))
        assert (squares.mean() - said).abs() <= 5 * squares.std() / runs**0.5
        assert squares.std() / runs**0.5 < 0.15 * said, "too few draws to tell"


def test_the_angle_at_rest_is_what_a_resting_network_shows():
    """With many units, among whom noise is hardly ever along the Jacobian itself."""
    stages = {"hidden": nn.Sequential(nn.Linear(3, 60), nn.Tanh()), "output": nn.Linear(60, 2)}
    chain, params = chain_of((3,), 6, **stages)
    method, seen = FDFA(rate=0.2), []
    for run in range(10):
        state, draws = method.init(chain, params, rng()), rng(run)
        for _ in range(31):
            state = method.advance(chain, params, state, draws)
        seen.append(method.estimate(chain, params, state, draws).info)
    for name, said in seen[0]["feedback_angle_at_rest"].items():
        angles = torch.stack([info["feedback_angle"][name] for info in seen])
        assert angles.mean() == pytest.approx(said.item(), rel=0.05)


def test_feedback_that_adam_learns_has_no_law():
    chain, params, jacobian = linear(2)
    with pytest.raises(ValueError, match="adam learns"):
        FDFA(learning="adam").feedback_law(chain, params, jacobian, 1)


def test_adam_steps_on_the_residual():
    chain, params, jacobian = linear(6)
    adam, average = FDFA(learning="adam", lr=0.01), FDFA(rate=1.0)
    state = adam.init(chain, params, rng())
    b = nn.Parameter(state[1].clone())
    torchs = torch.optim.Adam([b], lr=0.01)
    mine, its, once = rng(1), rng(1), average.init(chain, params, rng())
    for _ in range(800):
        state = adam.advance(chain, params, state, mine)
        b.grad = b.detach() - average.advance(chain, params, once, its)[1]
        torchs.step()
    torch.testing.assert_close(state[1], b.detach())
    assert (state[1] - jacobian).norm() / jacobian.norm() < 0.35


@pytest.mark.parametrize("learning", ["average", "adam"])
def test_the_estimate_uses_the_feedback_as_it_was(learning):
    chain, params, _ = linear(3)
    method = FDFA(learning=learning, rate=0.5)
    state = method.init(chain, params, rng())
    first = method.estimate(chain, params, state, rng(1))
    assert not first.grads["hidden.0.weight"].any()
    exact = value_and_grad(chain, params)[1]
    torch.testing.assert_close(first.grads["output.weight"], exact["output.weight"])
    assert method.estimate(chain, params, first.state, rng(1)).grads["hidden.0.weight"].any()


def test_coverage_tells_the_last_stage_from_the_rest():
    chain, params, _ = linear(3)
    for method in METHODS:
        cover = method.coverage(chain, params)
        assert {n for n, c in cover.items() if c == "exact"} == {"output.weight", "output.bias"}


def test_a_look_is_rare_where_outputs_are_many():
    output = torch.zeros(2, 100)
    assert [s for s in range(1700) if is_compared(torch.tensor(s), output)] == [1599]


@pytest.mark.parametrize("method", [DirectFeedbackAlignment, DKP])
def test_the_scale_is_that_of_the_first_feedback(method):
    chain, params, _ = linear(3)
    (_, one), (_, three) = (method(scale=s).init(chain, params, rng()) for s in (1.0, 3.0))
    torch.testing.assert_close(three, 3 * one)


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_a_segment_may_begin_with_a_group_norm_in_channels_last(method):
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.Flatten(), nn.Linear(100, 3)
    ).double()  # fmt: skip
    params = {n: p.detach() for n, p in module.named_parameters()}
    x, y = normal(4, 2, 5, 5), torch.zeros(4).long()
    grads = []
    for layout in (torch.contiguous_format, torch.channels_last):
        chain = Chain(module, x.contiguous(memory_format=layout), y)
        state = method.init(chain, params, rng())
        grads.append(method.estimate(chain, params, state, rng()).grads)
    torch.testing.assert_close(grads[1], grads[0])
