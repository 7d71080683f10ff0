"""Feedback through a weight for each layer: its gradient, and how the feedback moves."""

from collections import OrderedDict

import pytest
import torch
from torch import nn

from estimators import Chain, Objective, UnsupportedError, require, stream
from estimators.autodiff.calculus import value_and_grad
from estimators.conformance import cases
from estimators.feedback._alignment import alignment
from estimators.feedback._transport import coverage_of_transport, transported, value_and_transported
from estimators.feedback.brsf import BRSF
from estimators.feedback.feedback_alignment import FeedbackAlignment
from estimators.feedback.frsf import FRSF
from estimators.feedback.kolen_pollack import KolenPollack
from estimators.feedback.usf import USF
from estimators.feedback.weight_mirror import WeightMirror

CASES = cases()
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
METHODS = [FeedbackAlignment(), USF(), BRSF(), FRSF(), WeightMirror(draws=2), KolenPollack()]
each_method = pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)


def rng(seed=0):
    return stream(seed, "estimator")


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=rng(seed))


class Explicit(nn.Module):
    """The definition: the value and the weight's gradient of W x, the input's gradient of B x."""

    def __init__(self, layer, feedback):
        super().__init__()
        self.layer, self.feedback = layer, feedback

    def forward(self, x):
        bare = {"weight": self.feedback}
        if self.layer.bias is not None:
            bare["bias"] = torch.zeros_like(self.layer.bias)
        sent = torch.func.functional_call(self.layer, bare, (x,))
        return self.layer(x.detach()) + sent - sent.detach()


LAYERS = {
    "linear": (nn.Linear(3, 5), (3,)),
    "linear without bias": (nn.Linear(3, 5, bias=False), (3,)),
    "linear on tokens": (nn.Linear(3, 5), (4, 3)),
    "conv1d": (nn.Conv1d(2, 3, 3, stride=2, padding=1), (2, 7)),
    "conv2d": (nn.Conv2d(2, 4, 3, stride=2, padding=1), (2, 6, 5)),
    "groups": (nn.Conv2d(4, 6, 3, groups=2, padding=(1, 0)), (4, 5, 5)),
    "depthwise, dilated": (nn.Conv2d(3, 3, 2, groups=3, dilation=2, bias=False), (3, 5, 5)),
    "same": (nn.Conv2d(2, 3, 2, padding="same"), (2, 4, 4)),
    "valid": (nn.Conv1d(2, 3, 2, padding="valid"), (2, 4)),
    "circular": (nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"), (2, 4, 4)),
    "reflect": (nn.Conv1d(2, 3, 3, padding=2, padding_mode="reflect"), (2, 5)),
}


class Scale(nn.Module):
    """A parameter before the layer, so that the signal to its input is seen."""

    def __init__(self, shape):
        super().__init__()
        self.factor = nn.Parameter(torch.ones(shape))

    def forward(self, x):
        return x * self.factor


@pytest.mark.filterwarnings("ignore:Using padding='same' with even")
@pytest.mark.parametrize("name", LAYERS)
def test_the_signal_takes_the_feedback_and_the_weight_s_gradient_does_not(name):
    layer, shape = LAYERS[name]
    layer = layer.double()
    feedback = normal(*layer.weight.shape, seed=1)
    x, before = normal(3, *shape), Scale(shape).double()

    def chain(m):
        module = nn.Sequential(before, nn.Tanh(), m)
        made = Chain(module, x, x, lambda o, y: o.flatten(1).square().sum(1))
        return made, {n: p.detach() for n, p in module.named_parameters()}

    own, params = chain(layer)
    loss, found = value_and_transported(own, params, {"2.weight": feedback})
    wanted_loss, wanted = value_and_grad(*chain(Explicit(layer, feedback)))
    torch.testing.assert_close(loss, wanted_loss)
    torch.testing.assert_close(
        found, {n.replace(".layer", ""): g for n, g in wanted.items()}, rtol=1e-12, atol=1e-12
    )
    assert not torch.allclose(found["0.factor"], value_and_grad(own, params)[1]["0.factor"])


class Residual(nn.Module):
    """A block with a pass of its own: its layers are found inside, its sum is exact."""

    def __init__(self):
        super().__init__()
        self.inner, self.norm = nn.Linear(4, 4), nn.LayerNorm(4)

    def forward(self, x):
        return x + self.inner(self.norm(x))


def with_a_block():
    torch.manual_seed(0)
    module = nn.Sequential(
        OrderedDict(first=nn.Linear(3, 4), block=Residual(), head=nn.Linear(4, 2))
    ).double()
    chain = Chain(module, normal(5, 3), torch.tensor([0, 1, 0, 1, 1]))
    return chain, {n: p.detach() for n, p in module.named_parameters()}


def test_layers_are_found_wherever_they_stand_but_not_the_first():
    chain, params = with_a_block()
    weights = transported(chain, params)
    assert list(weights) == ["block.inner.weight", "head.weight"]
    found = value_and_transported(chain, params, weights)[1]
    torch.testing.assert_close(found, value_and_grad(chain, params)[1])
    cover = coverage_of_transport(chain, params)
    assert {n for n, c in cover.items() if c == "exact"} == {"head.weight", "head.bias"}
    assert set(cover.values()) == {"exact", "estimated"}


@each_method
def test_the_module_is_left_as_it_was(method):
    chain, params = with_a_block()
    state = method.init(chain, params, rng())
    method.estimate(chain, params, state, rng())
    assert not any("forward" in m.__dict__ for m in chain.module.modules())
    with pytest.raises(ValueError, match="no parameter 'other'"):
        method.estimate(chain, {**params, "other": params["head.bias"]}, state, rng())
    assert not any("forward" in m.__dict__ for m in chain.module.modules())


@each_method
def test_a_network_of_one_layer_is_refused_in_words(method):
    chain = Chain(nn.Sequential(nn.Linear(3, 2)), torch.randn(4, 3), torch.zeros(4).long())
    with pytest.raises(UnsupportedError, match="nothing to send a signal through"):
        require(method, chain)


@each_method
@each_case
def test_advance_is_the_estimate_s_state(method, case):
    state = method.init(case.chain, case.params, rng())
    found = method.estimate(case.chain, case.params, state, rng(1)).state
    with torch.no_grad():
        wanted = method.advance(case.chain, case.params, state, rng(1))
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)
    assert int(wanted[0]) == int(state[0]) + 1


