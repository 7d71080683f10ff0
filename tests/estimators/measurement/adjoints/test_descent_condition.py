"""‖Bᵏ‖ and the descent condition beside dense Jacobians, and what is said where it fails."""

from statistics import median

import pytest
import torch
from torch import nn

from estimators import (
    Anderson,
    Equilibrium,
    FixedPoint,
)
from estimators.implicit.equilibrium import equilibria
from estimators.measurement.adjoints import descent, powers
from estimators.measurement.adjoints.descent import Singular, singular_values
from estimators.measurement.adjoints.gradients import reference
from estimators.measurement.adjoints.powers import Linearisation, PowerNorm, norms_of_powers, radii
from tests.estimators.implicit.setup_implicit import (
    LinearCell,
    TanhCell,
    batch,
    chain_of,
    jacobians,
    network,
)
from tests.estimators.measurement.adjoints.setup_adjoints import (
    EPS,
    GRID,
    STAGE,
    b_of,
    eye,
    linearised,
    map_of,
    weights,
)

# --- theory ---


def test_the_norms_are_those_of_the_powers_of_b():
    net = network(LinearCell)
    measured = map_of(net, factors=[0.8])
    w = 0.8 * weights(net)
    for k in GRID["steps"]:
        for damping in GRID["damping"]:
            bound = measured.bounds[0.8, STAGE, k, damping]
            power = torch.linalg.matrix_power(b_of(w, damping), k)
            wanted = torch.linalg.matrix_norm(power, 2).item()
            assert bound.largest == pytest.approx(wanted, rel=1e-10)
            assert bound.median == pytest.approx(wanted, rel=1e-10)
            assert (bound.converged, bound.examples) == (True, 6)


def test_products_and_matrix_are_those_of_the_jacobian():
    at, j = linearised(network())
    torch.testing.assert_close(at.matrix, j, rtol=0, atol=1e-14)
    v = torch.randn(at.z.shape, generator=torch.Generator().manual_seed(3)).double()
    torch.testing.assert_close(at.pushed(v), torch.einsum("bij,bj->bi", j, v))
    torch.testing.assert_close(at.pulled(v), torch.einsum("bji,bj->bi", j, v))


def test_iterated_norms_and_radii_are_near_the_exact_ones(monkeypatch):
    net = network(size=0.9)
    exact, _ = linearised(net)
    pairs = list(norms_of_powers(exact, [1, 3, 8], [0.5, 1.0]))
    radius, _ = radii(exact)
    monkeypatch.setattr(powers, "MOST_STATES", 4)
    iterated, _ = linearised(net)
    assert not iterated.dense
    for wanted, found in zip(pairs, norms_of_powers(iterated, [1, 3, 8], [0.5, 1.0]), strict=True):
        assert (found.steps, found.damping, found.converged) == (wanted.steps, wanted.damping, True)
        assert found.power is None
        # It stops when a step changes it by 1 %; what is left is a few times as much.
        torch.testing.assert_close(found.norms, wanted.norms, rtol=0.05, atol=0)
        assert (found.norms <= wanted.norms * (1 + 100 * EPS)).all()
    found, converged = radii(iterated)
    assert converged
    torch.testing.assert_close(found, radius, rtol=0.01, atol=0)


def test_above_256_states_the_condition_is_not_evaluated(monkeypatch):
    monkeypatch.setattr(powers, "MOST_STATES", 4)
    measured = map_of(network(), factors=[1.0], steps=[2], damping=[0.5])
    assert measured.sensitivities[1.0, STAGE].reason == "not evaluated: 5 states"
    assert "not evaluated: 5 states" in str(measured.condition_table())
    assert measured.bounds[1.0, STAGE, 2, 0.5].met != measured.bounds[1.0, STAGE, 2, 0.5].met
    assert measured.bounds[1.0, STAGE, 2, 0.5].largest > 0


# --- the descent condition ---


class DeepCell(TanhCell):
    """f(z, x) = tanh(V tanh(W z + b + x)): the states share V's input, so that P Pᵀ is no diagonal,
    as it is where each state has weights of its own."""

    def __init__(self):
        super().__init__()
        self.outer = nn.Linear(5, 5)

    def forward(self, z, x):
        return torch.tanh(self.outer(super().forward(z, x)))


