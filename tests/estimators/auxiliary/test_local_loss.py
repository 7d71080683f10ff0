"""Local losses of auxiliary networks: similarity matching against loops over pairs of examples."""

import math

import pytest
import torch
from torch.nn import functional as F

from estimators import Chain, UnsupportedError, cross_entropy, stream
from estimators.autodiff.calculus import push_forward, value_and_grad
from estimators.auxiliary.local_loss import (
    local_losses,
    predictions,
    refuse_targets,
    similarity_loss,
    with_similarity,
)
from estimators.auxiliary.networks import auxiliary_network, first_weights

LIKE = torch.zeros((), dtype=torch.float64)
B, OUT = 5, 3
Y = torch.tensor([0, 1, 1, 2, 0])
SHAPES = [(6,), (4, 5, 3), (3, 5, 4), (5, 4, 1)]


def network(shape):
    return auxiliary_network("linear", shape, OUT, width=4, norm="none", like=LIKE)


def batch(shape):
    return torch.randn(B, *shape, generator=stream(1, "data"), dtype=torch.float64)


def cosine(a, b):
    a, b = (torch.tensor([x - sum(v) / len(v) for x in v]) for v in (a, b))
    return float(a @ b) / math.sqrt(float(a @ a) * float(b @ b))


def by_pairs(features, y):
    """The mean over pairs of (cosine of features − cosine of one-hot classes)²."""
    torch.set_default_dtype(torch.float64)
    try:
        total = 0.0
        for n in range(len(y)):
            for m in range(len(y)):
                likeness = cosine(features[n].tolist(), features[m].tolist())
                aims = [[float(c == y[i]) for c in range(OUT)] for i in (n, m)]
                total += (likeness - cosine(*aims)) ** 2
        return total / len(y) ** 2
    finally:
        torch.set_default_dtype(torch.float32)


def features_by_hand(h, weight):
    if h.ndim == 2:
        return h @ weight.T
    z = F.conv2d(h, weight, padding=1)
    return z.std((2, 3)) if h.shape[1] > 3 and h.shape[3] > 1 else z.flatten(1)


@pytest.mark.parametrize("shape", SHAPES)
def test_values(shape):
    net = with_similarity(network(shape), shape, LIKE)
    weights = first_weights(net, stream(0, "init"))
    h = batch(shape)
    output = torch.func.functional_call(net, weights, (h,))
    features = features_by_hand(h, weights["compared.weight"])
    torch.testing.assert_close(output[:, OUT:], features, rtol=1e-12, atol=1e-13)
    own = {n.removeprefix("network."): w for n, w in weights.items() if n.startswith("network.")}
    plain = torch.func.functional_call(network(shape), own, (h,))
    assert torch.equal(predictions(output, OUT), plain)
    loss = local_losses("prediction_and_similarity", cross_entropy, OUT)(output, Y)
    expected = 0.01 * float(F.cross_entropy(plain, Y)) + 0.99 * by_pairs(features, Y)
    # The length of centred features has 1e-8 added, of lengths above 0.1.
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    assert loss.shape == ()


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_are_those_of_small_differences_and_of_forward_mode(shape):
    """In a chain, as the estimators differentiate it."""
    losses = local_losses("prediction_and_similarity", cross_entropy, OUT)
    net = with_similarity(network(shape), shape, LIKE)
    chain = Chain(net, batch(shape), Y, losses, separable=False)
    weights = first_weights(net, stream(0, "init"))
    v = {n: torch.randn(w.shape, generator=stream(2, "data")).double() for n, w in weights.items()}
    _, grads = value_and_grad(chain, weights)
    slope = sum(float((grads[n] * v[n]).sum()) for n in weights)
    assert float(push_forward(chain, weights, list(v.values()))[1]) == pytest.approx(slope, 1e-11)
    h = 1e-5
    above, below = (
        float(chain({n: w + s * h * v[n] for n, w in weights.items()})) for s in (1, -1)
    )
    # The difference's own error is h² of a third derivative, 1e-10 times numbers of order 10.
    assert (above - below) / (2 * h) == pytest.approx(slope, rel=1e-6)
    assert all(g.any() for g in grads.values())


def test_features_that_are_all_equal_have_finite_gradients():
    h = torch.zeros(B, 4, 5, 5, dtype=torch.float64)
    net = with_similarity(network((4, 5, 5)), (4, 5, 5), LIKE)
    losses = local_losses("prediction_and_similarity", cross_entropy, OUT)
    chain = Chain(net, h, Y, losses, separable=False)
    loss, grads = value_and_grad(chain, first_weights(net, stream(0, "init")))
    assert loss.isfinite()
    assert all(g.isfinite().all() for g in grads.values())


def test_matched_features_have_no_loss():
    """One-hot features of the classes match themselves, at any scale and offset of an example."""
    scale = torch.tensor([[1.0], [2.0], [3.0], [0.5], [4.0]], dtype=torch.float64)
    features = F.one_hot(Y, OUT) * scale + torch.arange(B)[:, None]
    assert similarity_loss(features, Y, OUT).item() < 1e-14  # lengths are 1e-8 too long
    assert similarity_loss(features.flip(0), Y, OUT).item() > 0.1


def test_prediction_is_the_objective_s_own_loss():
    assert local_losses("prediction", cross_entropy, OUT) is cross_entropy
    with pytest.raises(ValueError, match="no local loss 'similarity'"):
        local_losses("similarity", cross_entropy, OUT)  # type: ignore[arg-type]


def test_similarity_weights_are_blank_and_drawn_without_the_global_generator():
    before = torch.get_rng_state()
    net = with_similarity(network((4, 5, 5)), (4, 5, 5), LIKE)
    first_weights(net, stream(0, "init"))
    assert torch.equal(torch.get_rng_state(), before)
    assert not any(p.any() for p in net.parameters())
    assert {p.dtype for p in net.parameters()} == {torch.float64}


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (torch.zeros(B), r"classes of the examples.* float32 of shape \(5,\)"),
        (torch.zeros(B, OUT, dtype=torch.int64), r"int64 of shape \(5, 3\).*choose .* prediction"),
    ],
)
def test_targets_that_are_no_classes_are_refused(y, words):
    losses = local_losses("prediction_and_similarity", lambda o, _: o.square().sum(1), OUT)
    with pytest.raises(UnsupportedError, match=words):
        losses(torch.zeros(B, OUT + 4), y)
    with pytest.raises(UnsupportedError, match=words):
        refuse_targets("prediction_and_similarity", y)
    refuse_targets("prediction", y)


@pytest.mark.parametrize("shape", [(2,), (2, 1, 1), (2, 3), (2, 2, 2, 2)])
def test_outputs_without_features_to_compare_are_refused(shape):
    with pytest.raises(UnsupportedError, match=r"at least 3 numbers.*choose the local loss"):
        with_similarity(network((6,)), shape, LIKE)
