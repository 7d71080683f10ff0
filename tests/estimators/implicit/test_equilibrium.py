"""`Equilibrium`: its value and its derivatives in both modes, against dense algebra, central
differences and full unrolling; what it keeps; what it refuses."""

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad
from torch.func import functional_call
from torch.overrides import TorchFunctionMode

from benchmarks.mezo import peak
from estimators import (
    SPSA,
    Anderson,
    Backprop,
    Broyden,
    Chain,
    Equilibrium,
    FixedPoint,
    ForwardGradient,
    ImplicitAdjoint,
    Site,
    UnsupportedError,
    require,
    stream,
)
from estimators.autodiff.calculus import push_forward, value_and_grad
from estimators.implicit._adjoints import differentiating_by
from estimators.implicit.equilibrium import TransformError
from estimators.measurement.draws.one_step import starting_point
from estimators.measurement.inputs.examination import examined
from tests.estimators.implicit.setup_implicit import (
    SOLVERS,
    LinearCell,
    TanhCell,
    batch,
    chain_of,
    direction,
    dot,
    flat,
    jacobians,
    network,
)

CLOSE = {"rtol": 0, "atol": 1e-11}
"""A residual of 2e-14 relative to states of length 2, times ‖(I − J)⁻¹‖ ≤ 1 / 0.3 twice (once for
the state, once for the derivative) and the derivatives of the state, up to 10."""


@pytest.mark.parametrize("name", SOLVERS)
def test_the_output_is_a_fixed_point(name):
    net = network(solver=SOLVERS[name])
    x = net[0](batch()[0]).detach()
    stage = net[1][0]
    z = stage(x)
    torch.testing.assert_close(stage.cell(z, x), z, rtol=0, atol=1e-12)
    torch.testing.assert_close(z, jacobians(stage, x)[0], **CLOSE)


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("cell", [TanhCell, LinearCell])
def test_both_modes_are_the_implicit_function_theorem(name, cell):
    """Against a dense solve with the Jacobian of the cell."""
    stage = network(cell, SOLVERS[name])[1][0]
    x = torch.randn(6, 5, generator=torch.Generator().manual_seed(4)).double()
    z, j = jacobians(stage, x)
    inverse = torch.linalg.inv(torch.eye(5).double() - j)
    theta = dict(stage.cell.named_parameters())
    v, u = direction(theta), torch.randn_like(x)
    with forward_ad.dual_level():
        duals = {n: forward_ad.make_dual(p.detach(), v[n]) for n, p in theta.items()}
        moved = functional_call(stage.cell, duals, (z, forward_ad.make_dual(x, u)))
        df = forward_ad.unpack_dual(moved).tangent
        named = {f"cell.{n}": d for n, d in duals.items()}
        out = functional_call(stage, named, (forward_ad.make_dual(x, u),))
        tangent = forward_ad.unpack_dual(out).tangent
    torch.testing.assert_close(tangent, torch.einsum("bij,bj->bi", inverse, df), **CLOSE)

    signal, leaf = torch.randn_like(x), x.clone().requires_grad_()
    found = torch.autograd.grad(stage(leaf), [leaf, *theta.values()], signal)
    pulled = torch.einsum("bij,bi->bj", inverse, signal)
    f = stage.cell(z, leaf)
    wanted = torch.autograd.grad(f, [leaf, *theta.values()], pulled)
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=6e-11)  # the weights' are sums of 6


@pytest.mark.parametrize("name", SOLVERS)
def test_the_modes_agree_with_each_other_and_with_central_differences(name):
    chain, params = chain_of(network(solver=SOLVERS[name]))
    v = direction(params)
    reverse = dot(value_and_grad(chain, params)[1], v)
    forward = push_forward(chain, params, list(v.values()))[1].item()
    by_func = torch.func.jvp(chain, (params,), (v,))[1].item()
    assert forward == pytest.approx(reverse, abs=1e-11)
    assert by_func == pytest.approx(reverse, abs=1e-11)
    h = 1e-4
    after, before = (chain({n: p + s * v[n] for n, p in params.items()}) for s in (h, -h))
    # Curvature: h²/6 times a third derivative of some hundreds; the solver's 1e-13 / h.
    assert ((after - before) / (2 * h)).item() == pytest.approx(reverse, abs=1e-6)


