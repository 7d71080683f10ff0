"""Every operation of the table, by function and by module: its rules are float64 autograd's.

The parameters of the tests are read from the table, so that a new operation without an example
here fails.
"""

from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize, prune

from estimators import Chain, Site, stream
from estimators.autodiff.calculus import cut_at_sites, cut_at_stages, pull_back, value_and_grad
from estimators.autodiff.jvp_mode import JVPMode
from estimators.autodiff.operations.operation import Call
from estimators.autodiff.operations.table import TABLE, operation_of, reader_of
from estimators.autodiff.perturbed_engines import OperationByOperation
from estimators.autodiff.perturbed_pass import engine_of, perturb
from estimators.autodiff.staged_pass import StagedPass
from estimators.autodiff.weight_tangents import layers_of, slopes_through
from estimators.core.module_call import calls_forward_alone
from estimators.core.noise import stacked_tangents
from estimators.perturbation._directions.slopes import slopes

IMAGE, SIGNAL, ROWS = (4, 2, 6, 5), (4, 4, 6), (4, 6)


class Example(NamedTuple):
    """Arguments for the functions of an entry: the shapes of its tensors, and the call."""

    shapes: tuple[tuple[int, ...], ...]
    call: Callable = lambda f, *tensors: f(*tensors)


FUNCTIONS = {
    "linear": Example(((4, 3, 6), (5, 6), (5,))),
    "conv1d": Example((SIGNAL, (6, 2, 3), (6,)), lambda f, x, w, b: f(x, w, b, 2, 1, 1, 2)),
    "conv2d": Example(
        (IMAGE, (3, 2, 2, 3), (3,)), lambda f, x, w, b: f(x, w, b, (1, 2), padding=1)
    ),
    "conv3d": Example(((2, 2, 4, 3, 3), (3, 2, 2, 2, 2), (3,)), lambda f, *t: f(*t, dilation=2)),
    "relu": Example((IMAGE,)),
    "tanh": Example((IMAGE,)),
    "sigmoid": Example((IMAGE,)),
    "silu": Example((IMAGE,)),
    "gelu": Example((IMAGE,), lambda f, x: f(x, approximate="tanh")),
    "elu": Example((IMAGE,), lambda f, x: f(x, 0.7)),
    "softplus": Example((IMAGE,), lambda f, x: f(x, 2.0, 1.0)),
    "leaky_relu": Example((IMAGE,), lambda f, x: f(x, 0.2)),
    "layer_norm": Example(
        ((*IMAGE,), (6, 5), (6, 5)), lambda f, x, w, b: f(x, (6, 5), w, b, eps=0.1)
    ),
    "group_norm": Example(((4, 4, 3, 2), (4,), (4,)), lambda f, x, w, b: f(x, 2, w, b, 0.1)),
    "batch_norm": Example(
        (IMAGE, (2,), (2,)), lambda f, x, w, b: f(x, None, None, w, b, training=True, eps=0.1)
    ),
    "flatten": Example((IMAGE,), lambda f, x: f(x, 1, 2)),
    "reshape": Example((ROWS,), lambda f, x: f(x, (4, 2, 3))),
    "transpose": Example((IMAGE,), lambda f, x: f(x, 1, -1)),
    "permute": Example((IMAGE,), lambda f, x: f(x, (0, 3, 1, 2))),
    "mean": Example((IMAGE,), lambda f, x: f(x, (1, 3), keepdim=True)),
    "sum": Example((IMAGE,), lambda f, x: f(x, -1)),
    "add": Example(((4, 1, 6), (2, 6))),
    "avg_pool1d": Example((SIGNAL,), lambda f, x: f(x, 3, 2, 1)),
    "avg_pool2d": Example(
        (IMAGE,), lambda f, x: f(x, (2, 3), 2, 1, ceil_mode=True, count_include_pad=False)
    ),
    "adaptive_avg_pool1d": Example((SIGNAL,), lambda f, x: f(x, 4)),
    "adaptive_avg_pool2d": Example((IMAGE,), lambda f, x: f(x, (3, 1))),
    "max_pool2d": Example((IMAGE,), lambda f, x: f(x, (3, 2), 2, 1, 1, True)),
}
"""For each entry that has functions, under its name."""