def dense(net, factor=1.0):
    """(P, J) of each example: (∂f/∂θ)ᵀ, (θ, n), by the definition, and J, (n, n)."""
    chain, params = chain_of(net)
    at = reference(chain, params, factor)
    stage = equilibria(net)[STAGE]
    before, cell = dict(net[0].named_parameters()), dict(stage.cell.named_parameters())
    for x, z in zip(batch()[0], at.at[STAGE].z, strict=True):

        def f(before, cell, z=z, x=x):
            inner = torch.func.functional_call(net[0], before, (x,))
            return torch.func.functional_call(stage.cell, cell, (factor * z, inner))

        parts = torch.func.jacrev(f, argnums=(0, 1))(before, cell)
        blocks = [t.reshape(len(z), -1) for part in parts for t in part.values()]
        j = torch.func.jacrev(lambda z, x=x: stage.cell(factor * z, net[0](x)))(z)
        yield torch.cat(blocks, 1).T.detach(), j.detach()


@pytest.mark.parametrize("factor", [0.7, 1.3])
def test_what_is_recorded_is_that_of_the_first_examples(factor):
    """J, ∂f/∂θ and all that follows differ between the examples."""
    net, k, damping = network(DeepCell, size=1.2), 2, 0.6
    measured = map_of(net, factors=[factor], steps=[1, k], damping=[damping, 1.0], examples=4)
    every = list(dense(net, factor))
    radii_of_all = [torch.linalg.eigvals(j).abs().max().item() for _, j in every]
    assert measured.states[factor, STAGE].radius == pytest.approx(max(radii_of_all), rel=1e-9)
    norms, lefts, allowed, simple = [], [], [], []
    for p, j in every[:4]:
        power = torch.linalg.matrix_power(b_of(j, damping), k)
        sigma = torch.linalg.svdvals(p)
        norms.append(torch.linalg.matrix_norm(power, 2).item())
        lefts.append(torch.linalg.matrix_norm(power @ p.T, 2).item())
        allowed.append((sigma[-1] ** 2 / sigma[0]).item())
        simple.append((sigma[-1] / sigma[0]).square().item())
    found, bound = measured.sensitivities[factor, STAGE], measured.bounds[factor, STAGE, k, damping]
    assert (found.examples, bound.examples) == (4, 4)
    for ends, values in (
        ((found.allowed, found.allowed_median), (min(allowed), median(allowed))),
        ((found.simple, found.simple_median), (min(simple), median(simple))),
        ((bound.largest, bound.median), (max(norms), median(norms))),
        ((bound.left, bound.left_median), (max(lefts), median(lefts))),
    ):
        # σ² is rounded at eps σ_max²; κ is below 100.
        assert ends == pytest.approx(values, rel=1e-9)
    met = [left <= most for left, most in zip(lefts, allowed, strict=True)]
    met_simple = [norm <= most for norm, most in zip(norms, simple, strict=True)]
    assert (bound.met, bound.met_simple) == (sum(met) / 4, sum(met_simple) / 4)


def test_the_two_forms_of_the_condition_are_told_apart():
    """σ is 1 and 2: σ_min²/σ_max = 1/2 and 1/κ² = 1/4."""
    gram = torch.diag(torch.tensor([1.0, 4.0]).double())[None]
    singular = Singular(gram, torch.ones(1).double(), 2 * torch.ones(1).double())
    shrinks = torch.diag(torch.tensor([0.4, 0.1]).double())[None]
    bound = PowerNorm(1, 1.0, torch.tensor([0.4]).double(), True, shrinks)
    # ‖B ∂f/∂θ‖ = max(0.4, 0.2) ≤ 1/2, and ‖B‖ = 0.4 > 1/4.
    assert [m.item() for m in singular.met(bound)] == [True, False]


def test_a_gram_matrix_made_in_blocks_is_the_same(monkeypatch):
    chain, params = chain_of(network(DeepCell))
    z = reference(chain, params, 1.0).at[STAGE].z
    whole = singular_values(chain, params, STAGE, z, 1.0, 2).gram
    monkeypatch.setattr(descent, "BLOCK", 2 * 2 * sum(p.numel() for p in params.values()))
    blocks = singular_values(chain, params, STAGE, z, 1.0, 2).gram  # of 2, 2 and 1 rows
    torch.testing.assert_close(blocks, whole, rtol=1e-13, atol=1e-14)
    assert (whole[:, 0, 4].abs() > 1e-3).all(), "states share parameters"


