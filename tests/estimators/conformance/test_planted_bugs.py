"""Estimators as a plug-in's author would write them, each with one bug that `check` must find."""

from dataclasses import dataclass
from typing import Annotated

import pytest
import torch

from estimators import (
    ActivityForwardGradient,
    Backprop,
    Claim,
    Cost,
    Estimate,
    Estimator,
    ForwardGradient,
    Ge,
    ImplicitAdjoint,
    Need,
)
from estimators.conformance import (
    ACROSS,
    CHECKS,
    MANY,
    Trial,
    check,
    every_case,
    many_draws,
    served,
)
from estimators.conformance.every_check import NOTHING_OFFERED
from estimators.core.contract import Law


@dataclass(frozen=True)
class Forward(Estimator):
    """A forward gradient along directions of signs, with nothing else offered."""

    tangents: Annotated[int, Ge(1)] = 1

    def claim(self, objective, /):
        return Claim.UNBIASED

    def needs(self):
        return (Need.FORWARD_MODE,)

    def cost(self, objective, /):
        return Cost(jvps=self.tangents)

    def direction(self, p, rng):
        return torch.empty_like(p).bernoulli_(0.5, generator=rng) * 2 - 1

    def estimate(self, objective, params, state, rng, /):
        total = {n: torch.zeros_like(p) for n, p in params.items()}
        for _ in range(self.tangents):
            v = {n: self.direction(p, rng) for n, p in params.items()}
            loss, slope = torch.func.jvp(objective, (dict(params),), (v,))
            total = {n: t + slope * v[n] / self.tangents for n, t in total.items()}
        return Estimate({n: t.detach() for n, t in total.items()}, loss.detach())


class Normal(Forward):
    def direction(self, p, rng):
        return torch.empty_like(p).normal_(generator=rng)


def bug(base, **members):
    """A subclass of `base` as a frozen dataclass with other members."""
    return dataclass(frozen=True)(type("Planted", (base,), {"__module__": __name__, **members}))


def changed(base, change):
    """A subclass whose gradients are changed by a function of (name, gradient, rng)."""

    def estimate(self, objective, params, state, rng, /):
        made = base.estimate(self, objective, params, state, rng)
        return made._replace(grads={n: change(n, g, rng) for n, g in made.grads.items()})

    return bug(base, estimate=estimate)


MLP, LINE = (next(c for c in every_case() if c.name == name) for name in ("mlp", "line"))


@pytest.fixture(autouse=True)
def _patient(monkeypatch):
    """How slow the machine is decides nothing here."""
    monkeypatch.setattr("estimators.conformance.trial.PATIENCE", float("inf"))


def fails(name, cls, sentence, case=MLP):
    """The check `name` fails with this sentence; without the bug it passes, see `test_sound`."""
    trial = Trial(cls(), case)
    with pytest.raises(AssertionError, match=sentence):
        ACROSS[name]([trial]) if name in ACROSS else CHECKS[name](trial)


def fails_in_many(name, cls, sentence, most):
    trial = Trial(cls(), MLP)
    many = many_draws(trial, float("inf"), most)
    with pytest.raises(AssertionError, match=sentence):
        MANY[name](trial, many)


@pytest.mark.parametrize("base", [Forward, Normal])
def test_sound(base):
    broken = [v for v in check(base(), seconds=0.3) if not v.passed]
    assert not broken


# --- the mean ---


@pytest.mark.parametrize("factor", [1.01, 0.95])
def test_a_bias_of_1_and_5_percent_along_signs(factor):
    cls = changed(Forward, lambda n, g, rng: factor * g)
    fails("keeps its claim", cls, "along the gradient the mean of .* draws is", LINE)


@pytest.mark.parametrize("factor", [1.01, 0.95])
def test_a_bias_of_an_estimator_that_inherits_a_law(factor):
    cls = changed(ForwardGradient, lambda n, g, rng: factor * g)
    fails_in_many("obeys its law", cls, "the law says", 1_000)


