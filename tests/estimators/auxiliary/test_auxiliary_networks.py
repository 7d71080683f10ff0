"""Auxiliary networks, against the same layers written out by hand in float64."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from estimators import UnsupportedError, stream
from estimators.auxiliary.networks import auxiliary_network, first_weights, multiply_adds

LIKE = torch.zeros((), dtype=torch.float64)
VECTOR, SEQUENCE, IMAGE, VOLUME = (6,), (5, 3), (3, 9, 8), (2, 2, 3, 2)
B, OUT, WIDTH = 4, 5, 7
FITTING = [
    *((name, shape) for name in ("linear", "mlp") for shape in (VECTOR, SEQUENCE, IMAGE, VOLUME)),
    ("cnn", IMAGE),
]
EPS = 1e-5
"""What torch's norms add to the variance."""


def made(name, shape, norm="layer", width=WIDTH):
    return auxiliary_network(name, shape, OUT, width=width, norm=norm, like=LIKE)


def drawn(net, seed=0):
    return first_weights(net, stream(seed, "init"))


def batch(shape, count=B):
    return torch.randn(count, *shape, generator=stream(1, "data"), dtype=torch.float64)


def normalised(h, norm, scale, shift):
    if norm == "none":
        return h
    axes = {"layer": [*range(1, h.ndim)], "batch": [0, *range(2, h.ndim)]}[norm]
    mean = h.mean(axes, keepdim=True)
    var = (h - mean).square().mean(axes, keepdim=True)
    along = (1, -1, *[1] * (h.ndim - 2))
    return (h - mean) / (var + EPS).sqrt() * scale.view(along) + shift.view(along)


def pooled(h):
    if h.ndim == 2:
        return h
    rows, columns = h.shape[2:]
    cut = lambda n: [(0, (n + 1) // 2), (n // 2, n)]  # noqa: E731
    means = [
        h[:, :, a:b, c:d].mean((2, 3)) for a, b in cut(rows) for c, d in cut(columns)
    ]  # of each place, (B, C)
    return torch.stack(means, 2).flatten(1)


def by_hand(name, h, weights, norm):
    """The network's output, from its weights in the order in which its layers have them."""
    values = iter(weights.values())
    bias = (lambda: next(values)) if norm != "batch" else lambda: None

    def normed(z):
        return z if norm == "none" else normalised(z, norm, next(values), next(values))

    if h.ndim not in (2, 4):
        h = h.flatten(1)
    if name == "linear":
        h = normed(h)
    elif name == "mlp":
        h = pooled(h)
        for _ in range(3):
            h = F.linear(h, next(values), bias())
            h = normed(h).relu()
    else:
        h = F.conv2d(h, next(values), bias())
        h = normed(h).relu()
        for _ in range(3):
            h = F.conv2d(h, next(values), bias(), stride=2, padding=1)
            h = normed(h).relu()
    output = F.linear(pooled(h), next(values), next(values))
    assert next(values, None) is None
    return output


@pytest.mark.parametrize("norm", ["none", "layer", "batch"])
@pytest.mark.parametrize(("name", "shape"), FITTING)
def test_values_and_gradients_are_those_of_the_layers(name, shape, norm):
    net = made(name, shape, norm).eval()  # batch statistics are used in every mode
    draws = {n: w.requires_grad_() for n, w in drawn(net).items()}
    with torch.no_grad():
        for w in draws.values():  # scales and shifts that would be missed if left out
            w += 0.1 * torch.randn(w.shape, generator=stream(2, "data"), dtype=w.dtype)
    h = batch(shape).requires_grad_()
    output = torch.func.functional_call(net, draws, (h,))
    expected = by_hand(name, h, draws, norm)
    assert output.shape == (B, OUT)
    torch.testing.assert_close(output, expected, rtol=1e-12, atol=1e-13)
    y = torch.arange(B) % OUT
    got, want = (
        torch.autograd.grad(F.cross_entropy(o, y), [h, *draws.values()], retain_graph=True)
        for o in (output, expected)
    )
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-13)
        assert a.any()


@pytest.mark.parametrize("norm", ["none", "layer", "batch"])
@pytest.mark.parametrize(("name", "shape"), FITTING)
def test_it_is_a_pure_function(name, shape, norm):
    """No running statistics, no mode that changes it, nothing drawn from the global generator."""
    before = torch.get_rng_state()
    net = made(name, shape, norm)
    weights = drawn(net)
    assert torch.equal(torch.get_rng_state(), before)
    assert not list(net.buffers())
    assert not any(p.any() for p in net.parameters())
    h = batch(shape)
    first = torch.func.functional_call(net.train(), weights, (h,))
    assert torch.equal(torch.func.functional_call(net.eval(), weights, (h,)), first)
    alone = torch.func.functional_call(net, weights, (h[:2],))
    assert torch.allclose(alone, first[:2]) is (norm != "batch")


def test_weights_come_from_the_generator_alone_and_fill_their_range():
    net = made("cnn", IMAGE, "layer", width=64)
    weights = drawn(net)
    assert set(weights) == {n for n, _ in net.named_parameters()}
    for name, w in drawn(net).items():
        assert torch.equal(w, weights[name])
    other = drawn(net, seed=1)
    for name, w in weights.items():
        layer = net.get_submodule(name.rpartition(".")[0])
        assert w.dtype == torch.float64
        assert not w.requires_grad
        if name.endswith("bias"):
            assert not w.any()
        elif isinstance(layer, nn.GroupNorm):
            assert torch.equal(w, torch.ones_like(w))
        else:
            bound = (6 / w[0].numel()) ** 0.5
            assert not torch.equal(w, other[name])
            # Of n uniform numbers the largest is above 0.9 of the bound but for odds of 0.9^n.
            assert 0.9 * bound < w.abs().max() <= bound
            assert (w < 0).any()


def test_weights_of_other_layers_are_not_drawn():
    with pytest.raises(ValueError, match=r"0\.weight belongs to a Bilinear"):
        drawn(nn.Sequential(nn.Bilinear(2, 2, 2)))


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("linear", VECTOR, 6 * OUT),
        ("linear", IMAGE, 12 * OUT),
        ("linear", SEQUENCE, 15 * OUT),
        ("mlp", VECTOR, 6 * WIDTH + 2 * WIDTH**2 + WIDTH * OUT),
        ("mlp", IMAGE, 12 * WIDTH + 2 * WIDTH**2 + WIDTH * OUT),
        (
            "cnn",
            IMAGE,
            72 * 3 * WIDTH + (5 * 4 + 3 * 2 + 2 * 1) * 9 * WIDTH**2 + 4 * WIDTH * OUT,
        ),
    ],
)
def test_multiply_adds(name, shape, expected):
    for norm in ("none", "batch"):
        assert multiply_adds(made(name, shape, norm), shape) == expected