@pytest.mark.parametrize("factor", [0.7, 1.0])
def test_both_sides_are_those_of_the_definition(factor):
    """‖A(I − Jᵀ) − P‖ with A = P λ Σ (Bᵀ)ᵗ written out, and σ by a decomposition of P."""
    net = network(DeepCell, size=0.95)
    chain, params = chain_of(net)
    at = reference(chain, params, factor)
    found = singular_values(chain, params, STAGE, at.at[STAGE].z, factor, 6)
    bounds = list(norms_of_powers(at.at[STAGE], [1, 4], [0.6]))
    for example, (p, j) in enumerate(dense(net, factor)):
        sigma = torch.linalg.svdvals(p)
        # σ² is rounded at eps σ_max²; κ is below 100.
        torch.testing.assert_close(found.largest[example], sigma[0], rtol=1e-10, atol=0)
        torch.testing.assert_close(found.smallest[example], sigma[-1], rtol=1e-10, atol=0)
        allowed = sigma[-1] ** 2 / sigma[0]
        torch.testing.assert_close(found.allowed[example], allowed, rtol=1e-9, atol=0)
        simple = (sigma[-1] / sigma[0]) ** 2
        torch.testing.assert_close(found.simple[example], simple, rtol=1e-9, atol=0)
        for bound in bounds:
            b = b_of(j, 0.6).T
            series = 0.6 * sum(torch.linalg.matrix_power(b, t) for t in range(bound.steps))
            left = torch.linalg.matrix_norm(p @ series @ (eye() - j.T) - p, 2)
            torch.testing.assert_close(found.left(bound.power)[example], left, rtol=1e-9, atol=1e-9)


def test_where_the_condition_holds_no_signal_gives_a_negative_product():
    """⟨ĝ, g⟩ = vᵀ Aᵀ P (I − Jᵀ)⁻¹ v for random v, and for the worst one."""
    held = broken = 0
    rng = torch.Generator().manual_seed(4)
    for size in (0.6, 1.2, 2.4):
        net = network(size=size)
        with torch.no_grad():
            for p in net.parameters():
                p.add_(0.1 * torch.randn(p.shape, generator=rng).double())
        chain, params = chain_of(net)
        at = reference(chain, params, 1.0)
        found = singular_values(chain, params, STAGE, at.at[STAGE].z, 1.0, 6)
        pairs = list(dense(net))
        for bound in norms_of_powers(at.at[STAGE], [1, 2, 3, 5, 8], [0.4, 1.0]):
            met, met_simple = found.met(bound)
            assert (met | ~met_simple).all(), "the simple form is the stricter one"
            for example, (p, j) in enumerate(pairs):
                b = b_of(j, bound.damping).T
                series = sum(torch.linalg.matrix_power(b, t) for t in range(bound.steps))
                product = (p @ (bound.damping * series)).T @ p @ torch.linalg.inv(eye() - j.T)
                v = torch.randn(200, 5, generator=rng).double()
                products = torch.einsum("si,ij,sj->s", v, product, v)
                worst = torch.linalg.eigvalsh((product + product.T) / 2)[0]
                # Sums of 5 × 5 products, whose terms are at most ‖product‖ ‖v‖².
                rounding = -1e-12 * torch.linalg.matrix_norm(product, 2)
                if met[example]:
                    held += 1
                    assert products.min() >= rounding * 100
                    assert worst >= rounding
                else:
                    broken += bool(worst < 0)
    assert held > 20, "the condition holds somewhere"
    assert broken > 10, "elsewhere there are signals with a negative product"


class OneParameter(nn.Module):
    """f(z, x) = tanh(a z + x): one parameter for all states."""

    def __init__(self):
        super().__init__()
        self.a = nn.Parameter(torch.tensor(0.3).double())

    def forward(self, z, x):
        return torch.tanh(self.a * z + x)


def test_fewer_parameters_than_states_have_no_smallest_singular_value():
    net = nn.Sequential(nn.Sequential(Equilibrium(OneParameter())), nn.Linear(4, 3).double())
    measured = map_of(net, factors=[1.0], steps=[2], damping=[0.5])
    found = measured.sensitivities[1.0, "0.0"]
    assert (found.smallest, found.zero, found.allowed, found.simple) == (0, 6, 0, 0)
    assert measured.bounds[1.0, "0.0", 2, 0.5].met == 0
    assert "σ_min is 0 in 6 examples" in str(measured.condition_table())


class Centred(nn.Module):
    """x minus its mean over the batch, as a batch normalisation does."""

    def forward(self, x):
        return x - x.mean(0)


