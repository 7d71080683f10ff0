"""What learns, what never moves, what is reported, and what is refused."""

import copy
from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from estimators import (
    FDFA,
    Backprop,
    Chain,
    GuessAndTarget,
    Momentum,
    Stale,
    WeightMirror,
    stream,
)
from estimators.autodiff.calculus import value_and_grad
from estimators.core.contract import Estimate, UnsupportedError
from estimators.core.optimizers import adam
from estimators.feedback.direct_feedback_alignment import DirectFeedbackAlignment
from estimators.guess import _refusals, _slopes
from estimators.guess._alignment import compare
from estimators.guess.guess_and_target import PERIOD
from estimators.perturbation.forward_gradient import ForwardGradient
from estimators.requirements import require
from tests.estimators.guess.setup_guess import UNITS, begun, blocks_of, close, convolutional


def test_fixed_auxiliary_networks_never_move_and_redrawn_ones_differ():
    chain, params = convolutional()
    fixed = GuessAndTarget(guess="fixed_ntk")
    state = begun(fixed, chain, params)
    first = {n: w.clone() for n, w in state["fixed"].items()}
    for step in range(3):
        state = fixed.estimate(chain, params, state, stream(0, "estimator", step)).state
    assert all(torch.equal(w, first[n]) for n, w in state["fixed"].items())
    assert state["auxiliary"] == {}

    redrawn = GuessAndTarget(guess="ntk", target_loss="local")
    state = begun(redrawn, chain, params)
    a = redrawn.estimate(chain, params, state, stream(0, "estimator", 0))
    b = redrawn.estimate(chain, params, state, stream(0, "estimator", 1))
    assert not torch.equal(a.grads["stem.0.weight"], b.grads["stem.0.weight"])
    # Those of the target learn from its loss alone, whatever the guess.
    close(a.state["auxiliary"], b.state["auxiliary"], 0)
    alone = GuessAndTarget(guess="normal", target_loss="local")
    c = alone.estimate(chain, params, state, stream(0, "estimator", 2))
    close(a.state["auxiliary"], c.state["auxiliary"], 0)


def test_auxiliary_networks_take_a_step_of_adam_on_their_own_loss():
    chain, params = convolutional()
    estimator = GuessAndTarget(guess="local", auxiliary_rate=0.01)
    state = begun(estimator, chain, params)
    after = estimator.estimate(chain, params, state, stream(0, "estimator")).state
    step = estimator._step(chain, params, state, record=True)
    grads = {}
    for b, name in enumerate(step.names):
        auxiliary = step._auxiliaries[b]
        own = {
            n: w.detach().requires_grad_() for n, w in auxiliary.names(state["auxiliary"]).items()
        }
        loss = auxiliary.chain.on(step.run.outputs[b], chain.y)(own)
        grads |= dict(zip(own, torch.autograd.grad(loss, list(own.values())), strict=True))
        assert name in auxiliary.chain.stages[0]
    expected, _ = adam(state["auxiliary"], grads, state["moments"], 0.01)
    close(after["auxiliary"], expected, 1e-12)
    losses = [
        estimator.estimate(chain, params, s, stream(0, "estimator")).info["auxiliary_loss"]
        for s in (state, after)
    ]
    assert all(losses[1][name] < losses[0][name] for name in losses[0])


@pytest.mark.parametrize("unit", ["output_and_example", "tensor", "tensor_and_example"])
@pytest.mark.parametrize("source", ["honest", "oracle"])
def test_target_and_guess_are_compared_every_period(unit, source):
    chain, params = convolutional()
    estimator = GuessAndTarget(guess="local", unit=unit, source=source)
    state = begun(estimator, chain, params)
    draw = estimator.estimate(chain, params, state, stream(0, "estimator"))
    assert "guess_cosine" not in draw.info
    state = {**state, "step": torch.tensor(PERIOD - 1)}
    draw = estimator.estimate(chain, params, state, stream(0, "estimator"))
    info = draw.info
    blocks = {"stem", "residual", "dense"}
    for measure in ("guess_cosine", "guess_difference", "guess_norm_ratio", "projection_cosine",
                    "ascends", "auxiliary_loss", "auxiliary_accuracy"):  # fmt: skip
        assert {*info[measure]} == blocks, measure
    units = {n for n in params if not n.startswith("head.")} if "tensor" in unit else blocks
    assert {*info["zero_guesses"]} == units
    assert ("span_cosine" in info) == (unit != "tensor")
    step = estimator._step(chain, params, state, record=True)
    step.guess_all(estimator, chain, params, state, stream(0, "estimator"))
    for b, name in enumerate(step.names):
        t, s = (torch.cat([v.sum(0).flatten() if unit == "tensor_and_example" else v.flatten()
                           for v in side[b].values()])
                for side in ([step.exact_target(i) for i in range(3)], step.guesses))  # fmt: skip
        cos = (t @ s / (t.norm() * s.norm())).item()
        assert float(info["guess_cosine"][name]) == pytest.approx(cos, abs=1e-12)
        difference = ((t - s).norm() / t.norm()).item()
        assert float(info["guess_difference"][name]) == pytest.approx(difference, rel=1e-10)


