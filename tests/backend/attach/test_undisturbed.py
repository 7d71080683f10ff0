"""A probe leaves the loop as it would be without: random numbers, buffers, gradients, modes."""

import random

import numpy as np
import pytest
import torch
from torch import nn

import gradlab
from estimators.core.contract import UnsupportedError
from estimators.core.stateless import ImpureError

ESTIMATORS = [
    gradlab.Backprop(), gradlab.ForwardGradient(tangents=3), gradlab.SPSA(),
    gradlab.ActivityForwardGradient(),
]  # fmt: skip


def network(*, dropout: float = 0.0, norm: bool = True) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(6, 8), nn.BatchNorm1d(8) if norm else nn.Identity(), gradlab.Site(), nn.Tanh(),
        nn.Dropout(dropout), nn.Linear(8, 8), gradlab.Site(), nn.ReLU(), nn.Dropout(dropout),
        nn.Linear(8, 3),
    ).double()  # fmt: skip


def trained(net, batch, run=None, steps=4):
    """What a loop that draws random numbers of its own leaves."""
    for seed in (torch.manual_seed, random.seed, np.random.seed):
        seed(5)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    x, y = batch
    for step in range(steps):
        if run is not None:
            run.step(step, batch)
        noise = torch.randn(()) + random.random() + np.random.rand()
        optimizer.zero_grad(set_to_none=step % 2 == 0)
        nn.functional.cross_entropy(net(x + 0.01 * noise), y).backward()
        optimizer.step()
    return {
        **{n: t.clone() for n, t in net.state_dict().items()},
        **{f"grad {n}": p.grad.clone() for n, p in net.named_parameters()},
        "drawn": torch.cat([torch.rand(2), torch.tensor([random.random(), np.random.rand()])]),
    }


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_a_loop_is_the_same_bit_for_bit(lab, batch, dropout):
    want = trained(network(dropout=dropout), batch)
    with gradlab.attach(
        net := network(dropout=dropout), nn.CrossEntropyLoss(), ESTIMATORS, draws=3, every=1,
        home=lab.home.path,
    ) as run:  # fmt: skip
        got = trained(net, batch, run)
    assert want.keys() == got.keys()
    for name, tensor in want.items():
        assert torch.equal(tensor, got[name]), name
    assert all(m.training for m in net.modules())
    lab.attached.look()
    assert [s for s, _ in lab.points(run.id, "cosine", "", "spsa")] == [0, 1, 2, 3]


def test_gradients_that_wait_for_the_optimiser_are_left(lab, net, batch):
    net[0].weight.grad = torch.full_like(net[0].weight, 7.0)
    with gradlab.attach(
        net, nn.CrossEntropyLoss(), ESTIMATORS[:3], draws=2, home=lab.home.path
    ) as run:
        run.step(0, batch)
    assert torch.equal(net[0].weight.grad, torch.full_like(net[0].weight, 7.0))
    assert net[2].weight.grad is None


def draws(lab, net, batch, estimators, count=500, **more):
    """The measures of the whole network at one probe of many draws."""
    with gradlab.attach(
        net, nn.CrossEntropyLoss(), estimators, draws=count, every=1, home=lab.home.path, **more
    ) as run:
        run.step(0, batch)
    lab.attached.look()
    series = {
        (s.metric, s.estimator): lab.points(run.id, s.metric, "", s.estimator)[0][1]
        for s in lab.store.series(run.id)
        if s.layer == "" and s.estimator
    }
    return run.id, series


def test_the_mask_of_a_probe_is_that_of_the_loop_s_next_pass(lab, batch):
    net = network(dropout=0.5, norm=False)
    torch.manual_seed(11)
    run, _ = draws(lab, net, batch, [gradlab.Backprop()], 2)
    ((_, norm),) = lab.points(run, "exact/norm")
    loss = nn.functional.cross_entropy(net(batch[0]), batch[1])
    grads = torch.autograd.grad(loss, [*net.parameters()])
    want = torch.cat([g.flatten() for g in grads]).norm().item()
    assert norm == pytest.approx(want, rel=1e-12)


def test_all_draws_of_a_probe_have_one_mask(lab, batch):
    """With a mask of its own for each draw, the estimates would scatter about another mean."""
    net = network(dropout=0.5, norm=False)
    estimators = {
        "one": gradlab.ForwardGradient(), "three": gradlab.ForwardGradient(tangents=3),
        "spsa": gradlab.SPSA(eps=1e-5), "activity": gradlab.ActivityForwardGradient(),
    }  # fmt: skip
    _, series = draws(lab, net, batch, estimators)
    for label in estimators:
        # An unbiased ĝ: ⟨ḡ, g⟩/‖g‖² = 1, within four of its standard errors.
        along, error = series["along", label], series["along_se", label]
        assert abs(along - 1) < 4 * error
        assert error < 0.2
    count = sum(p.numel() for p in net.parameters())
    for label, tangents in (("one", 1), ("three", 3)):
        # Signs: tr Var = (d − 1)‖g‖²/K. The square of a normal slope scatters by √2 of its mean,
        # that of 500 draws by 0.063: four of these.
        law = (count - 1) / tangents
        assert series["relative_variance", label] == pytest.approx(law, rel=0.25)


def test_what_runs_a_part_alone_is_refused_under_dropout(lab, batch):
    net = network(dropout=0.5)
    with (
        gradlab.attach(
            net, nn.CrossEntropyLoss(), [gradlab.LocalLosses()], home=lab.home.path
        ) as run,
        pytest.raises((UnsupportedError, ImpureError), match=r"call model.eval\(\) before"),
    ):
        run.step(0, batch)
    net = network(dropout=0.5, norm=False)
    with (
        gradlab.attach(
            net, nn.CrossEntropyLoss(), [gradlab.ForwardGradient(per="example")],
            home=lab.home.path,
        ) as run,
        pytest.raises(UnsupportedError, match=r"draws random numbers at every pass"),
    ):  # fmt: skip
        run.step(0, batch)


def test_a_generator_of_the_network_s_own_cannot_be_replayed(lab, batch):
    class Noisy(nn.Module):
        rng = torch.Generator()

        def forward(self, x):
            return x + torch.randn(x.shape, generator=self.rng, dtype=x.dtype)

    with (
        gradlab.attach(
            nn.Sequential(Noisy(), nn.Linear(6, 3).double()), nn.CrossEntropyLoss(),
            [gradlab.SPSA()], home=lab.home.path,
        ) as run,
        pytest.raises(ValueError, match=r"something in module 0 \(Noisy\) is random"),
    ):  # fmt: skip
        run.step(0, batch)