def test_inputs_move_as_parameters_do():
    net, (x, _) = network(), batch()
    u, signal = torch.randn_like(x), torch.randn(6, 3).double()
    leaf = x.clone().requires_grad_()
    reverse = (torch.autograd.grad(net(leaf), leaf, signal)[0] * u).sum()
    with forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(net(forward_ad.make_dual(x, u))).tangent
    torch.testing.assert_close((tangent * signal).sum(), reverse, rtol=0, atol=1e-10)
    h = 1e-4
    difference = ((net(x + h * u) - net(x - h * u)) * signal).sum() / (2 * h)
    torch.testing.assert_close(difference, reverse, rtol=0, atol=1e-5)


def test_the_gradient_is_that_of_full_unrolling_by_autograd():
    """400 plain steps, written out: 0.7⁴⁰⁰ is far below rounding."""
    net = network()
    x, y = batch()
    z = torch.zeros(6, 5).double()
    injected = net[0](x)
    for _ in range(400):
        z = 0.5 * z + 0.5 * net[1][0].cell(z, injected)
    loss = nn.functional.cross_entropy(net[2](z), y)
    unrolled = torch.autograd.grad(loss, list(net.parameters()))
    implicit = torch.autograd.grad(nn.functional.cross_entropy(net(x), y), list(net.parameters()))
    for a, b in zip(implicit, unrolled, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-8)


def test_parameters_that_a_caller_puts_in_are_those_that_it_reads():
    """Also in the backward pass, when the module has its own again."""
    net = network()
    chain, params = chain_of(net)
    v = direction(params)
    moved = {n: p + 0.1 * v[n] for n, p in params.items()}
    found = value_and_grad(chain, moved)
    by_func = functional_call(net, moved, (chain.x,))
    torch.testing.assert_close(found[0], nn.functional.cross_entropy(by_func, chain.y))
    net.load_state_dict(moved)
    wanted = value_and_grad(chain, dict(net.named_parameters()))
    assert torch.equal(found[0], wanted[0])
    assert torch.equal(flat(found[1]), flat(wanted[1]))


def test_the_value_is_the_same_in_every_mode_bit_for_bit():
    chain, params = chain_of(network())
    with torch.no_grad():
        plain = chain(params)
    assert torch.equal(plain, value_and_grad(chain, params)[0])
    tangents = [torch.zeros_like(p) for p in params.values()]
    assert torch.equal(plain, push_forward(chain, params, tangents)[0])
    assert torch.equal(plain, chain(params).detach())


