"""Moments that stream and merge, and the sketch."""

import math

import pytest
import torch

from estimators import stream
from estimators.measurement.draws.moments import Moments
from estimators.measurement.draws.sketch import Sketch, cloud
from estimators.measurement.draws.sums import Accumulator
from estimators.measurement.estimates.measures import METRICS, measures_of

GROUPS = torch.tensor([[1.0, 1, 0], [1, 0, 1]], dtype=torch.float64)
EXACT = {
    "a": torch.arange(1.0, 6, dtype=torch.float64),
    "b": torch.ones(3, 2, dtype=torch.float64),
}


def drawn(count, seed=0, scale=1.3, spread=2.0):
    rng = stream(seed, "probe")
    return {
        n: scale * g + spread * torch.randn(count, *g.shape, generator=rng, dtype=g.dtype)
        for n, g in EXACT.items()
    }


def part(draws, start, stop):
    return {n: d[start:stop] for n, d in draws.items()}


def streamed(draws, sizes):
    found, start = Moments(EXACT), 0
    for size in sizes:
        found.add(part(draws, start, start + size))
        start += size
    return found


def flat(draws):
    return torch.cat([d.flatten(1) for d in draws.values()], 1)


@pytest.mark.parametrize("sizes", [[40], [1] * 40, [1, 7, 16, 16]])
def test_moments_are_those_of_all_draws_however_they_come(sizes):
    draws = drawn(40)
    x, g = flat(draws), flat({n: e.unsqueeze(0) for n, e in EXACT.items()})[0]
    of = streamed(draws, sizes).summary(GROUPS)
    assert torch.allclose(of.dots[:, 0], x @ g)
    assert torch.allclose(of.squares[:, 0], x.square().sum(1))
    assert of.trace[0].item() == pytest.approx(x.var(0).sum().item(), rel=1e-12)
    assert of.mean[0].item() == pytest.approx(x.mean(0).square().sum().item(), rel=1e-12)
    assert of.along[0].item() == pytest.approx((x.mean(0) @ g).item(), rel=1e-12)


def test_innovations_and_lookaheads_against_their_definitions():
    draws = drawn(30)
    x, g = flat(draws), flat({n: e.unsqueeze(0) for n, e in EXACT.items()})[0]
    found = streamed(draws, [4, 1, 25])
    numbers = found.numbers.sum(1)
    assert numbers[0, 2].isnan()
    assert numbers[0, 3].isnan()
    for k in range(1, 30):
        m = x[:k].mean(0)
        innovation = (k / (k + 1) * (x[k] - m).square().sum()).item()
        assert numbers[k, 2].item() == pytest.approx(innovation, rel=1e-10)
        assert numbers[k, 3].item() == pytest.approx(((x[k] - g) @ (m - g)).item(), rel=1e-9)
    mean = found.innovations(GROUPS)[1:, 0].mean().item()
    assert mean == pytest.approx(x.var(0).sum().item(), rel=1e-12)


def test_merged_moments_are_those_of_all_draws():
    draws = drawn(50)
    whole = streamed(draws, [50])
    first, second = streamed(part(draws, 0, 13), [13]), streamed(part(draws, 13, 50), [20, 17])
    first.merge(second)
    a, b = whole.summary(GROUPS), first.summary(GROUPS)
    for name in ("dots", "squares", "along", "mean", "trace", "noise"):
        assert torch.allclose(getattr(a, name), getattr(b, name), rtol=1e-12), name
    assert len(first) == 50
    ratio = b.bias_variance / a.bias_variance  # from other orders of the draws
    assert (ratio > 0.2).all()
    assert (ratio < 5).all()


def test_no_digits_are_lost_far_from_zero():
    draws = drawn(64, scale=1e8, spread=1.0)
    of = streamed(draws, [16] * 4).summary(GROUPS)
    assert of.trace[0].item() == pytest.approx(flat(draws).var(0).sum().item(), rel=1e-6)


