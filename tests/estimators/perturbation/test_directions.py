"""Many directions at once: the same numbers as one by one, and as reverse mode."""

import pytest
import torch
from torch import nn

from backend.training.networks import networks
from estimators import Chain, ForwardGradient, Objective, Site, stream
from estimators.autodiff.calculus import push_forward, value_and_grad
from estimators.autodiff.weight_tangents import layers_of
from estimators.conformance import cases
from estimators.core.noise import stacked_tangents, tangents
from estimators.core.vectors import scale_each_, squared_lengths, weighted_sum
from estimators.implicit.equilibrium import equilibria
from estimators.perturbation._directions import slopes as directions
from estimators.perturbation._directions.slopes import (
    batched_slopes,
    portions,
    slopes,
    slopes_of_examples,
)

K = 3
SHAPE = (1, 8, 8)


def with_noise(module):
    """Parameters in double precision, biases and gains included, away from their start."""
    rng = stream(1, "init")
    module.double()
    return {
        n: p.detach() + 0.1 * torch.randn(p.shape, generator=rng, dtype=p.dtype)
        for n, p in module.named_parameters()
    }


def on_network(name, **fields):
    rng = stream(0, "init")
    module = networks()[name](**fields).build(SHAPE, 10, rng)
    params = with_noise(module)
    x = torch.rand(4, *SHAPE, generator=rng, dtype=torch.float64)
    return Chain(module, x, torch.tensor([1, 2, 3, 4])), params


def along(exact, v):
    """∇L·v_k for each direction, (K,)."""
    return sum(t.flatten(1) @ g.flatten() for t, g in zip(v, exact.values(), strict=True))


def served():
    """Every network that takes images, at its defaults and with another norm."""
    for name, network in networks().items():
        try:
            network().layout(SHAPE, 10)
        except ValueError:
            continue
        yield pytest.param(name, {}, id=name)
    yield pytest.param("mlp", {"normalisation": "layer"}, id="mlp, layer norm")
    yield pytest.param("cnn", {"normalisation": "group"}, id="cnn, group norm")


@pytest.mark.parametrize(("name", "fields"), list(served()))
def test_forward_and_reverse_mode_agree_on_every_network(name, fields):
    chain, params = on_network(name, **fields)
    value, exact = value_and_grad(chain, params)
    v = stacked_tangents(params, "normal", stream(0, "estimator"), K)
    wanted = along(exact, v)
    single, slope = push_forward(chain, params, [t[0] for t in v])
    torch.testing.assert_close(slope, wanted[0])
    torch.testing.assert_close(single, value)
    ways = [slopes, batched_slopes]
    if equilibria(
        chain.module
    ):  # its solve follows no batch of tangents: `slopes` takes single ones
        with pytest.raises(RuntimeError, match="call it once for each set of tangents"):
            batched_slopes(chain, params, v)
        ways.remove(batched_slopes)
    for way in ways:
        loss, found = way(chain, params, v)
        torch.testing.assert_close(found, wanted)
        torch.testing.assert_close(loss, value)


def test_networks_of_the_lab_are_written_out():
    for name in ("mlp", "cnn"):
        assert layers_of(*on_network(name)) is not None
    assert layers_of(*on_network("mlp", normalisation="layer")) is not None


LAYERS = {
    "in place": [nn.ReLU(inplace=True), nn.Linear(4, 5), nn.ReLU(inplace=True), nn.Linear(5, 3)],
    "tokens": [nn.Unflatten(1, (2, 2)), nn.Linear(2, 3), nn.Flatten(), nn.Linear(6, 3)],
    "no bias": [nn.Linear(4, 5, bias=False), Site(), nn.GELU(), nn.Linear(5, 3, bias=False)],
    "batch norm": [nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 3)],
    "no parameter behind the tanh": [nn.Linear(4, 3), nn.Tanh()],
    "conv": [nn.Unflatten(1, (1, 2, 2)), nn.Conv2d(1, 4, 1), nn.Sigmoid(), nn.AvgPool2d(2),
             nn.Conv2d(4, 4, 1, groups=2), nn.Flatten(), nn.Linear(4, 3)],
}  # fmt: skip


@pytest.mark.parametrize("layers", LAYERS.values(), ids=LAYERS)
def test_layers_of_all_kinds(layers):
    module = nn.Sequential(*layers)
    params = with_noise(module)
    x = torch.randn(6, 4, generator=stream(2, "data"), dtype=torch.float64)
    chain, before = Chain(module, x, torch.tensor([0, 1, 2, 0, 1, 2])), x.clone()
    v = stacked_tangents(params, "normal", stream(0, "estimator"), K)
    loss, found = slopes(chain, params, v)
    assert torch.equal(chain.x, before)
    value, exact = value_and_grad(chain, params)
    torch.testing.assert_close(found, along(exact, v))
    torch.testing.assert_close(loss, value)


def test_tokens_are_written_out_behind_a_linear_map():
    module = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 2), nn.Flatten())
    params = with_noise(module)
    x = torch.randn(4, 3, 2, generator=stream(2, "data"), dtype=torch.float64)
    chain = Chain(module, x, torch.tensor([0, 1, 2, 5]))
    v = stacked_tangents(params, "normal", stream(0, "estimator"), K)
    assert layers_of(chain, params) is not None
    torch.testing.assert_close(
        slopes(chain, params, v)[1], along(value_and_grad(chain, params)[1], v)
    )