class Batched(ForwardGradient):
    """Scaled by 1.05 both in single and in batched draws, so that these agree; without a law."""

    def estimate(self, objective, params, state, rng, /):
        made = ForwardGradient.estimate(self, objective, params, state, rng)
        return made._replace(grads={n: 1.05 * g for n, g in made.grads.items()})

    def batched_draws(self, objective, params, state, exact, rng, /):
        batch = ForwardGradient.batched_draws(self, objective, params, state, exact, rng)
        return lambda count: {n: 1.05 * g for n, g in batch(count).items()}

    def law(self, objective, params, state, exact, /):
        return None


def test_a_bias_of_5_percent_is_seen_in_batched_draws():
    CHECKS["batches its draws"](Trial(Batched(), MLP))
    fails_in_many("keeps its claim", Batched, "along the gradient the mean of", 80_000)


@pytest.mark.parametrize("name", ["hidden2.0.weight", "output.bias"])
def test_a_bias_of_10_percent_in_one_layer(name):
    def change(n, g, rng):
        return 1.1 * g if n == name else g

    def batched_draws(self, objective, params, state, exact, rng, /):
        batch = ForwardGradient().batched_draws(objective, params, None, exact, rng)
        return lambda count: {n: change(n, g, None) for n, g in batch(count).items()}

    cls = changed(ForwardGradient, change)
    cls = bug(cls, batched_draws=batched_draws)
    fails_in_many("keeps its claim", cls, f"along the gradient of {name} the mean", 60_000)


def test_a_bias_across_the_gradient_names_its_entry():
    cls = changed(Backprop, lambda n, g, rng: g + 0.1 * torch.randn(g.shape, generator=rng) + 0.1)
    cls.claim = lambda self, objective, /: Claim.UNBIASED
    with pytest.raises(AssertionError, match=r"draws of [\w.]+, entry \d+ is|along the gradient"):
        CHECKS["keeps its claim"](Trial(cls(), MLP))


def test_the_power_is_told():
    few = CHECKS["keeps its claim"](Trial(Normal(), MLP))
    assert "draws would have shown a bias of" in few
    assert "in one tensor of" in few


@pytest.mark.parametrize("base", [Backprop, Forward])
def test_the_negative_gradient_points_uphill(base):
    cls = changed(base, lambda n, g, rng: -g)
    cls.claim = lambda self, objective, /: Claim.BIASED
    fails("descends", cls, "the mean points uphill on mlp")


class Noise(Backprop):
    """Noise that knows nothing of the gradient."""

    def claim(self, objective, /):
        return Claim.BIASED

    def law(self, objective, params, state, exact, /):
        return None

    def estimate(self, objective, params, state, rng, /):
        noise = {n: torch.empty_like(p).normal_(generator=rng) for n, p in params.items()}
        return Estimate(noise, objective(params).detach())


def test_noise_is_no_estimate_unless_it_is_declared_a_control_arm():
    fails("descends", Noise, "no visible relation to the gradient")
    declared = bug(Noise, control_arm=True)
    assert "control arm" in ACROSS["descends"]([Trial(declared(), MLP)])


def test_biased_says_what_it_was_held_to():
    cls = changed(Backprop, lambda n, g, rng: g.sign())
    cls.claim = lambda self, objective, /: Claim.BIASED
    assert "promises nothing of the mean" in CHECKS["keeps its claim"](Trial(cls(), MLP))


# --- the noise and the law ---


class OneNoise(Forward):
    """All tangents have the noise of the first."""

    def estimate(self, objective, params, state, rng, /):
        v = {n: self.direction(p, rng) for n, p in params.items()}
        loss, slope = torch.func.jvp(objective, (dict(params),), (v,))
        return Estimate({n: (slope * t).detach() for n, t in v.items()}, loss.detach())


class SameAfterTheFirst(Forward):
    """The first tangent has noise of its own, the others share theirs."""

    def estimate(self, objective, params, state, rng, /):
        first = Forward().estimate(objective, params, state, rng)
        if self.tangents == 1:
            return first
        other = Forward().estimate(objective, params, state, rng)
        w = 1 / self.tangents**4
        return first._replace(
            grads={n: w * g + (1 - w) * other.grads[n] for n, g in first.grads.items()}
        )


