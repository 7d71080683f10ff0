"""The replicated aggregator against replicas that are really made."""

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad

from estimators.local._replicated import Pattern, pooled, replicated, replicated_mean

UNITS = ("patch", "group", "channel")
B, P, G, C, K = 3, 4, 2, 3, 5
torch.manual_seed(0)
H = torch.randn(B, P, G, C).double()
HEAD = nn.Linear(G * C, K).double()
Y = torch.randint(K, (B,))
V = torch.randn(B, P, G, C).double()


def losses(features):
    return nn.functional.cross_entropy(HEAD(features), Y, reduction="none")


def plain(h):
    return losses(h.mean(1).flatten(1))


def explicit(h, per):
    """A copy of h for each unit with a loss, in which all other units are detached."""
    patches = range(P) if "patch" in per else [slice(None)]
    groups = range(G) if "group" in per else [slice(None)]
    rows = []
    for p in patches:
        for g in groups:
            mask = torch.zeros_like(h)
            mask[:, p, g] = 1
            replica = mask * h + (1 - mask) * h.detach()
            rows.append(plain(replica))
    shape = [B, *(n for n, unit in ((P, "patch"), (G, "group")) if unit in per)]
    return torch.stack(rows, 1).view(shape)


each_per = pytest.mark.parametrize(
    "per", [("patch", "group"), ("patch",), ("group",), ()], ids=lambda per: "+".join(per)
)


@each_per
def test_every_replica_has_the_plain_loss_for_its_value(per):
    found = replicated(H, losses, Pattern(UNITS, per))
    assert found.shape == explicit(H, per).shape
    torch.testing.assert_close(found, plain(H).view(B, *[1] * len(per)).expand_as(found))


@each_per
def test_each_replica_differentiates_backwards_as_the_explicit_one(per):
    weights = torch.randn(explicit(H, per).shape, dtype=torch.float64)
    found, wanted = (
        torch.autograd.grad((f(h) * weights).sum(), h)[0]
        for f in (lambda h: replicated(h, losses, Pattern(UNITS, per)), lambda h: explicit(h, per))
        for h in [H.clone().requires_grad_()]
    )
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)


@each_per
def test_each_replica_differentiates_forwards_as_the_explicit_one(per):
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(H, V)
        value, found = forward_ad.unpack_dual(replicated(dual, losses, Pattern(UNITS, per)))
    h = H.clone().requires_grad_()
    rows = explicit(h, per)
    wanted = torch.stack(
        [(torch.autograd.grad(r, h, retain_graph=True)[0] * V).sum() for r in rows.reshape(-1)]
    )
    torch.testing.assert_close(found, wanted.view_as(found), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(value, rows.detach())


@each_per
def test_the_sum_of_replicas_and_the_mean_of_scaled_ones_differentiate_as_the_plain_loss(per):
    h = H.clone().requires_grad_()
    wanted = torch.autograd.grad(plain(h).mean(), h)[0]
    summed = replicated(h, losses, Pattern(UNITS, per)).flatten(1).sum(1).mean() if per else None
    if summed is not None:
        torch.testing.assert_close(torch.autograd.grad(summed, h)[0], wanted)
    mean = replicated_mean(h, losses, Pattern(UNITS, per)).mean()
    torch.testing.assert_close(torch.autograd.grad(mean, h)[0], wanted)
    torch.testing.assert_close(mean, plain(h).mean())


def test_pooling_takes_the_mean_over_places_alone():
    torch.testing.assert_close(pooled(H, UNITS), H.mean(1).flatten(1))
    image = torch.randn(2, 3, 4, 5)
    torch.testing.assert_close(pooled(image, ("channel", "height", "width")), image.mean((2, 3)))
    flat = torch.randn(2, 3)
    torch.testing.assert_close(pooled(flat, ("channel",)), flat)
