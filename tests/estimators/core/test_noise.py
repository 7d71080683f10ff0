"""Noise has the moments that estimators rely on, and the layout that dual numbers need."""

import math

import pytest
import torch

from estimators import stream
from estimators.core.noise import noise, tangents

KINDS = ("rademacher", "normal", "sphere")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_mean_variance_and_neighbours(kind, dtype):
    n = 2**16 + 5
    v = noise(torch.empty(n, dtype=dtype), kind, stream(0, "estimator"))
    assert v.dtype == dtype
    assert abs(v.mean()) < 5 / math.sqrt(n)
    assert abs(v.square().mean() - 1) < 5 * math.sqrt(2 / n)
    for lag in (1, 2, 3, 7, 8, 63, 64):  # within a byte, a word, and across
        assert abs((v[lag:] * v[:-lag]).mean()) < 5 / math.sqrt(n)


def test_signs_are_signs_at_every_bit():
    v = noise(torch.empty(4096, 64), "rademacher", stream(0, "estimator"))
    assert set(v.unique().tolist()) == {-1.0, 1.0}
    assert (v.mean(0).abs() < 5 / 64).all()  # no bit of the 64 is stuck


@pytest.mark.parametrize("kind", KINDS)
def test_tangents_are_independent_and_own_their_storage(kind):
    params = {"a": torch.zeros(3, 5), "b": torch.zeros(()), "c": torch.zeros(4, 6).T}
    v = tangents(params, kind, stream(0, "estimator"))
    for t, p in zip(v, params.values(), strict=True):
        assert t.shape == p.shape
        assert t.stride() == p.stride()
        assert t.untyped_storage().nbytes() == p.numel() * 4
        assert t.storage_offset() == 0
    assert len({t.untyped_storage().data_ptr() for t in v}) == 3


def test_a_sphere_spans_all_parameters():
    params = {"a": torch.zeros(30), "b": torch.zeros(10)}
    a, b = tangents(params, "sphere", stream(0, "estimator"))
    assert (a.square().sum() + b.square().sum()).item() == pytest.approx(40)
    assert a.square().sum().item() != pytest.approx(30, abs=1e-3)


def test_noise_of_a_transposed_activation():
    z = torch.zeros(5, 3, 2).transpose(0, 2)
    for kind in KINDS:
        assert noise(z, kind, stream(0, "estimator")).shape == z.shape


def test_streams_are_keyed():
    def first(*key):
        return torch.rand(1, generator=stream(*key)).item()

    keys = [(0, "data"), (1, "data"), (0, "estimator"), (0, "data", 1), (0, "data", 1, 2)]
    assert len({first(*key) for key in keys}) == len(keys)
    assert first(0, "data", 1) == first(0, "data", 1)


def test_signs_for_tensors_of_several_types():
    like = {"a": torch.zeros(3, dtype=torch.float64), "b": torch.zeros(5)}
    assert [v.dtype for v in tangents(like, "rademacher", stream(0, "probe"))] == [
        torch.float64,
        torch.float32,
    ]