def test_what_is_not_a_plain_sequence_is_not_written_out():
    class Doubled(nn.Linear):
        def forward(self, x):
            return 2 * super().forward(x)

    class Own(Chain):
        def forward(self, params, **places):
            return -super().forward(params, **places)

    x, y = torch.randn(3, 4), torch.tensor([0, 1, 2])
    plain = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))
    tied = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))
    tied[2].weight = tied[0].weight
    hooked = nn.Sequential(nn.Linear(4, 4))
    hooked[0].register_forward_hook(lambda m, args, z: 3 * z)
    odd = nn.Sequential(Doubled(4, 4))

    def names(module):
        return dict(module.named_parameters())

    assert layers_of(Chain(plain, x, y), names(plain)) is not None
    assert layers_of(Own(plain, x, y), names(plain)) is None
    assert layers_of(Chain(plain, x, y), {"0.weight": plain[0].weight}) is None
    assert layers_of(Objective(lambda p: p["w"].sum()), {"w": x}) is None
    for module in (tied, hooked, odd):
        chain, params = Chain(module, x, y), {n: p.detach() for n, p in names(module).items()}
        assert layers_of(chain, params) is None
        v = stacked_tangents(params, "normal", stream(0, "estimator"), K)
        wanted = along(value_and_grad(chain, params)[1], v)
        torch.testing.assert_close(slopes(chain, params, v)[1], wanted, rtol=1e-4, atol=1e-5)


def test_what_cannot_be_batched_is_done_in_turn():
    calls = []

    def loss(p):
        calls.append(bool((p["w"] > 0).all()))  # a decision on the numbers
        return (p["w"] ** 3).sum()

    objective = Objective(loss)
    params = {"w": torch.tensor([1.0, 2.0], dtype=torch.float64)}
    v = stacked_tangents(params, "normal", stream(0, "estimator"), K)
    value, found = slopes(objective, params, v)
    torch.testing.assert_close(found, v[0] @ (3 * params["w"] ** 2))
    assert value.item() == 9


def test_an_error_of_the_loss_is_its_own():
    def loss(p):
        raise RuntimeError("a loss that fails")

    v = stacked_tangents({"w": torch.zeros(2)}, "normal", stream(0, "estimator"), K)
    with pytest.raises(RuntimeError, match="a loss that fails"):
        slopes(Objective(loss), {"w": torch.zeros(2)}, v)


@pytest.mark.parametrize("kind", ["rademacher", "normal", "sphere"])
def test_directions_drawn_together_have_the_bits_of_those_drawn_in_turn(kind):
    params = {"a": torch.zeros(3, 5), "b": torch.zeros(()), "c": torch.zeros(4, 6).T}
    together = stacked_tangents(params, kind, stream(0, "estimator"), K)
    rng = stream(0, "estimator")
    for k in range(K):
        for t, one, p in zip(together, tangents(params, kind, rng), params.values(), strict=True):
            assert torch.equal(t[k], one)
            assert t[k].stride() == p.stride()


@pytest.mark.parametrize("at_once", [1, 2, 32])
@pytest.mark.parametrize("combine", ["mean", "orthogonal"])
def test_portions_change_no_estimate(monkeypatch, combine, at_once):
    case = cases()[0]
    estimator = ForwardGradient(tangents=5, noise="normal", combine=combine)

    def estimate():
        return estimator.estimate(case.chain, case.params, None, stream(0, "estimator"))

    whole = estimate()
    monkeypatch.setattr(directions, "MAX_DIRECTIONS", at_once)
    found = estimate()
    torch.testing.assert_close(found.grads, whole.grads)
    torch.testing.assert_close(found.loss, whole.loss)


def test_portions_bound_memory(monkeypatch):
    params = {"w": torch.zeros(1000)}
    monkeypatch.setattr(directions, "MAX_NUMBERS", 5000)
    assert list(portions(12, Objective(lambda p: p["w"].sum()), params)) == [5, 5, 2]
    monkeypatch.setattr(directions, "MAX_NUMBERS", 10)
    assert list(portions(3, Objective(lambda p: p["w"].sum()), params)) == [1, 1, 1]


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_each_example_along_its_own_direction(case):
    chain, params = case.chain, case.params
    v = stacked_tangents(params, "normal", stream(0, "estimator"), len(chain.x))
    losses, found = slopes_of_examples(chain, params, v)
    torch.testing.assert_close(losses.mean(), chain(params))
    for n in range(len(chain.x)):
        one = chain.on(chain.x[n : n + 1], chain.y[n : n + 1])
        value, exact = value_and_grad(one, params)
        torch.testing.assert_close(losses[n], value)
        torch.testing.assert_close(found[n], along(exact, [t[n : n + 1] for t in v])[0])


def test_stacked_arithmetic():
    stack = [torch.tensor([[3.0, 0.0], [1.0, 2.0]]), torch.tensor([4.0, 2.0])]
    assert squared_lengths(stack).tolist() == [25.0, 9.0]
    assert [t.tolist() for t in weighted_sum(stack, torch.tensor([1.0, 2.0]))] == [[5, 4], 8]
    scale_each_(stack, torch.tensor([2.0, 3.0]))
    assert stack[0].tolist() == [[6, 0], [3, 6]]
    assert stack[1].tolist() == [8, 6]