MODULES = {
    nn.Linear: (ROWS, lambda: nn.Linear(6, 5)),
    nn.Conv1d: (SIGNAL, lambda: nn.Conv1d(4, 3, 3, stride=2, padding=1, bias=False)),
    nn.Conv2d: (IMAGE, lambda: nn.Conv2d(2, 3, (2, 3), padding=1)),
    nn.Conv3d: ((4, 2, 3, 3, 2), lambda: nn.Conv3d(2, 3, 2)),
    nn.ReLU: (IMAGE, nn.ReLU),
    nn.Tanh: (IMAGE, nn.Tanh),
    nn.Sigmoid: (IMAGE, nn.Sigmoid),
    nn.SiLU: (IMAGE, nn.SiLU),
    nn.GELU: (IMAGE, lambda: nn.GELU("tanh")),
    nn.ELU: (IMAGE, lambda: nn.ELU(0.7)),
    nn.Softplus: (IMAGE, lambda: nn.Softplus(2, 1)),
    nn.LeakyReLU: (IMAGE, lambda: nn.LeakyReLU(0.2)),
    nn.LayerNorm: (IMAGE, lambda: nn.LayerNorm(5)),
    nn.GroupNorm: ((4, 4, 3, 2), lambda: nn.GroupNorm(2, 4)),
    nn.BatchNorm1d: (SIGNAL, lambda: nn.BatchNorm1d(4)),
    nn.BatchNorm2d: (IMAGE, lambda: nn.BatchNorm2d(2)),
    nn.Identity: (IMAGE, nn.Identity),
    Site: (IMAGE, Site),
    nn.Flatten: (IMAGE, nn.Flatten),
    nn.AvgPool1d: (SIGNAL, lambda: nn.AvgPool1d(3, 2, 1)),
    nn.AvgPool2d: (IMAGE, lambda: nn.AvgPool2d((2, 3), 2, 1, divisor_override=3)),
    nn.AdaptiveAvgPool1d: (SIGNAL, lambda: nn.AdaptiveAvgPool1d(4)),
    nn.AdaptiveAvgPool2d: (IMAGE, lambda: nn.AdaptiveAvgPool2d((3, 1))),
    nn.MaxPool2d: (IMAGE, lambda: nn.MaxPool2d((3, 2), 2, 1, ceil_mode=True)),
}
"""For each module type of the table: a shape of its input, and how one is made."""


# --- memory layouts ---


def spaced(t):
    """The same numbers, every second one of a larger tensor."""
    return torch.stack([t, t + 1], -1)[..., 0] if t.ndim else t


def turned(t):
    """The same numbers, with the axes in memory in the opposite order."""
    axes = tuple(range(t.ndim))[::-1]
    return t.permute(axes).contiguous().permute(axes)


def channels_last(t):
    return t.contiguous(memory_format=torch.channels_last) if t.ndim == 4 else t


LAYOUTS = {"contiguous": lambda t: t, "spaced": spaced, "turned": turned, "channels last":
           channels_last}  # fmt: skip
each_layout = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
each_count = pytest.mark.parametrize("count", [1, 3])


def normal(*shape, seed=0):
    rng = stream(seed, "data")
    return torch.randn(*shape, dtype=torch.float64, generator=rng)


# --- by function ---

BY_FUNCTION = [
    pytest.param(entry.name, function, id=f"{entry.name} {i}")
    for entry in TABLE
    for i, function in enumerate(entry.functions)
]
each_function = pytest.mark.parametrize(("name", "function"), BY_FUNCTION)


def tensors_of(name, layout):
    shapes = FUNCTIONS[name].shapes
    return tuple(layout(normal(*shape, seed=i)) for i, shape in enumerate(shapes))


def tangents_of(tensors, count, layout):
    shape = () if count == 1 else (count,)
    drawn = [normal(*shape, *t.shape, seed=9 + i) for i, t in enumerate(tensors)]
    return [turned(t) if layout is turned else spaced(t) if layout is spaced else t for t in drawn]


