"""Each way of being bad is called by its name."""

import sys

import pytest
import torch

from estimators import DirectFeedbackAlignment, ForwardGradient, Objective, stream
from estimators.conformance import cases
from estimators.measurement.estimates.anatomy import Anatomy
from estimators.measurement.estimates.diagnosis import diagnose
from estimators.measurement.estimates.observation import Observation, point
from estimators.statistics.diagnosis import explain
from estimators.statistics.formatting import round_up

CASE = cases()[0]
G = torch.arange(1.0, 9, dtype=torch.float64)
U = torch.tensor([2.0, -1] * 4, dtype=torch.float64)
ACROSS = (U - (U @ G) / (G @ G) * G) / (U - (U @ G) / (G @ G) * G).norm() * G.norm()


def diagnosed(draws, g=G, **more):
    """Findings for draws (K, 8) of one tensor."""
    objective = Objective(lambda p: p["w"] @ g)
    one = Observation("it", None, None, point(objective, {"w": torch.zeros(8).double()}))
    one.moments.add({"w": draws})
    return diagnose(one, **more)[-1]


def drawn(scale=1.0, across=0.0, spread=0.0, count=400):
    rng = stream(0, "probe")
    noise = torch.randn(count, 8, generator=rng, dtype=torch.float64) * G.norm() / 8**0.5
    return scale * G + across * ACROSS + spread**0.5 * noise


def test_fine():
    found = diagnosed(drawn(spread=0.1))
    assert (found.cause, found.draws) == ("fine", 1)


@pytest.mark.parametrize("scale", [0.01, 7.0])
def test_scale(scale):
    found = diagnosed(drawn(scale, spread=0.01 * scale**2))
    assert found.cause == "scale"
    assert "times as long as it should be" in found.text
    assert "learning rate" in found.text


def test_direction():
    found = diagnosed(drawn(across=2.0, spread=0.1))
    assert (found.cause, found.draws) == ("direction", None)
    assert "has the cosine 0.45" in found.text
    assert "no number of draws brings it to 0.5" in found.text


def test_uphill():
    found = diagnosed(drawn(-1.0, spread=0.1))
    assert found.cause == "direction"
    assert "uphill" in found.text


def test_slopes_with_a_long_tail_above_are_told_from_zero():
    """Student's interval, even on both sides, would reach below it."""
    slopes = torch.tensor([0.1] * 14 + [3, 6], dtype=torch.float64)
    assert diagnosed(slopes.unsqueeze(1) * G).cause not in ("unknown", "direction")


def test_variance_and_how_many_draws_mend_it():
    found = diagnosed(drawn(spread=20.0, count=4000))
    assert found.cause == "variance"
    assert found.draws == pytest.approx(20, rel=0.15)
    assert f"{found.draws} draws averaged bring it to 0.5" in found.text


def test_that_many_draws_do_mend_it():
    draws = drawn(spread=20.0, count=4000)
    needed = diagnosed(draws).draws
    means = torch.stack([d.mean(0) for d in draws.split(needed)[:-1]])
    error = 1 - (means @ G).mean() ** 2 / (G @ G * means.square().sum(1).mean())
    assert error == pytest.approx(0.5, abs=0.08)


@pytest.mark.parametrize(
    ("fixed", "text"), [(20.0, "is not enough"), (0.0, "so would a batch of about 1")]
)
def test_whether_a_batch_would_do(fixed, text):
    anatomy = Anatomy(("", "w"), 64, 9, 4, (1.0,) * 2, (20.0,) * 2, (fixed,) * 2, (1.0,) * 2, 3.0)
    found = diagnosed(drawn(spread=20.0, count=4000), anatomy=anatomy)
    assert text in found.text


def test_no_signal():
    assert diagnosed(torch.zeros(20, 8, dtype=torch.float64)).cause == "no signal"
    found = diagnosed(drawn(spread=0.1), coverage={"w": "no signal"})
    assert found.cause == "no signal"
    assert "by construction" in found.text


def test_a_dead_layer():
    found = diagnosed(drawn(spread=0.1), g=torch.zeros(8).double())
    assert found.cause == "dead"


def test_nothing_finite():
    assert diagnosed(torch.full((20, 8), torch.nan, dtype=torch.float64)).cause == "not finite"