@each_method
def test_angle_and_norm_ratio_are_reported_now_and_then(method):
    case = CASES[0]
    state = method.init(case.chain, case.params, rng())
    reports = []
    for step in range(18):
        info = method.estimate(case.chain, case.params, state, rng()).info
        if info:
            reports.append(step)
            assert set(info) == {"feedback_angle", "feedback_norm_ratio"}
            assert set(info["feedback_angle"]) == set(state[1])
        state = method.advance(case.chain, case.params, state, rng())
    assert reports == [0, 16]


def test_angle_and_norm_ratio_are_those_of_geometry():
    w = torch.tensor([[3.0, 0.0], [0.0, 4.0]])
    b = {"same": 2 * w, "right": w.flip(0), "back": -w, "half": torch.tensor([[3.0, 4], [4, -3]])}
    found = alignment({**b, "zero": 0 * w}, dict.fromkeys([*b, "zero"], w))
    angles = {n: round(a.item(), 2) for n, a in found["feedback_angle"].items()}
    half = torch.tensor((9 - 12) / (5 * 50**0.5)).acos().rad2deg().item()
    assert angles == {"same": 0, "right": 90, "back": 180, "half": round(half, 2), "zero": 90}
    assert found["feedback_norm_ratio"]["same"] == 2
    assert found["feedback_norm_ratio"]["zero"] == 0


# --- signs ---

SIZE = 0.3 * (2 / 20) ** 0.5  # of a weight (12, 8) at scale 0.3


@pytest.mark.parametrize("method", [USF(scale=0.3), BRSF(scale=0.3), FRSF(scale=0.3)])
def test_signs_follow_the_weight_and_the_size_is_xavier_s(method):
    w = normal(12, 8)
    kept = method.begin(w, rng(1))
    for weight in (w, -w, normal(12, 8, seed=5)):
        b = method.feedback(weight, kept, rng(2))
        assert torch.equal(b.sign(), weight.sign())
        assert b.square().mean().sqrt() == pytest.approx(SIZE, rel=0.2)
    assert method.learn(w, kept, rng()) is kept


def test_uniform_magnitudes_are_one_number_and_zero_stays_zero():
    w = normal(12, 8)
    w[0, 0] = 0
    b = USF(scale=0.3).feedback(w, USF(scale=0.3).begin(w, rng()), rng())
    torch.testing.assert_close(b, SIZE * w.sign())


def test_fixed_magnitudes_stay_and_batchwise_ones_are_drawn_anew():
    w, draws = normal(12, 8), rng(3)
    for method, fixed in ((FRSF(), True), (BRSF(), False)):
        kept = method.begin(w, rng(1))
        first, second = (method.feedback(w, kept, draws) for _ in range(2))
        assert torch.equal(first, second) is fixed