def test_every_measure_is_that_of_a_probe():
    draws = drawn(32)
    accumulator = Accumulator(EXACT, 32)
    flat_ = accumulator.take({n: d[k] for n, d in draws.items()} for k in range(32))
    a = measures_of(accumulator.unpack(flat_).summary(GROUPS))
    b = measures_of(streamed(draws, [10, 22]).summary(GROUPS))
    for metric in set(METRICS) - {"relative_squared_bias_se"}:
        assert torch.allclose(a[metric], b[metric], rtol=1e-10, atol=1e-12), metric
    ratio = a["relative_squared_bias_se"] / b["relative_squared_bias_se"]
    assert (ratio > 0.4).all()
    assert (ratio < 2.5).all()


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
def test_a_draw_that_is_not_finite_is_left_out_of_its_layers(bad):
    draws = drawn(20)
    draws["b"][7, 1, 0] = bad
    found = streamed(draws, [5, 15])
    of = found.summary(GROUPS)
    kept = torch.arange(20) != 7
    assert found.nonfinite == 1
    assert of.counts.tolist() == [19, 20, 19]
    assert of.trace[1].item() == pytest.approx(draws["a"].var(0).sum().item())
    good = draws["b"][kept].flatten(1)
    assert of.trace[2].item() == pytest.approx(good.var(0).sum().item())
    both = measures_of(of)
    assert all(both[m].isfinite().all() for m in METRICS)


def test_without_a_finite_draw_there_is_no_number():
    draws = {n: torch.full_like(d, math.nan) for n, d in drawn(3).items()}
    found = measures_of(streamed(draws, [3]).summary(GROUPS))
    assert all(x.isnan().all() for x in found.values())


def test_one_draw_has_no_variance_and_a_dead_layer_no_direction():
    one = measures_of(streamed(drawn(1), [1]).summary(GROUPS))
    for metric in ("relative_variance", "cosine_sd", "relative_squared_bias", "snr"):
        assert one[metric].isnan().all(), metric
    dead = Moments({**EXACT, "b": torch.zeros(3, 2, dtype=torch.float64)})
    dead.add(drawn(5))
    found = measures_of(dead.summary(GROUPS))
    assert {m for m, x in found.items() if not x[2].isnan()} == {"snr"}


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_the_variance_of_the_squared_bias_holds(scale):
    values, variances = [], []
    for seed in range(300):
        of = streamed(drawn(40, seed, scale), [40]).summary(GROUPS)
        values.append((of.offset - of.noise)[0])
        variances.append(of.bias_variance[0])
    ratio = torch.stack(variances).mean() / torch.stack(values).var()
    assert 0.7 < ratio < 2.2  # where there is no bias, what is cut off at 0 makes it too large


def test_a_sketch_keeps_inner_products_on_average():
    x = {n: d.repeat_interleave(100, -1) for n, d in drawn(2).items()}
    exact = {n: d[0] for n, d in x.items()}
    true = torch.stack([flat(x)[0] @ flat(x)[1], flat(x)[0] @ flat(x)[0]])
    found = []
    for seed in range(200):
        sketch = Sketch(exact, seed)
        sketch.add(x)
        rows = sketch.draws
        found.append(torch.stack([rows[0] @ rows[1], rows[0] @ sketch.exact]))
    found = torch.stack(found)
    assert ((found.mean(0) - true).abs() < 5 * found.std(0) / 200**0.5).all()
    assert found[:, 1].std() < 0.15 * true[1]


def test_sketched_errors_are_inner_products_with_fixed_directions():
    sketch, again = Sketch(EXACT), Sketch(EXACT)
    draws = drawn(6)
    sketch.add(part(draws, 0, 4))
    sketch.add(part(draws, 4, 6))
    again.add({n: 2 * d for n, d in draws.items()})
    exact = Sketch(EXACT)
    exact.add({n: g.unsqueeze(0) for n, g in EXACT.items()})
    assert not exact.errors().any()
    a, b = sketch.errors(), again.errors()
    assert a.shape == (6, 2, 8)
    g = (b - 2 * a)[0]  # 2ĝ − g − 2(ĝ − g) = g
    assert torch.allclose(b, 2 * a + g)
    assert torch.allclose(sketch.errors({n: 0 * e for n, e in EXACT.items()}), a + g)


def test_the_cloud_finds_the_direction_of_the_scatter():
    rng = stream(3, "probe")
    g = {"w": torch.zeros(500, dtype=torch.float64)}
    g["w"][0] = 2.0
    position = torch.randn(200, generator=rng, dtype=torch.float64)
    other = torch.randn(500, generator=rng, dtype=torch.float64)
    other[0] = 0
    draws = g["w"] * (1 + 0.1 * position.roll(1).unsqueeze(1)) + torch.outer(position, other)
    sketch, moments = Sketch(g), Moments(g)
    sketch.add({"w": draws})
    moments.add({"w": draws})
    dots = moments.numbers[:, 0, 0]
    x, y, share = cloud(dots, torch.tensor(4.0), sketch)
    assert torch.allclose(x, draws[:, 0] / 2)
    assert torch.corrcoef(torch.stack([y, position]))[0, 1].abs() > 0.99
    assert share > 0.95
    assert cloud(dots, torch.tensor(0.0), sketch)[0].isnan().all()
