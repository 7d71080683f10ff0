"""Verdicts on bias convict the guilty, and hardly ever an innocent."""

import dataclasses
import math

import pytest
import torch

from estimators import (
    ActivityForwardGradient,
    Backprop,
    Claim,
    DirectFeedbackAlignment,
    ForwardGradient,
    discover,
    stream,
)
from estimators.conformance import cases, served
from estimators.measurement.draws.stream import has_oracle
from estimators.measurement.estimates.bias_test import MIN_DRAWS
from estimators.measurement.estimates.bias_test import judge_bias as judge
from estimators.measurement.estimates.observation import Observation, point
from estimators.statistics.paired import interval_half_width, paired

CASE = cases()[0]


def verdicts(estimator, seed=0, count=MIN_DRAWS, source=None):
    state = estimator.init(CASE.chain, CASE.params, stream(0, "init", "state"))
    if source is None:
        oracle = has_oracle(estimator, CASE.chain, CASE.params, state)
        source = "oracle" if oracle else "honest"
    at = point(CASE.chain, CASE.params)
    one = Observation("it", estimator, state, at, source, seed)
    for _ in one.take(count):
        pass
    return one.verdicts()


def unbiased():
    made = [entry.cls() for entry in discover().estimators.values()]
    return [e for e in made if served(e, CASE) and e.claim(CASE.chain) is Claim.UNBIASED]


def test_unbiased_estimators_are_hardly_ever_convicted():
    """All that the library has; many verdicts where draws are cheap. Nominally 4 %."""
    guilty = []
    for estimator in unbiased():
        oracle = has_oracle(estimator, CASE.chain, CASE.params, None)
        for seed in range(12 if oracle else 1):
            guilty.append(any(v.biased for v in verdicts(estimator, seed)))
    assert len(guilty) > 30
    assert sum(guilty) / len(guilty) <= 0.07


@dataclasses.dataclass(frozen=True)
class Off(ActivityForwardGradient):
    """Wrong by a constant: a share of the gradient, or one direction of one tensor."""

    share: float = 0.0
    across: float = 0.0

    def estimate(self, objective, params, state, rng, /):
        made = super().estimate(objective, params, state, rng)
        grads = {n: (1 + self.share) * g for n, g in made.grads.items()}
        first = next(iter(grads))
        grads[first] = grads[first] + self.across
        return made._replace(grads=grads)


def test_a_wrong_scale_is_convicted():
    found = verdicts(Off(share=-0.25), source="honest")
    assert found[0].biased
    assert found[0].bias == pytest.approx(-0.25, abs=0.1)
    assert found[0].text.startswith("biased: -0.")


def test_a_bias_in_one_tensor_is_found_there():
    found = {v.layer: v.biased for v in verdicts(Off(across=0.2), source="honest")}
    assert found["hidden1.0.weight"]
    assert found["hidden1"]
    assert not found["output.weight"]


@dataclasses.dataclass(frozen=True)
class Aside(ForwardGradient):
    """Wrong across the gradient: by `share` of its length, in a direction that nobody fixed."""

    share: float = 0.5

    def estimate(self, objective, params, state, rng, /):
        made = super().estimate(objective, params, state, rng)
        exact = point(objective, params).exact
        g = torch.cat([x.flatten() for x in exact.values()])
        e = torch.randn(g.shape, generator=stream(0, "probe", "aside"), dtype=g.dtype)
        e = e - (e @ g) / (g @ g) * g
        wrong = (self.share * g.norm() / e.norm() * e).split([x.numel() for x in exact.values()])
        grads = {
            n: x + off.view_as(x) for (n, x), off in zip(made.grads.items(), wrong, strict=True)
        }
        return made._replace(grads=grads)


def test_a_bias_across_the_gradient_is_found():
    """Along it there is none, and along single directions too little to be seen in the noise."""
    found = verdicts(Aside(share=0.25), count=1024, source="honest")[0]
    assert found.biased
    assert "biased across the gradient, not along it" in found.text


def test_what_is_held_against_the_sum_of_errors_before_is_signed():
    """A squared bias below zero is noise, however clear it is."""
    ups = [[1.0], [-1.0]] * MIN_DRAWS  # each undoes the sum before it
    dots = torch.tensor(ups, dtype=torch.float64)
    ahead = dots * (dots.cumsum(0) - dots)
    one, zero = torch.ones(1, dtype=torch.float64), torch.zeros(2 * MIN_DRAWS, 1, 1).double()
    told = judge(("",), one.view(1, 1), dots + 1, one, one, zero, ahead)[0]
    assert ahead.mean() < -0.4
    assert not told.biased
    assert judge(("",), one.view(1, 1), dots + 1, one, one, zero, -ahead)[0].biased


def test_feedback_alignment_is_convicted_and_its_exact_layer_is_not():
    found = {v.layer: v for v in verdicts(DirectFeedbackAlignment())}
    assert found[""].biased
    assert not found["output.weight"].biased


def test_backprop_is_exact_to_rounding():
    found = verdicts(Backprop())
    assert not any(v.biased for v in found)
    assert found[0].bound < 1e-10


def test_the_sentence_names_the_bound_and_the_draws():
    found = verdicts(ActivityForwardGradient(tangents=4), count=1024)[0]
    words, said = "no bias found: relative bias along g < ", found.text.split()[-3].rstrip(",")
    assert found.text == f"{words}{said}, 1,024 draws"
    assert found.bound < 0.06
    assert found.bound <= float(said) < found.bound + 0.001, "rounded up: it is below what is said"


def test_few_draws_are_no_verdict():
    found = verdicts(ForwardGradient(), count=MIN_DRAWS - 1)
    assert all(v.biased is None for v in found)
    assert "a verdict takes at least 512" in found[0].text


def test_paired_differences():
    first = [1.0, 2.0, 3.0, 4.0, 5.0, math.nan]
    second = [x - 0.5 + 0.01 * i for i, x in enumerate(first)]
    found = paired(first, second)
    assert found.pairs == 5
    assert found.difference == pytest.approx(0.48)
    assert found.low < 0.48 < found.high
    assert found.text.startswith("the first is larger")
    assert paired(second, first).text.startswith("the first is smaller")
    assert paired([1.0, -1, 1, -1, 1, -1], [0.0] * 6).text.startswith("no difference found")
    assert "takes at least 5" in paired([1.0], [0.0]).text
    with pytest.raises(ValueError, match="needs its pair"):
        paired([1.0], [])


def test_pairing_covers_at_its_level():
    x = torch.randn(400, 12, generator=stream(0, "probe"), dtype=torch.float64)
    held = [c.low <= 0 <= c.high for c in (paired(row.tolist(), [0.0] * 12) for row in x)]
    assert 0.92 < sum(held) / len(held) < 0.98


@pytest.mark.parametrize("n", [5, 16, 64])
def test_successive_steps_cover_their_own_mean_whatever_the_drift(n):
    rng = stream(n, "probe")
    noise = torch.randn(n, 2000, generator=rng, dtype=torch.float64)
    still = noise.mean(0).abs() <= interval_half_width(noise, successive=True)
    assert 0.935 < still.double().mean() < 0.99
    drift = torch.linspace(8, 0, n, dtype=torch.float64).unsqueeze(1)
    inside = noise.mean(0).abs() <= interval_half_width(noise + drift, successive=True)
    assert inside.double().mean() > 0.935
    wide = interval_half_width(noise + drift) / interval_half_width(noise + drift, successive=True)
    assert n < 64 or wide.median() > 2