@pytest.mark.parametrize("summed", [True, False])
def test_alignment_by_example_and_on_the_span_of_the_guesses(summed):
    rng = torch.Generator().manual_seed(0)
    t = {"": torch.randn(4, 3, 5, generator=rng, dtype=torch.float64)}
    s = {"": torch.randn(4, 3, 5, generator=rng, dtype=torch.float64)}
    s[""][3] = s[""][2]  # fewer directions than examples
    seen = compare(t, s, by_example=True, summed=summed)
    rows, across = t[""].flatten(1), s[""].flatten(1)
    q, _ = torch.linalg.qr(across[:3].T)
    within = rows @ q @ q.T
    whole = rows.sum(0) if summed else rows.flatten()
    inside = within.sum(0) if summed else within.flatten()
    assert float(seen["span_cosine"]) == pytest.approx(
        float(inside.norm() / whole.norm()), rel=1e-9
    )
    each = (within.norm(dim=1) / rows.norm(dim=1)).mean()
    assert float(seen["span_cosine_by_example"]) == pytest.approx(float(each), rel=1e-9)
    cosines = torch.nn.functional.cosine_similarity(rows, across)
    assert float(seen["guess_cosine_by_example"]) == pytest.approx(float(cosines.mean()), rel=1e-12)
    assert float(seen["projection_cosine_by_example"]) == pytest.approx(
        float(cosines.abs().mean()), rel=1e-12
    )


def test_ascent_is_counted_for_each_block():
    """With a tensor and example, random guesses ascend now and then; the report says when."""
    chain, params = convolutional()
    estimator = GuessAndTarget(
        guess="normal", unit="tensor_and_example", normalise="projected", source="oracle"
    )
    state = {**begun(estimator, chain, params), "step": torch.tensor(PERIOD - 1)}
    exact, seen = value_and_grad(chain, params)[1], set()
    for seed in range(60):
        draw = estimator.estimate(chain, params, state, stream(seed, "estimator"))
        for name, names in zip(("stem", "residual", "dense"), blocks_of(params), strict=True):
            slope = sum(float((draw.grads[n] * exact[n]).sum()) for n in names)
            assert float(draw.info["ascends"][name]) == (slope < 0)
            seen.add(slope < 0)
    assert seen == {True, False}


class Tiny(Backprop):
    """The gradient, in a length whose square is next to nothing."""

    def estimate(self, objective, params, state, rng, /):
        draw = super().estimate(objective, params, state, rng)
        return Estimate({n: 1e-30 * g for n, g in draw.grads.items()}, draw.loss)


def test_the_length_of_a_guess_does_not_matter_however_small():
    chain, params = convolutional()
    estimator = GuessAndTarget(guess="estimator", guesser=Tiny(), unit="tensor")
    draw = estimator.estimate(
        chain, params, begun(estimator, chain, params), stream(0, "estimator")
    )
    close(draw.grads, value_and_grad(chain, params)[1])


def test_the_share_of_the_auxiliary_networks_is_reported():
    """Of the dense layer alone: 144·5 products and 5·3 in the head; 2×2×4·3 twice and 5·3."""
    chain, params = convolutional()
    estimator = GuessAndTarget(guess="local")
    state = {**begun(estimator, chain, params), "step": torch.tensor(PERIOD - 1)}
    draw = estimator.estimate(chain, params, state, stream(0, "estimator"))
    convolutions = 36 * 9 * (4 * 1 + 4 * 4)
    share = (2 * 16 * 3 + 5 * 3) / (convolutions + 144 * 5 + 5 * 3)
    assert float(draw.info["auxiliary_share"]) == pytest.approx(share, rel=1e-6)


