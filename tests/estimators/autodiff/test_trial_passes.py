"""Where torch lacks a forward-mode derivative, it is said beforehand, with who serves."""

import warnings
from collections import OrderedDict

import pytest
import torch
from torch import nn

from estimators import Chain, ForwardGradient, Need, Site, UnsupportedError, require, stream
from estimators.combine.clip_norm import ClipNorm
from estimators.core.objective import Objective
from estimators.registry import discover


class Attention(nn.Module):
    """Fused attention between the tokens of (B, tokens, 4)."""

    def __init__(self):
        super().__init__()
        self.map = nn.Linear(4, 12)

    def forward(self, x):
        q, k, v = self.map(x).unsqueeze(1).chunk(3, -1)
        return nn.functional.scaled_dot_product_attention(q, k, v).squeeze(1)


class Mean(nn.Module):
    def forward(self, x):
        return x.mean(1)


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, *grads):
        return 2 * grads[0]


class Own(nn.Module):
    def forward(self, x):
        return Doubled.apply(x)


def hidden(*more):
    return nn.Sequential(nn.Linear(4, 4), Site(), nn.Tanh(), *more)


def normed():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stage = hidden()
        nn.utils.parametrizations.weight_norm(stage[0])
    return OrderedDict(a=stage, b=nn.Linear(4, 3))


NETWORKS = {
    "fused attention": (
        lambda: OrderedDict(
            a=hidden(),
            b=hidden(Attention(), Site()),
            c=nn.Sequential(hidden(), Mean(), nn.Linear(4, 3)),
        ),
        (5, 4),
        "_scaled_dot_product_flash_attention_for_cpu",
    ),
    "weight norm": (normed, (4,), "_weight_norm_interface"),
    "own function": (
        lambda: OrderedDict(a=hidden(Own()), b=hidden(), c=nn.Linear(4, 3)),
        (4,),
        "Function Doubled without jvp",
    ),
}


def chain_of(name):
    make, shape, _ = NETWORKS[name]
    torch.manual_seed(0)
    return Chain(nn.Sequential(make()), torch.randn(6, *shape), torch.zeros(6, dtype=torch.int64))


def without_an_equilibrium():
    """Every estimator by name, at its defaults, that does without an equilibrium stage."""
    made = ((title, entry.cls()) for title, entry in discover().estimators.items())
    return [(title, e) for title, e in made if Need.EQUILIBRIUM not in e.needs()]


@pytest.mark.parametrize("name", NETWORKS)
def test_each_estimator_serves_or_is_refused_beforehand(name):
    chain, lacking = chain_of(name), NETWORKS[name][2]
    params = {n: p.detach() for n, p in chain.module.named_parameters()}
    refused = {}
    for title, estimator in without_an_equilibrium():
        try:
            require(estimator, chain, params)
            state = estimator.init(chain, params, stream(0, "init"))
            estimator.estimate(chain, params, state, stream(0, "estimator"))
        except UnsupportedError as error:
            refused[title] = str(error)
    assert all(lacking in told for told in refused.values())
    assert all("such as spsa, node_perturbation or feedback" in told for told in refused.values())
    assert {"forward_gradient", "sparse_forward_gradient", "clip_norm"} <= {*refused}
    assert not {"spsa", "node_perturbation", "feedback_alignment", "backprop"} & {*refused}


def test_a_plain_loss_is_tried_too():
    objective = Objective(lambda params: Doubled.apply(params["w"]).sum())
    with pytest.raises(UnsupportedError, match=r"^clip_norm needs .*without jvp"):
        require(ClipNorm(inner=ForwardGradient()), objective, {"w": torch.ones(2)})


def test_a_network_without_numbers_is_tried_by_its_shapes():
    """As a run's configuration is validated."""
    with torch.device("meta"):
        module = nn.Sequential(hidden(), hidden(), nn.Linear(4, 3))
        chain = Chain(module, torch.zeros(6, 4), torch.zeros(6, dtype=torch.int64))
        for _, estimator in without_an_equilibrium():
            require(estimator, chain)