def test_examples_that_are_coupled_before_the_equilibrium_are_looked_at_together():
    """Alone, each would be centred to zero."""
    plain = network()
    net = nn.Sequential(plain[0], Centred(), plain[1], plain[2])
    measured = map_of(net, factors=[1.0], steps=[2], damping=[0.5], examples=4)
    cell, x = equilibria(net)["2.0"].cell, batch()[0]
    z, _ = jacobians(equilibria(net)["2.0"], net[:2](x))

    def f(before, inside, example):
        moved = torch.func.functional_call(net[:2], before, (x,))
        state, moved = z[example : example + 1], moved[example : example + 1]
        return torch.func.functional_call(cell, inside, (state, moved))[0]

    theta = dict(net[:2].named_parameters()), dict(cell.named_parameters())
    allowed = []
    for example in range(4):
        parts = torch.func.jacrev(f, argnums=(0, 1))(*theta, example)
        rows = [t.detach().reshape(5, -1) for part in parts for t in part.values()]
        sigma = torch.linalg.svdvals(torch.cat(rows, 1))
        allowed.append((sigma[-1] ** 2 / sigma[0]).item())
    found = measured.sensitivities[1.0, "2.0"]
    assert found.examples == 4
    assert found.allowed == pytest.approx(min(allowed), rel=1e-9)


def test_without_a_trained_parameter_the_condition_is_not_evaluated():
    net = network()
    for p in net[:2].parameters():
        p.requires_grad_(False)
    measured = map_of(net, factors=[1.0], steps=[2], damping=[0.5])
    reason = "not evaluated: ∂f/∂θ is 0, no trained parameter moves f"
    assert measured.sensitivities[1.0, STAGE].reason == reason
    assert measured.value("npg", 2, 0.5) == pytest.approx(1, abs=1e-12)  # the head alone


class RootCell(TanhCell):
    """f(z, x) = tanh(W z + b + x + √p), whose derivative by p is infinite at p = 0."""

    def __init__(self):
        super().__init__()
        self.p = nn.Parameter(torch.zeros(5))

    def forward(self, z, x):
        return torch.tanh(self.recurrent(z) + x + self.p.sqrt())


def test_a_derivative_that_is_not_finite_is_said():
    measured = map_of(network(RootCell), factors=[1.0], steps=[2], damping=[0.5])
    assert measured.sensitivities[1.0, STAGE].reason == "not evaluated: ∂f/∂θ is not finite"
    assert measured.bounds[1.0, STAGE, 2, 0.5].largest > 0


def test_the_norm_of_one_example_does_not_depend_on_the_others():
    """2.5⁴⁰⁰ is about 1e159, whose square overflows."""
    sizes = torch.tensor([0.5, 2.5]).double()
    at = Linearisation(lambda z: sizes[:, None] * z, torch.zeros(2, 3).double())
    small, large = norms_of_powers(at, [5, 400], [1.0])
    torch.testing.assert_close(small.norms, sizes**5, rtol=1e-13, atol=0)
    wanted = torch.stack([sizes[0] ** 400, torch.tensor(torch.inf).double()])
    torch.testing.assert_close(large.norms, wanted, rtol=1e-13, atol=0)


@pytest.mark.parametrize("lost", ["forward", "backward"])
def test_an_exact_gradient_that_did_not_converge_is_counted(lost):
    """The plain iteration diverges at c = 4; Anderson's method solves 5 linear equations anyway."""
    plain = FixedPoint(limit=50)
    solvers = (plain, Anderson()) if lost == "forward" else (Anderson(), plain)
    net = network(LinearCell, *solvers, size=0.9)
    measured = map_of(net, factors=[1.0, 4.0], steps=[2], damping=[0.5])
    good, bad = measured.states[1.0, STAGE], measured.states[4.0, STAGE]
    assert (good.reference_not_converged, bad.reference_not_converged) == (0, 6)
    solves = {"forward": bad.forward, "backward": bad.backward}
    assert {name for name, solve in solves.items() if solve.not_converged} == {lost}
    words = "the exact gradient did not converge in 6 examples"
    assert words not in str(measured.condition_table(1.0))
    assert words in str(measured.condition_table(4.0))


class Two(nn.Module):
    """Two equilibria of 5 and 6 units, and one that is never called."""

    def __init__(self):
        super().__init__()
        self.before, self.first = nn.Linear(4, 5), Equilibrium(TanhCell())
        self.between, self.second = nn.Linear(5, 6), Equilibrium(TanhCell(6))
        self.idle, self.head = Equilibrium(TanhCell()), nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.second(self.between(self.first(self.before(x)))))


def test_of_two_equilibria_each_is_named_and_one_that_is_not_called_is_left_out():
    measured = map_of(Two().double(), factors=[1.0], steps=[2], damping=[0.5], solvers=["anderson"])
    assert measured.stages == ("first", "second")
    assert ", first\n" in str(measured.condition_table())
    assert ", second\n" in str(measured.condition_table(stage="second"))
    assert measured.states[1.0, "second"].states == 6
    # 2 · 6 states of 6 examples × 6 numbers of 8 bytes: solves come one after the other.
    assert {row.history for row in measured.costs if row.kind == "npg"} == {12 * 6 * 6 * 8}