@pytest.mark.parametrize(
    ("cls", "sentence"),
    [(OneNoise, "the draws that it averages are one draw"), (SameAfterTheFirst, "independent")],
)
def test_the_same_noise_for_all_tangents(cls, sentence):
    fails("averages its draws", bug(cls), sentence)


def test_less_variance_is_said_of_estimates_with_noise_alone():
    """The steps of an implicit adjoint cost more, and there is nothing that they could average."""

    def finding(estimator):
        case = next(case for case in every_case() if served(estimator, case))
        return ACROSS["averages its draws"]([Trial(estimator, case)])

    assert finding(Forward()) == "more tangents: less variance"
    assert finding(ImplicitAdjoint()) == "draws of one state are equal: no noise to average"
    assert finding(Backprop()) == "no count that raises the cost"
    assert finding(ImplicitAdjoint()) in NOTHING_OFFERED  # a dash stands beside it


def test_a_law_3_percent_off():
    @dataclass(frozen=True)
    class Planted(ForwardGradient):
        noise: str = "normal"

        def law(self, objective, params, state, exact, /):
            right = super().law(objective, params, state, exact)
            return Law({n: 1.03 * v for n, v in right.variance.items()})

    fails_in_many("obeys its law", Planted, "the law says", 60_000)


def test_a_law_3_percent_off_in_one_tensor():
    def law(self, objective, params, state, exact, /):
        right = ForwardGradient().law(objective, params, state, exact).variance
        return Law({n: 1.03 * v if n == "hidden2.0.bias" else v for n, v in right.items()})

    fails_in_many("obeys its law", bug(Forward, law=law), "hidden2.0.bias scatters", 1_000)


# --- the state ---


@dataclass(frozen=True)
class Smoothed(Backprop):
    """g blended with the last estimate."""

    def claim(self, objective, /):
        return Claim.BIASED

    def law(self, objective, params, state, exact, /):
        return None

    def init(self, objective, params, rng, /):
        return {"mean": {n: torch.zeros_like(p) for n, p in params.items()}}

    def estimate(self, objective, params, state, rng, /):
        made = Backprop().estimate(objective, params, None, rng)
        mean = {n: 0.9 * state["mean"][n] + 0.1 * g for n, g in made.grads.items()}
        return Estimate(mean, made.loss, {"mean": mean})

    def advance(self, objective, params, state, rng, /):
        return self.estimate(objective, params, state, rng).state


def ignores(self, objective, params, state, rng, /):
    made = Backprop().estimate(objective, params, None, rng)
    return Estimate(made.grads, made.loss, state)


def reads_first(self, objective, params, state, rng, /):
    """One tensor of the state is read, the others are handed on."""
    made = Backprop().estimate(objective, params, None, rng)
    first, *rest = made.grads
    mean = 0.9 * state["mean"][first] + 0.1 * made.grads[first]
    kept = {first: mean, **{n: state["mean"][n] for n in rest}}
    return Estimate({**made.grads, first: mean}, made.loss, {"mean": kept})


def stands(self, objective, params, state, rng, /):
    return state


def halves(self, objective, params, state, rng, /):
    return {"mean": {n: m / 2 + 0.1 for n, m in state["mean"].items()}}


def test_a_sound_state_passes():
    assert all(v.passed for v in check(Smoothed())), check(Smoothed())


@pytest.mark.parametrize(
    ("estimate", "sentence"),
    [(ignores, "changes no estimate"), (reads_first, r"changing .*hidden1.0.bias.* changes no")],
)
def test_a_state_that_is_ignored(estimate, sentence):
    fails("uses its state", bug(Smoothed, estimate=estimate), sentence)


@pytest.mark.parametrize(
    ("advance", "sentence"),
    [(stands, "advance does not: as a shadow it would stay frozen"), (halves, "differs from that")],
)
def test_a_state_that_moves_without_advance(advance, sentence):
    fails("advances its state", bug(Smoothed, advance=advance), sentence)


