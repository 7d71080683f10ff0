"""Which way a perturbed pass takes: from the structure of the network, confirmed in float64."""

import pytest
import torch
from torch import nn

from estimators import Chain, Site, stream
from estimators.autodiff.jvp_mode import JVPMode
from estimators.autodiff.operations.elementwise import RELU
from estimators.autodiff.operations.operation import Call
from estimators.autodiff.operations.table import means_operation
from estimators.autodiff.perturbed_engines import (
    DualNumbers,
    OperationByOperation,
    ToLastSite,
    ToLoss,
)
from estimators.autodiff.perturbed_pass import agree, engine_of, perturb

X = torch.randn(6, 4, generator=stream(0, "data"))
Y = torch.tensor([0, 1, 2] * 2)


def chain_of(*middle, x=X, **options):
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Linear(4, 4), Site(), *middle, nn.Linear(4, 4), Site(), nn.Tanh(), nn.Linear(4, 3)
    ).to(x.dtype)
    return Chain(module, x, Y, **options), {n: p.detach() for n, p in module.named_parameters()}


def engine(*middle, **options):
    return type(engine_of(*chain_of(*middle, **options)))


class Hiding(nn.Module):
    """z + scale · sin z, whose second term no interception sees."""

    def __init__(self, scale):
        super().__init__()
        self.scale = scale

    def forward(self, z):
        with torch._C.DisableTorchFunction():
            hidden = z.sin()
        return z + self.scale * hidden


class Clipped(torch.autograd.Function):
    """The identity, whose derivative is 0 where the input is large: nowhere near zero."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        ctx.save_for_forward(x)
        return x.clone()

    @staticmethod
    def backward(ctx, g):
        return g * (ctx.saved_tensors[0].abs() < 100)

    @staticmethod
    def jvp(ctx, t):
        return t * (ctx.saved_tensors[0].abs() < 100)


class Clip(nn.Module):
    def forward(self, x):
        return Clipped.apply(x)


class Constant(nn.Module):
    """A tensor that is no attribute of the module stays in its own precision."""

    def __init__(self):
        super().__init__()
        self.matrices = [torch.eye(4)]

    def forward(self, x):
        return x @ self.matrices[0]


class Skip(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear, self.site = nn.Linear(4, 4), Site()

    def forward(self, x):
        return x + self.site(self.linear(x))


class Unlisted(nn.Module):
    def forward(self, x):
        return x.exp().log1p()


@pytest.mark.parametrize(
    ("middle", "way"),
    [
        ([nn.Tanh()], OperationByOperation),
        ([Unlisted()], ToLastSite),
        ([nn.BatchNorm1d(4)], ToLoss),
        ([Clip()], DualNumbers),
        ([Constant()], DualNumbers),
    ],
    ids=["all in the table", "not in the table", "coupled", "own function", "constant"],
)
def test_the_structure_decides(middle, way):
    assert engine(*middle) is way


@pytest.mark.parametrize("place", [0, 6], ids=["before the first site", "behind the last"])
def test_a_function_that_no_tangent_meets_costs_nothing(place):
    chain, params = chain_of(Unlisted())
    layers = [*chain.module]
    module = nn.Sequential(*layers[:place], Clip(), *layers[place:])
    params = {n: p.detach() for n, p in module.named_parameters()}
    assert type(engine_of(Chain(module, X, Y), params)) is ToLastSite


class Masked(torch.autograd.Function):
    """A function of its own that is right about its derivative, which is zero on these inputs."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        ctx.save_for_forward(x)
        return (x - 100).clamp(min=0)

    @staticmethod
    def backward(ctx, g):
        return g * (ctx.saved_tensors[0] > 100)

    @staticmethod
    def jvp(ctx, t):
        return t * (ctx.saved_tensors[0] > 100)


def test_a_function_whose_derivative_is_zero_near_the_start_is_no_proof():
    """The numbers agree there: the structure alone tells."""

    class Mask(nn.Module):
        def forward(self, x):
            return x + Masked.apply(x)

    assert engine(Mask()) is DualNumbers


def test_a_path_round_the_last_site_takes_tangents_to_the_loss():
    module = nn.Sequential(nn.Linear(4, 4), Site(), Skip(), nn.Linear(4, 3))
    params = {n: p.detach() for n, p in module.named_parameters()}
    assert type(engine_of(Chain(module, X, Y), params)) is ToLoss


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-6])
def test_a_hidden_operation_is_found_however_little_it_adds(scale):
    """By 1 % of the largest number, a hidden term of 10⁻³ looked like rounding."""
    assert engine(Hiding(scale)) is DualNumbers


def test_a_hidden_path_to_one_tensor_of_tiny_gradients_is_found():
    """The gradients of one layer are 10⁻⁹ of the largest, and wrong altogether."""
    sure = [torch.ones(3, dtype=torch.float64), torch.full((2,), 1e-9, dtype=torch.float64)]
    assert agree(sure, sure)
    assert agree([sure[0] * (1 + 1e-12), sure[1] * (1 + 1e-12)], sure)
    assert not agree([sure[0], -sure[1]], sure)
    assert not agree([sure[0], sure[1] * (1 + 1e-3)], sure)
    assert not agree([sure[0] * float("nan"), sure[1]], sure)


def test_a_gradient_that_cancels_to_rounding_is_no_difference():
    """A bias before a normalisation has a gradient of rounding errors alone."""
    assert engine(Unlisted(), nn.Linear(4, 4), nn.LayerNorm(4)) is ToLastSite


def test_half_precision_is_confirmed_in_double():
    assert engine(Unlisted(), x=X.bfloat16()) is ToLastSite


def test_a_hook_that_comes_later_is_confirmed_anew():
    chain, params = chain_of(Unlisted())
    assert type(engine_of(chain, params)) is ToLastSite
    handle = chain.module[2].register_forward_hook(lambda m, args, y: Clipped.apply(y))
    assert type(engine_of(chain, params)) is DualNumbers
    handle.remove()
    assert type(engine_of(chain, params)) is ToLastSite


def test_the_choice_draws_no_noise():
    drawn = []
    for _ in range(2):
        chain, params = chain_of(Unlisted())
        perturb(chain, params, lambda i, z: drawn.append(i) or torch.ones_like(z))
    assert drawn == [0, 1] * 2


def read(x):
    return Call(RELU, x)


@means_operation(read)
class Rectified(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        y = x.clamp(min=0)
        ctx.save_for_backward(y)
        ctx.save_for_forward(y)
        return y

    @staticmethod
    def backward(ctx, g):
        return g * (ctx.saved_tensors[0] > 0)

    @staticmethod
    def jvp(ctx, t):
        return t * (ctx.saved_tensors[0] > 0)


@means_operation(read)
def rectified(x):
    if torch.overrides.has_torch_function((x,)):
        return torch.overrides.handle_torch_function(rectified, (x,), x)
    return Rectified.apply(x)


def test_a_function_outside_the_table_brings_its_own_rule(monkeypatch):
    class Own(nn.Module):
        def forward(self, x):
            return rectified(x)

    assert engine(Own()) is ToLastSite
    monkeypatch.setattr(JVPMode, "_dual", None)
    chain, params = chain_of(Own())
    perturb(chain, params, lambda i, z: torch.ones_like(z))