def test_the_share_of_the_paper_s_auxiliary_cnn():
    """A residual block of 64 channels at 32x32: the cnn of width 32 has less than 10 %."""
    conv = nn.Conv2d(64, 64, 3, padding=1, bias=False)
    block = multiply_adds(nn.Sequential(conv, nn.BatchNorm2d(64), nn.ReLU(), conv), (64, 32, 32))
    assert block == 2 * 9 * 64**2 * 32**2
    cnn = auxiliary_network("cnn", (64, 32, 32), 10, width=32, norm="batch", like=torch.zeros(()))
    assert 0.01 < multiply_adds(cnn, (64, 32, 32)) / block < 0.1


@pytest.mark.parametrize("side", [2, 3, 4])
def test_the_cnn_reads_small_images(side):
    """Fournier et al.'s last local block puts out 4x4 places."""
    net = made("cnn", (3, side, side), "batch")
    assert torch.func.functional_call(net, drawn(net), (batch((3, side, side)),)).shape == (B, OUT)


@pytest.mark.parametrize(
    ("name", "shape", "norm", "width", "words"),
    [
        ("cnn", (6,), "none", 4, r"reads \(channels, height, width\), .* \(6,\) .* mlp or linear"),
        ("cnn", (6, 1, 4), "none", 4, r"at least 2, .* \(6, 1, 4\) .* choose mlp or linear"),
        ("cnn", (3, 4), "none", 4, r"reads \(channels, height, width\), .* \(3, 4\) .* linear"),
        ("linear", (), "none", 4, r"at least one dimension, .* puts out \(\) an example"),
        ("mlp", (6,), "layer", 1, "norm none, or a width of at least 2"),
        ("linear", (1,), "layer", 4, "normalise single numbers"),
    ],
)
def test_what_does_not_fit_is_refused(name, shape, norm, width, words):
    with pytest.raises(UnsupportedError, match=words):
        made(name, shape, norm, width)


@pytest.mark.parametrize(("name", "norm"), [("resnet", "none"), ("mlp", "group")])
def test_an_unknown_name_is_refused(name, norm):
    with pytest.raises(ValueError, match=f"no auxiliary network '{name}' with norm '{norm}'"):
        made(name, VECTOR, norm)


def test_it_has_the_precision_and_device_of_the_block():
    like = torch.zeros((), dtype=torch.float32)
    net = auxiliary_network("mlp", VECTOR, OUT, width=4, norm="batch", like=like)
    assert {p.dtype for p in net.parameters()} == {torch.float32}
    assert {p.device.type for p in net.parameters()} == {"cpu"}
