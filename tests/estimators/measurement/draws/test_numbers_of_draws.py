"""Numbers of single draws come from the draws: zero is zero, and a small error keeps its digits."""

import math

import pytest
import torch
from torch import nn

from estimators import BlockForwardGradient, stream
from estimators.measurement.draws.moments import Moments
from estimators.measurement.draws.sums import Accumulator
from estimators.measurement.estimates.measures import METRICS, measures_of
from estimators.measurement.inputs.subject import subject
from estimators.measurement.measure import measure
from estimators.measurement.probe import probe

GROUPS = torch.tensor([[1.0, 1, 0], [1, 0, 1]], dtype=torch.float64)
EPS = torch.finfo(torch.float64).eps


def exact(size=3):
    g = torch.randn(40 * size, generator=stream(0, "probe"), dtype=torch.float64)
    return {"a": g[: 30 * size].view(size, 30), "b": g[30 * size :]}


def summaries(g, draws, sizes):
    """The same draws as a microscope and as a live probe take them."""
    moments, start = Moments(g), 0
    for size in sizes:
        moments.add({n: d[start : start + size] for n, d in draws.items()})
        start += size
    accumulator = Accumulator(g, start)
    flat = accumulator.take({n: d[k] for n, d in draws.items()} for k in range(start))
    return moments.summary(GROUPS), accumulator.unpack(flat).summary(GROUPS)


@pytest.mark.parametrize("sizes", [[24], [8, 16], [1] * 24, [8] * 12])
def test_a_draw_of_zero_is_zero_in_both_paths(sizes):
    """Some draws are zero in one tensor, as those of a method that visits a block at a time."""
    g, count = exact(), sum(sizes)
    draws = {n: torch.randn(count, *t.shape, generator=stream(1, "probe"), dtype=t.dtype)
             for n, t in g.items()}  # fmt: skip
    zero = torch.arange(count) % 3 == 1
    draws["b"][zero] = 0.0
    for of in summaries(g, draws, sizes):
        assert not of.squares[zero, 2].any()
        assert not of.dots[zero, 2].any()
        assert not of.cosines[zero, 2].any()
        assert of.squares.isfinite().all()
        share = ((draws["b"] @ g["b"]) > 0).double().mean().item()
        assert measures_of(of)["positive"][2].item() == share
    for metric in set(METRICS) - {"relative_squared_bias_se"}:
        live, still = (measures_of(of)[metric] for of in summaries(g, draws, sizes))
        assert torch.allclose(live, still, rtol=1e3 * EPS * count, atol=1e3 * EPS), metric


def test_only_zero_draws_have_no_length_and_no_direction():
    g = exact()
    draws = {n: torch.zeros(16, *t.shape, dtype=t.dtype) for n, t in g.items()}
    for of in summaries(g, draws, [8, 8]):
        found = measures_of(of)
        for metric in ("cosine", "cosine_mean", "norm_ratio", "positive", "along"):
            assert found[metric].tolist() == [0.0] * 3, metric
        assert found["scaled_error"].tolist() == [1.0] * 3
        assert found["relative_mse"].tolist() == pytest.approx([1.0] * 3)


@pytest.mark.parametrize("size", [1e-5, 1e-9])
def test_small_errors_keep_their_digits(size):
    """‖ĝ − g‖² is as small as size², of which ‖ĝ‖² − 2⟨ĝ, g⟩ + ‖g‖² would leave nothing."""
    g = exact()
    noise = {n: torch.randn(12, *t.shape, generator=stream(2, "probe"), dtype=t.dtype)
             for n, t in g.items()}  # fmt: skip
    draws = {n: t + size * noise[n] for n, t in g.items()}
    error = torch.cat([(draws[n] - t).flatten(1) for n, t in g.items()], 1)
    each = error.square().sum(1)
    spread, bias = error.var(0).sum().item(), error.mean(0).square().sum().item()
    for of in summaries(g, draws, [4, 8]):
        assert torch.allclose(of.errors[:, 0], each, rtol=1e-12, atol=0)
        assert of.offset[0].item() == pytest.approx(bias, rel=1e-12)
        # A deviation is a difference of numbers of the size of g: rounded at ε of them.
        assert of.trace[0].item() == pytest.approx(spread, rel=20 * EPS / size + 1e-12)


@pytest.mark.parametrize("bad", [math.inf, math.nan])
@pytest.mark.parametrize("sizes", [[12], [80]])
def test_what_is_not_finite_is_counted_alike_by_layer(bad, sizes):
    g, count = exact(), sum(sizes)
    draws = {n: torch.randn(count, *t.shape, generator=stream(3, "probe"), dtype=t.dtype)
             for n, t in g.items()}  # fmt: skip
    draws["b"][::4, 1] = bad
    kept = draws["b"][torch.arange(count) % 4 != 0]
    for of in summaries(g, draws, sizes):
        assert of.counts.tolist() == [count - count // 4, count, count - count // 4]
        assert of.trace[2].item() == pytest.approx(kept.var(0).sum().item(), rel=1e-11)
        assert of.offset[2].item() == pytest.approx(
            (kept.mean(0) - g["b"]).square().sum().item(), rel=1e-11
        )


def test_a_block_that_is_not_visited_is_not_positive_live_or_under_the_microscope():
    """The network has four blocks, and a draw visits one."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
    batch = torch.randn(32, 8), torch.randint(3, (32,))
    of = subject(net, nn.CrossEntropyLoss(), batch, BlockForwardGradient(), 0)
    live = probe(of.chain, of.params, of.watched, draws=512)
    still = measure(net, nn.CrossEntropyLoss(), batch, BlockForwardGradient(), draws=512)
    (label,) = still.values
    for found in (live, still):
        # Each of the four blocks is visited by chance 1/4; (g·v) (g·v) is positive.
        positive = found.value("positive", label, "0.weight")
        assert abs(positive - 0.25) < 4 * (0.25 * 0.75 / 512) ** 0.5
    low, high = still.intervals[label]["positive"][still.place("0.weight")]
    assert low < 0.262 < high