class SilentForDense(ForwardGradient):
    """Has no gradient for one block."""

    def estimate(self, objective, params, state, rng, /):
        draw = super().estimate(objective, params, state, rng)
        silent = {n: torch.zeros_like(g) if n.startswith("dense.") else g
                  for n, g in draw.grads.items()}  # fmt: skip
        return Estimate(silent, draw.loss)


def test_a_guess_of_zero_contributes_zero_and_is_counted():
    chain, params = convolutional()
    estimator = GuessAndTarget(guess="estimator", guesser=SilentForDense(), unit="tensor")
    state = {**begun(estimator, chain, params), "step": torch.tensor(PERIOD - 1)}
    draw = estimator.estimate(chain, params, state, stream(0, "estimator"))
    zeros = {n for n, z in draw.info["zero_guesses"].items() if int(z)}
    assert zeros == {"dense.1.weight", "dense.1.bias"}
    assert set(draw.info["zero_guesses"]) == {n for n in params if not n.startswith("head.")}
    assert not draw.grads["dense.1.weight"].any()
    assert all(g.isfinite().all() for g in draw.grads.values())


class BrokenForDense(ForwardGradient):
    """Has an infinite gradient for one tensor."""

    def estimate(self, objective, params, state, rng, /):
        draw = super().estimate(objective, params, state, rng)
        broken = torch.full_like(draw.grads["dense.1.bias"], torch.inf)
        return Estimate({**draw.grads, "dense.1.bias": broken}, draw.loss)


def test_a_guess_that_is_not_finite_is_counted_and_spoils_its_tensor_alone():
    chain, params = convolutional()
    for guesser, count in ((BrokenForDense(), 1), (ForwardGradient(), 0)):
        estimator = GuessAndTarget(guess="estimator", guesser=guesser, unit="tensor")
        state = begun(estimator, chain, params)
        draw = estimator.estimate(chain, params, state, stream(0, "estimator"))
        assert float(draw.info["nonfinite_guesses"]) == count
        spoilt = {n for n, g in draw.grads.items() if not g.isfinite().all()}
        assert spoilt == ({"dense.1.bias"} if count else set())


@pytest.mark.parametrize("unit", ["tensor", "tensor_and_example"])
def test_the_gradient_of_another_estimator_guesses(unit):
    """One that is exact guesses the gradient itself; its state goes on."""
    chain, params = convolutional()
    estimator = GuessAndTarget(guess="estimator", guesser=Backprop(), unit=unit)
    require(estimator, chain, params)
    state = begun(estimator, chain, params)
    draw = estimator.estimate(chain, params, state, stream(0, "estimator"))
    close(draw.grads, value_and_grad(chain, params)[1])
    raw = GuessAndTarget(guess="estimator", guesser=Backprop(), unit=unit, normalise="raw")
    draw = raw.estimate(chain, params, state, stream(0, "estimator"))
    exact = value_and_grad(chain, params)[1]
    if unit == "tensor":
        expected = {n: g * g.square().sum() for n, g in exact.items()}
    else:
        expected = dict.fromkeys(exact, 0.0)
        for n in range(6):
            alone = value_and_grad(chain.on(chain.x[n : n + 1], chain.y[n : n + 1]), params)[1]
            for name, g in alone.items():
                expected[name] += g / 6 * (g / 6).square().sum()
    guessed = [n for n in params if not n.startswith("head.")]
    close({n: draw.grads[n] for n in guessed}, {n: expected[n] for n in guessed})

    late = GuessAndTarget(guess="estimator", guesser=Stale(steps=1), unit="tensor")
    state = begun(late, chain, params)
    after = late.estimate(chain, params, state, stream(0, "estimator")).state
    assert len(after["guesser"]["waiting"]) == 1
    moved = {n: p + 0.1 for n, p in params.items()}
    draw = late.estimate(chain, moved, after, stream(0, "estimator"))
    old = value_and_grad(chain, params)[1]
    for name in ("stem.0.weight", "dense.1.bias"):
        cos = torch.nn.functional.cosine_similarity(
            draw.grads[name].flatten(), old[name].flatten(), 0
        )
        assert abs(float(cos)) == pytest.approx(1, abs=1e-12)