def test_too_few_or_too_noisy_to_tell():
    assert diagnosed(drawn(count=15)).cause == "unknown"
    hidden = diagnosed(drawn(scale=0.001, spread=100.0, count=20))
    assert hidden.cause == "unknown"
    assert "make more draws" in hidden.text


def test_on_a_network():
    state = DirectFeedbackAlignment().init(CASE.chain, CASE.params, stream(1, "init"))
    one = Observation("dfa", DirectFeedbackAlignment(), state, point(CASE.chain, CASE.params))
    list(one.take(16))
    found = {f.layer: f.cause for f in diagnose(one)}
    assert set(found) == set(one.at.layers)
    assert found["output.weight"] == "fine"
    assert found["hidden1.0.weight"] in ("direction", "scale")


@pytest.fixture
def unpromised(monkeypatch):
    """No promise is believed: the noise alone has to acquit."""
    monkeypatch.setattr(
        sys.modules[diagnose.__module__], "_promises_exact_gradient", lambda of: False
    )


@pytest.mark.parametrize("count", [16, 32])
def test_chance_is_not_called_a_direction(unpromised, count):
    here = point(CASE.chain, CASE.params)
    called = 0
    for seed in range(60):
        one = Observation("fg", ForwardGradient(), None, here, seed=seed, sketched=False)
        list(one.take(count))
        called += any(f.cause == "direction" for f in diagnose(one))
    assert called <= 1


def barely(**more):
    """A p² between 2 and 4 standard errors above its noise."""
    x = {"exact": 1.0, "count": 64, "longest": 3.0, "s": 1.0, "s_low": 0.7, "s_high": 1.3}
    x |= {
        "s_se": 0.15,
        "square": 1.0,
        "across": 3.0,
        "across_se": 1.0,
        "variance": 9.0,
        "nonfinite": 0,
    }
    return {**x, "freedom": 63, **more}


def test_a_direction_is_clear_of_its_noise():
    found = explain("w", barely())
    assert (found.cause, "make more draws" in found.text) == ("variance", True)
    assert explain("w", barely(across_se=0.5)).cause == "direction"
    assert explain("w", barely(across_se=0.5), unbiased=True).cause == "variance"
    assert "make more draws" not in explain("w", barely(across_se=0.5), unbiased=True).text
    # Of a thousand looks, and of few degrees of freedom, more is asked.
    assert explain("w", barely(across_se=0.7), tests=1).cause == "direction"
    assert explain("w", barely(across_se=0.7), tests=1000).cause == "variance"
    assert explain("w", barely(across_se=0.5, freedom=2)).cause == "variance"


def test_a_promise_holds_unless_a_verdict_convicts():
    one = Observation("fg", ForwardGradient(), None, point(CASE.chain, CASE.params))
    off = {n: 4 * torch.randn(p.shape, generator=stream(2, "init")).to(p) for n, p in
           CASE.params.items()}  # fmt: skip
    one.moments.add({n: g.expand(64, *g.shape) * 1.0 + 1e-3 * g.new_ones(64, *g.shape)
                     for n, g in off.items()})  # fmt: skip
    layers = one.at.layers
    promised = diagnose(one)
    assert all(f.cause != "direction" or "points uphill" in f.text for f in promised)
    assert any(f.cause != "direction" for f in promised)
    convicted = [f for f in diagnose(one, biased=layers) if f.cause == "direction"]
    assert any("points uphill" not in f.text for f in convicted)


def test_a_few_draws_that_are_lost_are_told():
    draws = drawn(spread=0.1, count=60)
    draws[:20] = torch.nan
    found = diagnosed(draws)
    assert found.cause == "not finite"
    said = "20 of 60 draws (33 %) were not finite; of the finite ones: sound"
    assert found.text.startswith(said)


def test_numbers_of_draws_have_two_digits():
    found = diagnosed(drawn(spread=200.0, count=4000))
    assert found.draws > 100
    assert found.draws % 10 == 0
    assert f"about {found.draws:,} draws averaged" in found.text
    assert [round_up(x) for x in (0.2, 99.1, 100, 1234.5, 1300.0, 12_001)] == [
        1, 100, 100, 1300, 1300, 13_000
    ]  # fmt: skip