def moved(f, tensors, tangents, count):
    """The tangent of f(*tensors) by torch, or K of them."""
    if count == 1:
        return torch.func.jvp(f, tensors, tuple(tangents))[1]
    each = [torch.func.jvp(f, tensors, tuple(t[k] for t in tangents))[1] for k in range(count)]
    return torch.stack(each)


def served(name, layout):
    """A view needs a tensor whose axes can be divided."""
    return not (name == "reshape" and layout is turned)


@each_layout
@each_count
@each_function
def test_a_rule_is_the_derivative_of_its_function(name, function, count, layout):
    if not served(name, layout):
        function = torch.reshape
    example, tensors = FUNCTIONS[name], tensors_of(name, layout)
    call = example.call(reader_of(function), *tensors)
    assert isinstance(call, Call)
    y, saved = call.operation.forward(*tensors)
    f = lambda *ts: example.call(function, *ts)  # noqa: E731
    plain = tuple(t.contiguous() for t in tensors)  # torch itself fails on some other layouts
    torch.testing.assert_close(y, f(*plain), rtol=1e-12, atol=1e-12)

    tangents = tangents_of(tensors, count, layout)
    for given in ((0,), (1,), (2,), (0, 1, 2)):
        if not all(i < len(tensors) for i in given) and len(given) == 1:
            continue
        some = [t if i in given else torch.zeros_like(t) for i, t in enumerate(tangents)]
        wanted = moved(f, plain, some, count)
        found = call.operation.jvp(
            saved, *(t if i in given else None for i, t in enumerate(tangents)), count=count
        )
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)

    leaves = [t.clone().requires_grad_() for t in plain]
    signal = layout(normal(*y.shape, seed=7))
    wanted = torch.autograd.grad(f(*leaves), leaves, signal)
    asked = tuple(i < len(tensors) for i in range(3))
    found = call.operation.vjp(saved, signal, asked)
    for g, w in zip(found, wanted, strict=False):
        torch.testing.assert_close(g, w, rtol=1e-10, atol=1e-10)
    only_x = call.operation.vjp(saved, signal)
    torch.testing.assert_close(only_x[0], wanted[0], rtol=1e-10, atol=1e-10)
    assert only_x[1:] == (None, None)


@each_count
@each_function
def test_an_intercepted_call_moves_its_tangents_by_the_rule(name, function, count, monkeypatch):
    monkeypatch.setattr(JVPMode, "_dual", None)  # the other way, which is not to be taken
    example, tensors = FUNCTIONS[name], tensors_of(name, lambda t: t)
    mode, tangents = JVPMode({}, count), tangents_of(tensors, count, None)
    for t, tangent in zip(tensors, tangents, strict=True):
        mode.put(t, tangent)
    with mode:
        y = example.call(function, *tensors)
    wanted = moved(lambda *ts: example.call(function, *ts), tensors, tangents, count)
    torch.testing.assert_close(mode.get(y), wanted, rtol=1e-10, atol=1e-10)
    assert not mode.get(y).requires_grad


# --- by module, in a network ---

BY_MODULE = [pytest.param(entry, cls, id=cls.__name__) for entry in TABLE for cls in entry.modules]
each_module = pytest.mark.parametrize(("entry", "cls"), BY_MODULE)


class Bent(nn.Module):
    """A parametrisation."""

    def forward(self, w):
        return w + torch.tanh(w)


def hooked(m):
    m.register_forward_hook(lambda module, args, y: y * 1.5 + y.square().mean())


def pre_hooked(m):
    m.register_forward_pre_hook(lambda module, args: (args[0].sin(),))


def overridden(m):
    m.forward = lambda x: type(m).forward(m, x).cos()


def parametrised(m):
    parametrize.register_parametrization(m, "weight", Bent())


def pruned(m):
    prune.random_unstructured(m, "weight", 0.4)


CHANGES = {
    "forward hook": hooked,
    "forward pre-hook": pre_hooked,
    "own forward": overridden,
    "parametrisation": parametrised,
    "pruning": pruned,
}
ON_WEIGHTS = (parametrised, pruned)


