"""InfoNCE on two views, with keys behind a stop-gradient."""

from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad

from estimators import ActivityForwardGradient, Chain, Claim, Site
from estimators.conformance import CHECKS, Case, Trial
from estimators.core.info_nce import InfoNCE
from estimators.local.local_losses import LocalLosses

torch.manual_seed(0)
B, D, TAU = 3, 4, 0.3
Z = torch.randn(2 * B, D).double()
NOBODY = torch.zeros(2 * B, dtype=torch.int64)


def by_hand(z, keys):
    """The definition, row by row."""
    z, keys = (t / t.norm(dim=1, keepdim=True) for t in (z, keys))
    rows = []
    for n in range(2 * B):
        likeness = {m: z[n] @ keys[m] / TAU for m in range(2 * B) if m != n}
        rows.append(torch.logsumexp(torch.stack([*likeness.values()]), 0) - likeness[(n + B) % 6])
    return torch.stack(rows)


def test_it_is_the_definition():
    torch.testing.assert_close(InfoNCE(TAU)(Z, NOBODY), by_hand(Z, Z))


def test_it_differentiates_through_the_first_view_alone_forwards_and_backwards():
    z, v = Z.clone().requires_grad_(), torch.randn_like(Z)
    wanted = torch.autograd.grad(by_hand(z, Z).mean(), z)[0]
    torch.testing.assert_close(torch.autograd.grad(InfoNCE(TAU)(z, NOBODY).mean(), z)[0], wanted)
    with forward_ad.dual_level():
        dual = InfoNCE(TAU)(forward_ad.make_dual(Z, v), NOBODY)
        slopes = forward_ad.unpack_dual(dual).tangent
    torch.testing.assert_close(slopes.mean(), (wanted * v).sum())


def test_each_loss_moves_with_its_own_example_alone():
    jacobian = torch.autograd.functional.jacobian(lambda z: InfoNCE(TAU)(z, NOBODY), Z)
    for n, m in ((n, m) for n in range(2 * B) for m in range(2 * B)):
        assert bool(jacobian[n, :, m].any() if jacobian.ndim == 4 else jacobian[n, m].any()) == (
            n == m
        )


def test_an_odd_number_of_rows_is_refused():
    with pytest.raises(ValueError, match="there are 5"):
        InfoNCE()(Z[:5], NOBODY[:5])


@pytest.mark.parametrize("local", [False, True], ids=["FG-A", "LG-FG-A"])
def test_perturbed_activities_estimate_it_without_bias(local):
    module = nn.Sequential(
        OrderedDict(
            hidden=nn.Sequential(nn.Linear(4, 5), Site(("unit",)), nn.Tanh()),
            middle=nn.Sequential(nn.Linear(5, 4), Site(("unit",)), nn.Tanh()),
            projector=nn.Linear(4, 3),
        )
    ).double()
    chain = Chain(module, Z, NOBODY, InfoNCE(TAU))
    params = {n: p.detach() for n, p in module.named_parameters()}
    inner = ActivityForwardGradient(tangents=16)
    estimator = LocalLosses(inner) if local else inner
    assert estimator.claim(chain) is Claim.UNBIASED
    CHECKS["keeps its claim"](Trial(estimator, Case("two views", chain, params)))