def one_block():
    module = nn.Sequential(OrderedDict(only=nn.Linear(4, 3))).double()
    return Chain(module, torch.zeros(2, 4).double(), torch.tensor([0, 1])), None


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"guesser": GuessAndTarget()}, "cannot be a guess_and_target"),
        ({"guesser": Momentum(inner=GuessAndTarget())}, "cannot be a guess_and_target"),
        ({"guesser": ForwardGradient()}, "sends no signals to the outputs of blocks"),
    ],
)
def test_guessers_that_cannot_guess_are_refused(fields, words):
    chain, params = convolutional()
    with pytest.raises(UnsupportedError, match=words):
        require(GuessAndTarget(guess="estimator", **fields), chain, params)
    # An estimator that is not asked is no hindrance.
    require(GuessAndTarget(guess="local", **fields), chain, params)


def test_views_are_no_examples_by_themselves():
    chain, params = convolutional()
    views = Chain(chain.module, chain.x, chain.y, views=2)
    asked = GuessAndTarget(guess="estimator", guesser=Backprop(), unit="tensor_and_example")
    with pytest.raises(UnsupportedError, match="compares 2 views of each example"):
        require(asked, views, params)
    require(GuessAndTarget(unit="tensor_and_example"), views, params)


def test_networks_that_do_not_fit_are_refused_in_words(monkeypatch):
    chain, params = convolutional()
    with pytest.raises(UnsupportedError, match=r"^auxiliary is cnn, .* dense: the auxiliary cnn"):
        require(GuessAndTarget(auxiliary="cnn"), chain, params)
    require(GuessAndTarget(auxiliary="cnn", guess="normal"), chain, params)
    with pytest.raises(UnsupportedError, match="at least two named stages"):
        require(GuessAndTarget(), *one_block())
    monkeypatch.setattr(_refusals, "MAX_EXAMPLE_NUMBERS", 10)
    with pytest.raises(UnsupportedError, match=r"at most 10 are served: take source=oracle"):
        require(GuessAndTarget(unit="tensor_and_example"), chain, params)
    require(GuessAndTarget(unit="tensor_and_example", source="oracle"), chain, params)
    tied = nn.Sequential(
        OrderedDict(a=nn.Linear(4, 4), b=nn.Tanh(), c=nn.Linear(4, 4), d=nn.Linear(4, 3))
    )
    tied.c.weight = tied.a.weight
    other = Chain(tied.double(), torch.zeros(2, 4).double(), torch.tensor([0, 1]))
    with pytest.raises(UnsupportedError, match="tied to a weight of an earlier block"):
        require(GuessAndTarget(guess="normal"), other)


def test_the_default_guesser_is_not_asked_for_its_needs():
    assert GuessAndTarget(guesser=DirectFeedbackAlignment()).needs() == GuessAndTarget().needs()


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize(
    "guesser", [FDFA(rate=0.5), WeightMirror(), Stale(), Stale(inner=FDFA(rate=0.5), steps=2)]
)
def test_a_guesser_beside_a_run_moves_as_one_that_drives_it(guesser, unit):
    """`advance` gives the state that an estimate from the same noise leaves."""
    chain, params = convolutional()
    estimator = GuessAndTarget(guess="estimator", guesser=guesser, unit=unit, source="oracle")
    driver = shadow = begun(estimator, chain, params)
    for step in range(3):
        batch = chain.on(chain.x + step, chain.y)
        driver = estimator.estimate(batch, params, driver, stream(0, "estimator", step)).state
        shadow = estimator.advance(batch, params, shadow, stream(0, "estimator", step))
        assert repr(driver) == repr(shadow)


@pytest.mark.parametrize("unit", ["output_and_example", "tensor"])
def test_the_state_of_a_guesser_goes_on(unit):
    """In a draw and when it advances beside another driver."""
    chain, params = convolutional()
    estimator = GuessAndTarget(guess="estimator", guesser=FDFA(rate=0.5), unit=unit)
    state = begun(estimator, chain, params)
    draw = estimator.estimate(chain, params, state, stream(0, "estimator"))
    alone = estimator.guesser.estimate(chain, params, state["guesser"], stream(0, "estimator"))
    after = estimator.advance(chain, params, state, stream(0, "estimator"))
    for moved in (draw.state, after):
        step, feedback, _ = moved["guesser"]
        assert int(step) == 1
        torch.testing.assert_close(feedback, alone.state[1])
        assert not torch.equal(feedback, state["guesser"][1])
        assert int(moved["step"]) == 1