def test_batchwise_magnitudes_are_of_a_normal():
    w, draws = normal(12, 8), rng(3)
    kept = BRSF(scale=0.3).begin(w, rng(1))
    sizes = torch.stack([BRSF(scale=0.3).feedback(w, kept, draws).abs() for _ in range(200)])
    assert sizes.mean() == pytest.approx(SIZE * (2 / torch.pi) ** 0.5, rel=0.03)
    assert sizes.square().mean().sqrt() == pytest.approx(SIZE, rel=0.03)


# --- feedback that learns ---


@pytest.mark.parametrize("shape", [(5, 7), (4, 2, 3, 3)])
def test_a_mirror_s_mean_step_is_the_weight_s(shape):
    w, b, draws = normal(*shape), normal(*shape, seed=1), rng(2)
    mirror = WeightMirror(rate=0.3, decay=0.2, draws=4)
    found = torch.stack([mirror.learn(w, b, draws) for _ in range(3000)])
    wanted = 0.8 * b + 0.3 * w
    assert ((found.mean(0) - wanted).abs() <= 5 * found.std(0) / 3000**0.5).all()
    fan_in = w[0].numel()
    law = 0.3**2 / 4 * (w.flatten(1).square().sum(1, keepdim=True) + w.flatten(1).square())
    seen = found.var(0).flatten(1)
    assert seen.mean() == pytest.approx(law.mean().item(), rel=0.1), fan_in


@pytest.mark.parametrize(("rate", "decay"), [(0.02, 0.02), (0.02, 0.01)])
def test_a_mirror_converges_to_a_multiple_of_the_weight(rate, decay):
    w, draws = normal(6, 5), rng(1)
    mirror = WeightMirror(rate=rate, decay=decay, draws=64)
    b = mirror.begin(w, draws)
    before = alignment({"w": b}, {"w": w})["feedback_angle"]["w"]
    for _ in range(700):
        b = mirror.learn(w, b, draws)
    after = alignment({"w": b}, {"w": w})
    assert before > 60
    assert after["feedback_angle"]["w"] < 5
    assert after["feedback_norm_ratio"]["w"] == pytest.approx(rate / decay, rel=0.05)


def test_kolen_pollack_is_the_papers_rule_where_the_optimiser_decays_the_weights():
    case, lr, decay = CASES[0], 0.1, 0.02
    method, params = KolenPollack(decay=decay), dict(case.params)
    state = method.init(case.chain, params, rng())
    b = {n: params[n] + gap for n, gap in state[1].items()}
    first = {n: gap.clone() for n, gap in state[1].items()}
    for step in range(40):
        found = method.estimate(case.chain, params, state, rng())
        wanted = value_and_transported(case.chain, params, b)[1]
        torch.testing.assert_close(dict(found.grads), wanted, rtol=1e-9, atol=1e-12)
        for n in b:  # both take the same outer product, and both decay
            b[n] = (1 - decay) * b[n] - lr * wanted[n]
        params = {
            n: p * (1 - decay if n in b else 1) - lr * found.grads[n] for n, p in params.items()
        }
        state = found.state
        for n, gap in first.items():
            torch.testing.assert_close(b[n] - params[n], (1 - decay) ** (step + 1) * gap)


def test_first_feedback_is_uniform_in_its_bounds():
    w = normal(8, 2, 3, 3)
    for scale in (1.0, 0.5):
        bound = scale * (6 / (18 + 72)) ** 0.5
        b = FeedbackAlignment(scale=scale).begin(w, rng())
        assert b.shape == w.shape
        assert 0.9 * bound < b.abs().max() <= bound
        torch.testing.assert_close(KolenPollack(scale=scale).begin(w, rng()) + w, b)
        torch.testing.assert_close(WeightMirror(scale=scale).begin(w, rng()), b)


@each_method
def test_a_loss_alone_is_refused_in_words(method):
    with pytest.raises(UnsupportedError, match="a Chain"):
        require(method, Objective(lambda p: p["w"].square().sum()), {"w": normal(3)})


@each_method
def test_a_forward_that_a_layer_is_given_later_stays_in_the_network(method):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    chain = Chain(module, normal(5, 3), torch.zeros(5).long())
    params = {n: p.detach() for n, p in module.named_parameters()}
    state = method.init(chain, params, rng())
    layer = module[2]
    layer.forward = lambda x: 3 * nn.functional.linear(x, layer.weight, layer.bias)
    estimate = method.estimate(chain, params, state, rng())
    torch.testing.assert_close(estimate.loss, chain(params))