def network(cls, layout=lambda t: t, change=None):
    """LayerNorm and a site, the module, and a linear readout: float64, away from the start."""
    shape, make = MODULES[cls]
    torch.manual_seed(0)
    m = make().double()
    with torch.no_grad():
        size = m(normal(*shape)).flatten(1).shape[1]
    first = nn.Sequential(nn.LayerNorm(shape[1:]), Site())
    module = nn.Sequential(first, m, nn.Sequential(nn.Flatten(), nn.Linear(size, 3))).double()
    if change is not None:
        change(m)
    for i, p in enumerate(module.parameters()):
        p.data = layout(p.data + 0.3 * normal(*p.shape, seed=i))
    chain = Chain(module, layout(normal(*shape)), torch.tensor([0, 2, 1, 1]))
    return chain, {n: p.detach() for n, p in module.named_parameters()}


def in_order(chain, params):
    """The same chain and parameters, contiguous in memory: torch fails on some other layouts."""
    return chain.on(chain.x.contiguous(), chain.y), {n: p.contiguous() for n, p in params.items()}


def check_perturbed(chain, params, count):
    """Coefficients and pull-back are autograd's."""
    us = []

    def noise(site, z):
        axes = () if count == 1 else (count,)
        us.append(normal(*axes, *z.shape, seed=20 + site))
        return us[site]

    found = perturb(chain, params, noise, count)
    chain, params = in_order(chain, params)

    def losses(*noises):
        return chain.losses(chain.forward(params, at_site=lambda i, z: z + noises[i]))

    zeros = tuple(torch.zeros_like(u if count == 1 else u[0]) for u in us)
    wanted = moved(losses, zeros, us, count) / len(chain.x)
    torch.testing.assert_close(found.coefficients, wanted, rtol=1e-9, atol=1e-10)
    cut = cut_at_sites(chain, params)
    signals = [normal(*z.shape, seed=30) for z in cut.places]
    torch.testing.assert_close(
        found.pull_back(signals), pull_back(cut, signals), rtol=1e-9, atol=1e-10
    )
    torch.testing.assert_close(found.loss, chain(params))