class Unbatchable(nn.Module):
    """Reads a number of its input, which no batched function can."""

    def forward(self, h):
        return torch.tanh(h) if float(h.detach().sum()) < 1e9 else h


def test_blocks_may_begin_in_place_and_need_not_be_batched():
    """Such a network gives the estimates of the same one written otherwise."""
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(4, 3, generator=rng, dtype=torch.float64)
    y = torch.tensor([0, 1, 0, 1])

    def chain(squash, relu):
        first = nn.Sequential(nn.Linear(3, 4), squash)
        second = nn.Sequential(relu, nn.Linear(4, 4))
        third = nn.Sequential(nn.Tanh(), nn.Linear(4, 2))
        module = nn.Sequential(OrderedDict(first=first, second=second, third=third)).double()
        return Chain(module, x, y)

    plain = chain(nn.Tanh(), nn.ReLU())
    odd = chain(Unbatchable(), nn.ReLU(inplace=True))
    params = {n: p.detach() for n, p in plain.module.named_parameters()}
    for fields in ({"unit": u, "source": s} for u in UNITS for s in ("honest", "oracle")):
        estimator = GuessAndTarget(guess="normal", **fields)
        draws = [
            estimator.estimate(c, params, begun(estimator, c, params), stream(0, "estimator"))
            for c in (plain, odd)
        ]
        close(*(draw.grads for draw in draws), 1e-12)


def test_the_first_estimate_does_not_run_an_in_place_non_linearity_twice():
    """ELU of an ELU is another number, as the ReLU of a ReLU is not."""
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(4, 3, generator=rng, dtype=torch.float64)
    params = None
    losses = []
    for inplace in (False, True):
        stages = OrderedDict(
            first=nn.Linear(3, 4),
            second=nn.Sequential(nn.ELU(inplace=inplace), nn.Linear(4, 4)),
            third=nn.Sequential(nn.ELU(inplace=inplace), nn.Linear(4, 2)),
        )
        module = nn.Sequential(stages).double()
        params = params or {n: p.detach() for n, p in module.named_parameters()}
        chain = Chain(module, x, torch.tensor([0, 1, 0, 1]))
        estimator = GuessAndTarget(guess="normal")
        state = begun(estimator, chain, params)
        losses.append(estimator.estimate(chain, params, state, stream(0, "estimator")))
    close(losses[1].grads, losses[0].grads, 1e-12)
    assert torch.equal(losses[1].loss, losses[0].loss)


@pytest.mark.parametrize("most", [_slopes.MAX_STACKED, 0])
@pytest.mark.parametrize("frozen", [("stem",), ("residual",), ("stem", "residual", "dense")])
@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("target", ["global", "look_ahead"])
def test_blocks_may_be_frozen(target, unit, frozen, most, monkeypatch):
    """The others get what they get in a network that learns as a whole."""
    monkeypatch.setattr(_slopes, "MAX_STACKED", most)
    chain, params = convolutional()
    left = {n: p for n, p in params.items() if n.partition(".")[0] not in frozen}
    fields = {"target_loss": target, "guess": "local", "unit": unit}
    for estimator in (GuessAndTarget(**fields), GuessAndTarget(source="oracle", **fields)):
        require(estimator, chain, left)
        state = {**begun(estimator, chain, params), "step": torch.tensor(PERIOD - 1)}
        rng = lambda: stream(0, "estimator")  # noqa: E731
        whole = estimator.estimate(chain, params, state, rng()).grads
        close(estimator.estimate(chain, left, state, rng()).grads, {n: whole[n] for n in left})


