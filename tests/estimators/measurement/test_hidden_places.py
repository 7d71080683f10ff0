"""A module whose derivative is wrong is named where the loss of the whole network hides it."""

import pytest
import torch
from torch import nn

from estimators import SPSA, Backprop, ForwardGradient, UnsupportedError
from estimators.core.noise import stream
from estimators.measurement.inputs import alone
from estimators.measurement.inputs.derivatives import disagreement
from estimators.measurement.inputs.losses import chain_of
from estimators.measurement.inputs.nearby import examinable
from estimators.measurement.inputs.subject import subject

RNG = stream(0, "data")
X = torch.randn(8, 4, generator=RNG)
Y = torch.arange(8) % 3
CE = nn.CrossEntropyLoss()


class Wrong(torch.autograd.Function):
    """x Wᵀ, whose derivatives by W are `reverse` and `forward` times the right ones."""

    @staticmethod
    def forward(x, w, reverse, forward):
        return x @ w.T

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, w, ctx.reverse, ctx.forward = inputs
        ctx.save_for_backward(x, w)
        ctx.save_for_forward(x, w)

    @staticmethod
    def backward(ctx, g):
        x, w = ctx.saved_tensors
        return g @ w, ctx.reverse * g.T @ x, None, None

    @staticmethod
    def jvp(ctx, tx, tw, *_):
        x, w = ctx.saved_tensors
        return tx @ w.T + ctx.forward * (x @ tw.T)


class Layer(nn.Module):
    def __init__(self, reverse, forward):
        super().__init__()
        torch.manual_seed(1)
        self.w, self.ways = nn.Parameter(torch.randn(6, 6)), (reverse, forward)

    def forward(self, h):
        return Wrong.apply(h, self.w, *self.ways)


class Stopped(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.inner = nn.Linear(6, 6)

    def forward(self, h):
        with torch.no_grad():
            return torch.tanh(self.inner(h))


class Beside(nn.Module):
    """What it computes is looked at, and the loss does not depend on it."""

    def __init__(self):
        super().__init__()
        self.watched = Stopped()

    def forward(self, h):
        self.seen = self.watched(h)
        return h


def deep(middle, scale, depth=10):
    """`middle` near the input, behind it layers that each pass on `scale` of the gradient."""
    torch.manual_seed(0)
    layers = [nn.Linear(4, 6), nn.Tanh(), middle]
    for _ in range(depth):
        layers += [nn.Linear(6, 6), nn.Tanh()]
        with torch.no_grad():
            layers[-2].weight *= scale
    return nn.Sequential(*layers, nn.Linear(6, 3))


def served(module, estimators=ForwardGradient()):  # noqa: B008 - it is frozen
    return subject(module, CE, (X, Y), estimators)


def whole(module):
    """What the loss of the whole network shows by itself."""
    params = {name: p.detach() for name, p in module.named_parameters()}
    return disagreement(*examinable(chain_of(module, CE, X, Y)[0], params))


@pytest.mark.parametrize("scale", [0.3, 0.1])
def test_a_module_that_stops_reverse_mode_behind_a_vanishing_gradient_is_named(scale):
    module = deep(Stopped(), scale)
    with pytest.raises(UnsupportedError, match=r"in module 2 \(Stopped\), reverse mode stops"):
        served(module)


def test_a_stop_is_named_although_differences_of_the_loss_do_not_show_it():
    assert whole(deep(Stopped(), 0.7))[:2] == (True, False)
    with pytest.raises(UnsupportedError, match=r"in module 2 \(Stopped\), reverse mode stops"):
        served(deep(Stopped(), 0.7))


@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_a_derivative_that_is_wrong_by_a_hundredth_is_told(scale):
    module = deep(Layer(1.01, 1.01), scale)
    assert whole(module) is None
    (told,) = served(module, Backprop()).notices
    assert "because of module 2 (Layer)" in told


def test_forward_mode_alone_that_is_wrong_is_refused_for_those_that_use_it():
    module = deep(Layer(1.0, 1.5), 0.1)
    assert whole(module) is None
    with pytest.raises(UnsupportedError, match=r"forward mode is wrong in module 2 \(Layer\)"):
        served(module)
    assert not served(module, [Backprop(), SPSA()]).notices


@pytest.mark.parametrize("middle", [Layer(1, 1), Beside()], ids=["right", "not in the loss"])
@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_a_network_without_a_fault_in_its_loss_is_served(middle, scale):
    assert not served(deep(middle, scale)).notices


def test_inputs_that_no_parameter_moves_do_not_count():
    module = deep(Stopped(), 0.1)
    for p in (*module[0].parameters(), *module[2].parameters()):
        p.requires_grad_(False)
    assert not served(module).notices


def test_each_module_is_examined_once(monkeypatch):
    asked = []
    alone_of = alone._alone
    monkeypatch.setattr(alone, "_alone", lambda c, *r: asked.append(c.name) or alone_of(c, *r))
    tied = nn.Linear(6, 6)
    served(nn.Sequential(nn.Linear(4, 6), tied, nn.Tanh(), tied, nn.Linear(6, 3)))
    assert asked == ["0", "1", "2", "4"]
