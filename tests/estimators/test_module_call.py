"""The flat walk through nested containers gives what the module gives, hooks included."""

import pytest
import torch
from torch import nn

from estimators.core.module_call import SequentialForward
from estimators.core.objective import Chain, cross_entropy


class Doubled(nn.Sequential):
    """A container that does more than call its children."""

    def forward(self, input):
        return 2 * super().forward(input)


@pytest.fixture
def nested():
    return nn.Sequential(
        nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.Tanh(), nn.Linear(4, 4))),
        Doubled(nn.Linear(4, 4), nn.ReLU()),
        nn.Sequential(),
        nn.Linear(4, 2),
    ).double()


def test_the_walk_gives_what_the_module_gives(nested):
    x = torch.randn(5, 3, dtype=torch.float64)
    assert torch.equal(SequentialForward(nested)(x), nested(x))


@pytest.mark.parametrize("hook", ["register_forward_hook", "register_forward_pre_hook"])
def test_a_hook_on_a_container_is_called(nested, hook):
    route, called = SequentialForward(nested), []
    handle = getattr(nested[0], hook)(lambda module, *_: called.append(module))
    route(torch.randn(5, 3, dtype=torch.float64))
    handle.remove()
    route(torch.randn(5, 3, dtype=torch.float64))
    assert called == [nested[0]]


def test_the_loss_is_the_mean_of_the_losses(nested):
    chain = Chain(nested, torch.randn(5, 3, dtype=torch.float64), torch.tensor([0, 1, 1, 0, 1]))
    output = nested(chain.x)
    params = dict(nested.named_parameters())
    assert chain(params).item() == pytest.approx(cross_entropy(output, chain.y).mean().item())