def test_a_random_state_that_advances_otherwise():
    def estimate(self, objective, params, state, rng, /):
        noise = {n: torch.randn(p.shape, generator=rng).double() for n, p in params.items()}
        return Smoothed.estimate(self, objective, params, state, rng)._replace(
            state={"mean": noise}
        )

    def advance(self, objective, params, state, rng, /):
        made = self.estimate(objective, params, state, rng).state
        return {"mean": {n: m + 1 for n, m in made["mean"].items()}}

    cls = bug(Smoothed, estimate=estimate, advance=advance)
    fails("advances its state", cls, "their means over 100 draws differ")


# --- precision and cost ---


def single(objective, params):
    """The loss of weights in float32."""
    return objective({n: p.float().double() for n, p in params.items()})


def in_single(self, objective, params, state, rng, /):
    return Forward.estimate(self, lambda ps: single(objective, ps), params, state, rng)


def rounded_slope(self, objective, params, state, rng, /):
    v = {n: self.direction(p, rng) for n, p in params.items()}
    loss, slope = torch.func.jvp(objective, (dict(params),), (v,))
    slope = slope.detach().float().double()
    scale = sum(p.square().sum() for p in params.values()) * 0 + 1
    return Estimate({n: slope * t * scale for n, t in v.items()}, loss.detach())


@pytest.mark.parametrize(
    "cls",
    [
        bug(Normal, estimate=in_single),
        bug(Normal, estimate=rounded_slope),
        changed(Normal, lambda n, g, rng: g.float().double()),
        changed(Backprop, lambda n, g, rng: g.float().double()),
    ],
    ids=["weights", "slope", "noisy result", "result"],
)
def test_float32_inside(cls):
    fails("keeps double precision", cls, "float32")


def test_signs_and_zeros_are_not_taken_for_float32():
    CHECKS["keeps double precision"](Trial(changed(Backprop, lambda n, g, rng: g.sign())(), MLP))
    CHECKS["keeps double precision"](Trial(changed(Backprop, lambda n, g, rng: 0 * g)(), MLP))


@pytest.mark.parametrize("cost", [Cost(forwards=1), Cost(jvps=10)], ids=["too low", "too high"])
def test_a_false_cost(cost):
    cls = bug(Forward, cost=lambda self, objective, /: cost)
    fails("declares its cost", cls, "the matrix products of an estimate are those of 3")


# --- draws that are offered ---


def test_an_oracle_that_a_subclass_has_left_behind():
    def oracle(self, objective, params, state, exact, rng, /):
        v = {n: self.direction(p, rng) for n, p in params.items()}
        slope = sum((exact[n] * v[n]).sum() for n in v)
        return Estimate({n: slope * t for n, t in v.items()}, objective(params).detach())

    right = bug(Forward, oracle=oracle)
    CHECKS["has a true oracle"](Trial(right(), MLP))
    wrong = changed(right, lambda n, g, rng: 1.01 * g)
    fails("has a true oracle", wrong, "Does a subclass change estimate alone")


def batched(change):
    def batched_draws(self, objective, params, state, exact, rng, /):
        return change(ForwardGradient().batched_draws(objective, params, None, None, rng))

    def estimate(self, objective, params, state, rng, /):
        return ForwardGradient().estimate(objective, params, state, rng)

    return bug(Forward, batched_draws=batched_draws, estimate=estimate)


def test_batched_draws_that_ignore_exact():
    fails("batches its draws", batched(lambda batch: batch), "batched_draws ignores exact")


def test_batched_draws_that_are_wrong_from_the_65th_on():
    def repeats(batch):
        def wrong(count):
            made = batch(count)
            return {n: torch.cat([g[:64], g[: max(count - 64, 0)]]) for n, g in made.items()}

        return wrong

    fails("batches its draws", batched(repeats), r"one batch: draw 65|batches .*: draw 71")


def test_a_projection_of_other_derivatives_may_ignore_exact():
    CHECKS["batches its draws"](Trial(ActivityForwardGradient(), MLP))