class Checkpointed(nn.Module):
    """Forgets its activations, by hooks that torch.func does not support."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, h):
        return checkpoint(lambda t: torch.tanh(self.layer(t)), h, use_reentrant=False)


@pytest.mark.parametrize("source", ["honest", "oracle"])
def test_gradients_of_examples_do_not_need_functions_that_torch_can_transform(source):
    rng = torch.Generator().manual_seed(0)
    x = torch.randint(0, 5, (4, 2), generator=rng)
    first = nn.Sequential(nn.Embedding(5, 2, sparse=True), nn.Flatten())
    stages = OrderedDict(first=first, second=Checkpointed(), third=nn.Linear(4, 2))
    module = nn.Sequential(stages).double()
    params = {n: p.detach() for n, p in module.named_parameters()}
    chain = Chain(module, x, torch.tensor([0, 1, 0, 1]))
    estimator = GuessAndTarget(guess="global", unit="tensor_and_example", source=source)
    state = begun(estimator, chain, params)
    draw = estimator.estimate(chain, params, state, stream(0, "estimator"))
    _, exact = value_and_grad(chain, params)
    close(draw.grads, exact)


def test_a_local_loss_that_needs_classes_is_refused_before_the_run():
    chain, params = convolutional()
    other = Chain(chain.module, chain.x, torch.randn(6, 3), lambda o, y: (o - y).square().mean(1))
    with pytest.raises(UnsupportedError, match="similarity matching compares the features with"):
        require(GuessAndTarget(local_loss="prediction_and_similarity"), other, params)


@pytest.mark.parametrize("summed", [True, False])
def test_the_span_in_single_precision_is_that_of_double(summed):
    """Guesses of more examples than directions, along some of which they hardly differ."""
    rng = torch.Generator().manual_seed(0)
    lengths = torch.logspace(0, -4, 8, dtype=torch.float64)
    within = torch.randn(32, 8, generator=rng, dtype=torch.float64) * lengths
    basis = torch.linalg.qr(torch.randn(12, 8, generator=rng, dtype=torch.float64))[0]
    s, t = within @ basis.T, torch.randn(32, 12, generator=rng, dtype=torch.float64)
    double, single = (
        compare({"": t.to(dtype)}, {"": s.to(dtype)}, by_example=True, summed=summed)
        for dtype in (torch.float64, torch.float32)
    )
    for name in ("span_cosine", "span_cosine_by_example"):
        # The shortest direction is 1e-4 of the longest: 6e-8 of rounding turn it by 1e-3, and a
        # cosine moves by no more than that.
        assert float(single[name]) == pytest.approx(float(double[name]), abs=2e-3)


@pytest.mark.parametrize("unit", UNITS)
def test_small_cotangents_do_not_underflow_in_half_precision(unit):
    """Their squares, of the order of 1e-8 here, are below what float16 resolves."""
    chain, params = convolutional()
    half = Chain(copy.deepcopy(chain.module).half(), chain.x.half(), chain.y)
    estimator = GuessAndTarget(guess="estimator", guesser=Backprop(), unit=unit, source="oracle")
    few = {n: p.half() for n, p in params.items()}
    small = lambda o, y: 1e-3 * nn.functional.cross_entropy(o, y, reduction="none")  # noqa: E731
    half._losses, half._plain = small, False
    state = {**begun(estimator, half, few), "step": torch.tensor(PERIOD - 1)}
    draw = estimator.estimate(half, few, state, stream(0, "estimator"))
    exact = {n: 1e-3 * g for n, g in value_and_grad(chain, params)[1].items()}
    # Numbers have 11 bits, and cotangents of 1e-4 as subnormal numbers have fewer: a tenth.
    close({n: g.double() for n, g in draw.grads.items()}, exact, 0.1)
    assert all(v > 0.98 for v in draw.info["guess_cosine"].values())


def test_the_alignment_of_a_guess_that_is_not_finite_is_no_number():
    """A cosine of zero would say that target and guess are orthogonal."""
    t = {"": torch.ones(2, 3, dtype=torch.float64)}
    s = {"": torch.full((2, 3), torch.nan, dtype=torch.float64)}
    seen = compare(t, s, by_example=False, summed=True)
    assert all(torch.isnan(value) for value in seen.values()), seen


def test_batch_statistics_of_one_example_are_refused_before_the_run():
    chain, params = convolutional()
    alone = chain.on(chain.x[:1], chain.y[:1])
    with pytest.raises(UnsupportedError, match="at least two examples, and the batch has 1"):
        require(GuessAndTarget(auxiliary_norm="batch", unit="tensor"), alone, params)