def nodes_behind(output):
    seen, waiting = set(), [output.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            waiting += [before for before, _ in node.next_functions]
    return len(seen)


def test_the_graph_does_not_grow_with_the_iterations():
    x, _ = batch()
    short, long = (network(solver=FixedPoint(limit=limit))(x) for limit in (2, 100))
    assert nodes_behind(short) == nodes_behind(long) < 25


@pytest.mark.parametrize("solver", [FixedPoint, Anderson, Broyden])
def test_the_memory_of_an_exact_gradient_does_not_grow_with_the_iterations(solver):
    """J is nearly 0.99 times a rotation: both solves go on to their limit."""
    rng = torch.Generator().manual_seed(3)
    x = 1e-3 * torch.randn(8, 64, generator=rng).double()
    used = []
    for limit in (30, 90):
        stage = Equilibrium(TanhCell(64), solver(limit=limit)).double()
        nn.init.orthogonal_(stage.cell.recurrent.weight, gain=0.99, generator=rng)
        nn.init.zeros_(stage.cell.recurrent.bias)
        estimator = ImplicitAdjoint(adjoint="ift")

        def step(stage=stage, estimator=estimator):
            with differentiating_by(estimator._through) as record:
                torch.autograd.grad(stage(x).square().sum(), list(stage.parameters()))
            return record.numbers

        numbers = step()
        assert numbers["forward_iterations"] == numbers["backward_iterations"] == limit
        used.append(peak(step))
    assert used[0] == used[1] > 0


class Counting(TorchFunctionMode):
    calls = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.calls += 1
        return func(*args, **(kwargs or {}))


def test_what_intercepts_a_pass_does_not_see_the_iterations():
    counts = []
    for limit in (2, 100):
        net, (x, _) = network(solver=FixedPoint(limit=limit)), batch()
        with Counting() as mode:
            net(x)
        counts.append(mode.calls)
    assert counts[0] == counts[1]


def test_no_graph_is_made_where_nothing_is_differentiated():
    net, (x, _) = network(), batch()
    with torch.no_grad():
        assert not net(x).requires_grad
    net.requires_grad_(False)
    assert not net(x).requires_grad
    assert net(x.requires_grad_()).requires_grad


def test_a_backward_pass_can_be_repeated_and_leaves_nothing_in_the_cell():
    net, (x, _) = network(), batch()
    total = net(x).square().sum()
    first = torch.autograd.grad(total, list(net.parameters()), retain_graph=True)
    again = torch.autograd.grad(total, list(net.parameters()))
    assert all(map(torch.equal, first, again))
    net(x).square().sum().backward()
    assert all(torch.equal(p.grad, g) for p, g in zip(net.parameters(), first, strict=True))
    assert sorted(net[1].state_dict()) == ["0.cell.recurrent.bias", "0.cell.recurrent.weight"]


def test_a_state_dict_gives_the_same_bits():
    net, other, (x, _) = network(), network(size=0.3), batch()
    assert not torch.equal(net(x), other(x))
    other.load_state_dict(net.state_dict())
    assert torch.equal(net(x), other(x))


def test_an_in_place_nonlinearity_may_follow():
    net, (x, _) = network(), batch()
    out_of_place = nn.Sequential(net[0], net[1], nn.ReLU(), net[2])
    in_place = nn.Sequential(net[0], net[1], nn.ReLU(inplace=True), net[2])
    grads = [
        torch.autograd.grad(m(x).square().sum(), list(m.parameters()))
        for m in (out_of_place, in_place)
    ]
    assert all(map(torch.equal, *grads))


class Injected(nn.Module):
    """f(z, x) = tanh(W z + U x), with a state of another width than x."""

    def __init__(self):
        super().__init__()
        self.recurrent, self.input = nn.Linear(3, 3), nn.Linear(4, 3)

    def start(self, x):
        return x.new_zeros(len(x), 3)

    def forward(self, z, x):
        return torch.tanh(self.recurrent(z) / 2 + self.input(x))


def test_a_cell_may_say_how_wide_its_state_is():
    net = nn.Sequential(Equilibrium(Injected()), nn.Linear(3, 3)).double()
    chain, params = chain_of(net)
    v = direction(params)
    reverse = dot(value_and_grad(chain, params)[1], v)
    assert push_forward(chain, params, list(v.values()))[1].item() == pytest.approx(reverse)


def test_a_linear_solver_of_its_own_has_its_own_tolerance():
    """A solve to 10 % errs by up to 10 % / (1 − ‖J‖) of the signal; the state stays exact."""
    chain, params = chain_of(network())
    loss, exact = value_and_grad(chain, params)
    rough, theta = chain_of(network(linear_solver=FixedPoint(tolerance=0.1)))
    rough_single = {n: p.float() for n, p in theta.items()}
    single = Chain(rough.module.float(), rough.x.float(), rough.y)
    found_loss, found = value_and_grad(single, rough_single)
    torch.testing.assert_close(found_loss.double(), loss, rtol=1e-5, atol=0)
    error = (flat(found).double() - flat(exact)).norm() / flat(exact).norm()
    assert 1e-4 < error < 0.4


@pytest.mark.parametrize("name", SOLVERS)
def test_it_passes_the_examination_of_objectives_without_a_notice(name):
    """Separable, not random, forward mode = reverse mode = differences."""
    chain, params = chain_of(network(solver=SOLVERS[name], sites=True))
    result = examined(chain, params, {"forward": ForwardGradient()})
    assert result.chain.separable
    assert not result.notices


def test_several_tangents_and_examples_are_pushed_in_turn_where_vmap_cannot():
    chain, params = chain_of(network())
    for fields in ({"tangents": 3}, {"per": "example"}):
        estimator = ForwardGradient(**fields)
        require(estimator, chain, params)
        found = estimator.estimate(chain, params, None, stream(0, "estimator"))
        assert flat(found.grads).isfinite().all()
    exact = value_and_grad(chain, params)[1]
    several = ForwardGradient(tangents=3)
    honest = several.estimate(chain, params, None, stream(0, "estimator")).grads
    batch_of = several.batched_draws(chain, params, None, exact, stream(0, "estimator"))
    torch.testing.assert_close(flat(batch_of(1)).view(-1), flat(honest).view(-1))


def test_transforms_that_cannot_follow_a_solve_are_refused_in_words():
    chain, params = chain_of(network())
    for transform in (
        lambda: torch.func.grad(chain)(params),
        lambda: torch.func.vjp(chain, params),
        lambda: torch.func.vmap(chain.module)(chain.x.unsqueeze(1)),
    ):
        with pytest.raises(TransformError, match="solved until it has converged"):
            transform()
    assert issubclass(TransformError, RuntimeError)


def test_second_derivatives_are_refused_in_words():
    chain, params = chain_of(network())
    with pytest.raises(UnsupportedError, match="first derivatives alone"):
        starting_point(chain, params)
    leaves = {n: p.requires_grad_() for n, p in params.items()}
    v = direction(params)
    with forward_ad.dual_level():
        loss = chain({n: forward_ad.make_dual(p, v[n]) for n, p in leaves.items()})
        with pytest.raises(UnsupportedError, match="first derivatives alone"):
            torch.autograd.grad(loss, list(leaves.values()))


class Holding(nn.Module):
    def __init__(self, part):
        super().__init__()
        self.part = part

    def forward(self, z, x):
        return self.part(z) / 2 + x


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (
            Site(),
            r"must not hold a Site\(\), and part is Site\(\): .* mark the input or the output",
        ),
        (nn.BatchNorm1d(3), "must not hold a batch normalisation, and part is BatchNorm1d"),
    ],
)
def test_parts_that_a_solve_would_pass_again_and_again_are_refused(part, message):
    with pytest.raises(ValueError, match=message):
        Equilibrium(Holding(part))