def check_staged(chain, params):
    cut = cut_at_stages(chain, params)
    sizes = [h[0].numel() for h in cut.places]
    p = normal(len(chain.x), sum(sizes), seed=2)
    run = StagedPass(chain, params, p)
    chain, params = in_order(chain, params)
    pieces = [q.reshape(h.shape) for q, h in zip(p.split(sizes, 1), cut.places, strict=True)]

    def output(*noises):
        return chain.forward(params, at_stage=lambda i, h: h + noises[i])

    zeros = tuple(map(torch.zeros_like, pieces))
    torch.testing.assert_close(run.tangent, moved(output, zeros, pieces, 1), rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(run.output, cut.output.detach())
    signals = [normal(*h.shape, seed=3) for h in cut.places]
    torch.testing.assert_close(
        run.pull_back(signals), pull_back(cut, signals), rtol=1e-9, atol=1e-10
    )


def check_slopes(chain, params, count):
    v = stacked_tangents(params, "normal", stream(0, "estimator"), count)
    loss, found = slopes(chain, params, v)
    value, exact = value_and_grad(*in_order(chain, params))
    wanted = sum(t.flatten(1) @ g.flatten() for t, g in zip(v, exact.values(), strict=True))
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(loss, value)
    layers = layers_of(chain, params)
    if layers is not None:  # one direction alone is not derived in this way
        first = {n: t[:1] for n, t in zip(params, v, strict=True)}
        through = slopes_through(chain, layers, params, first)[1]
        torch.testing.assert_close(through, wanted[:1], rtol=1e-9, atol=1e-10)


@each_layout
@each_module
def test_every_mode_that_reads_the_table_is_right_in_any_memory_layout(entry, cls, layout):
    chain, params = network(cls, layout)
    assert operation_of(chain.module[1]) is not None
    assert layers_of(chain, params) is not None
    if chain.separable:
        assert isinstance(engine_of(chain, params), OperationByOperation)
    for count in (1, 3):
        check_perturbed(chain, params, count)
    check_slopes(chain, params, 3)
    check_staged(chain, params)


CHANGED_MODULES = [
    pytest.param(cls, change, id=f"{cls.__name__}, {name}")
    for entry in TABLE
    for cls in entry.modules
    for name, change in CHANGES.items()
    if entry.parameters or change not in ON_WEIGHTS
]


@pytest.mark.parametrize(("cls", "change"), CHANGED_MODULES)
def test_what_a_call_does_besides_forward_is_part_of_the_network(cls, change):
    plain, before = network(cls)
    chain, params = network(cls, change=change)
    assert operation_of(chain.module[1]) is None
    assert layers_of(chain, params) is None
    if change not in ON_WEIGHTS:
        assert not torch.allclose(chain(params), plain(before)), "the change must matter"
    for count in (1, 3):
        check_perturbed(chain, params, count)
    check_slopes(chain, params, 3)
    check_staged(chain, params)


@each_module
def test_a_hook_that_comes_later_and_goes_is_seen(entry, cls):
    chain, params = network(cls)
    check_perturbed(chain, params, 1)
    handle = chain.module[1].register_forward_hook(lambda m, args, y: y * 1.5)
    for _ in range(2):
        check_perturbed(chain, params, 1)
        check_staged(chain, params)
        check_slopes(chain, params, 3)
        handle.remove()


# --- where `__call__` is more than `forward` ---


def test_a_subclass_a_hook_or_an_override_is_not_forward_alone():
    class Own(nn.Linear):
        def forward(self, input):
            return 2 * super().forward(input)

    class Called(nn.Linear):
        def __call__(self, *args):
            return 2 * super().__call__(*args)

    assert calls_forward_alone(nn.Linear(2, 2))
    assert operation_of(nn.Linear(2, 2)) is not None
    assert operation_of(Own(2, 2)) is None
    assert not calls_forward_alone(Called(2, 2))
    for register in (
        "register_forward_hook",
        "register_forward_pre_hook",
        "register_full_backward_hook",
        "register_full_backward_pre_hook",
    ):
        m = nn.Linear(2, 2)
        handle = getattr(m, register)(lambda *args: None)
        assert not calls_forward_alone(m)
        handle.remove()
        assert calls_forward_alone(m)


def test_a_hook_on_all_modules_is_seen():
    chain, params = network(nn.Linear)
    check_perturbed(chain, params, 1)
    handle = nn.modules.module.register_module_forward_hook(
        lambda m, args, y: 1.5 * y if isinstance(m, nn.Linear | nn.Sequential) else None
    )
    try:
        assert operation_of(chain.module[1]) is None
        check_perturbed(chain, params, 1)
        check_staged(chain, params)
        check_slopes(chain, params, 3)
    finally:
        handle.remove()


def test_a_hook_on_a_container_and_on_the_outermost_one_is_seen():
    for place in (lambda m: m, lambda m: m[0], lambda m: m[2]):
        chain, params = network(nn.Linear)
        place(chain.module).register_forward_hook(lambda m, args, y: y.sin())
        place(chain.module).register_forward_pre_hook(lambda m, args: (args[0] * 1.5,))
        torch.testing.assert_close(
            cut_at_stages(chain, params).output,
            torch.func.functional_call(chain.module, params, (chain.x,)),
        )
        check_perturbed(chain, params, 1)
        check_staged(chain, params)
        check_slopes(chain, params, 3)


def test_a_weight_in_the_place_of_another_parameter_is_differentiated():
    """A map's weight may be an activation: its tangent counts as well."""

    class Attention(nn.Module):
        def forward(self, h):
            return nn.functional.linear(h, h.sin())

    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(6, 4), Site(), Attention(), nn.Linear(4, 3)).double()
    chain = Chain(module, normal(4, 6), torch.tensor([0, 1, 2, 0]), separable=False)
    params = {n: p.detach() for n, p in module.named_parameters()}
    for count in (1, 3):
        check_perturbed(chain, params, count)


def test_under_autocast_no_rule_is_applied():
    chain, params = network(nn.Linear)
    chain = Chain(chain.module.float(), chain.x.float(), chain.y)
    params = {n: p.float() for n, p in params.items()}
    with torch.autocast("cpu", torch.bfloat16):
        assert layers_of(chain, params) is None
        assert not isinstance(engine_of(chain, params), OperationByOperation)