def test_a_network_without_numbers_has_shapes():
    with torch.device("meta"):
        net = nn.Sequential(nn.Linear(4, 5), Equilibrium(TanhCell()), nn.Linear(5, 3))
        chain = Chain(net, torch.zeros(6, 4), torch.zeros(6, dtype=torch.int64))
        assert value_and_grad(chain, dict(net.named_parameters()))[0].is_meta
        for name in ("ift", "upg", "npg", "unrolled"):
            for inner in (Backprop(), ForwardGradient()):
                require(ImplicitAdjoint(adjoint=name, inner=inner), chain)


def test_single_precision_is_solved_and_differentiated_in_single_precision():
    net, (x, y) = network(), batch()
    chain = Chain(net.float(), x.float(), y)
    params = {n: p.detach() for n, p in net.named_parameters()}
    grads = value_and_grad(chain, params)[1]
    assert all(g.dtype is torch.float32 for g in grads.values())
    v = direction(params)
    slope = push_forward(chain, params, list(v.values()))[1].item()
    assert slope == pytest.approx(dot(grads, v), abs=1e-3)


def test_it_says_how_it_is_solved():
    text = repr(Equilibrium(TanhCell(), Broyden(memory=7), Anderson(ridge=1e-3)))
    assert "memory=7" in text
    assert "ridge=0.001" in text


def test_an_estimator_that_takes_losses_alone_needs_no_derivative_of_it():
    chain, params = chain_of(network())
    found = SPSA().estimate(chain, params, None, stream(0, "estimator"))
    assert flat(found.grads).isfinite().all()
