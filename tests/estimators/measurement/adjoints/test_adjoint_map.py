"""The adjoint map beside closed forms: linear cells z = c W z + b + x, and tanh cells."""

import pytest
import torch
from torch import nn

from estimators import (
    Anderson,
    Broyden,
    UnsupportedError,
)
from estimators.implicit.equilibrium import equilibria
from estimators.implicit.solvers.room import NoRoomError
from tests.estimators.implicit.setup_implicit import (
    LinearCell,
    TanhCell,
    batch,
    network,
)
from tests.estimators.measurement.adjoints.setup_adjoints import (
    GRID,
    STAGE,
    b_of,
    eye,
    losses,
    map_of,
    weights,
)


def test_the_radius_is_that_of_the_scaled_weights():
    net = network(LinearCell, size=0.7)
    measured = map_of(net, factors=[0.0, 0.5, 1.0, 1.2])
    radius = torch.linalg.eigvals(weights(net)).abs().max().item()
    for factor in (0.0, 0.5, 1.0, 1.2):
        at = measured.states[factor, STAGE]
        # J is not normal: an eigenvalue is rounded at eps^(1/n) at worst, here far less.
        assert at.radius == pytest.approx(factor * radius, abs=1e-10)
        assert (at.states, at.radius_converged, at.forward.not_converged) == (5, True, 0)


@pytest.mark.parametrize("factor", [0.6, 1.0])
def test_the_error_of_npg_is_its_formula_at_every_factor(factor):
    """By (I − cWᵀ)⁻¹ (Bᵀ)ᵏ s, with z* solved anew; f(c z) has the derivative u ⊗ c z by W."""
    net = network(LinearCell)
    measured = map_of(net, factors=[factor])
    w, (x, y) = factor * weights(net), batch()
    first = net[0](x).detach() + equilibria(net)[STAGE].cell.recurrent.bias.detach()
    z = torch.linalg.solve(eye() - w, first.T).T.requires_grad_()
    signal = torch.autograd.grad(losses(net[2](z), y).mean(), z)[0]
    exact = torch.linalg.solve(eye() - w.T, signal.T)  # (n, B)
    gradient = exact @ (factor * z.detach())
    for k in GRID["steps"]:
        for damping in GRID["damping"]:
            power = torch.linalg.matrix_power(b_of(w, damping).T, k)
            lost = torch.linalg.solve(eye() - w.T, power @ signal.T) @ (factor * z.detach())
            ghost = gradient - lost
            wanted = (lost.norm() / gradient.norm()).item()
            cosine = ((ghost * gradient).sum() / ghost.norm() / gradient.norm()).item()
            layer = f"{STAGE}.cell.recurrent.weight"
            for kind in ("npg", "upg"):
                at = {"factor": factor, "layer": layer}
                error = measured.value(kind, k, damping, **at, quantity="relative_error")
                # Solved to 2e-14 with a condition number below 10.
                assert error == pytest.approx(wanted, abs=1e-11)
                assert measured.value(kind, k, damping, **at) == pytest.approx(cosine, abs=1e-11)


def test_the_exact_adjoints_have_no_error_and_jfb_is_one_step():
    measured = map_of(network(TanhCell), steps=[1], damping=[1.0], factors=[1.0])
    for kind in ("ift", "unrolled"):
        assert measured.value(kind, quantity="relative_error") < 1e-11
    assert measured.value("jfb") == measured.value("npg", 1, 1.0) < 1 - 1e-4
    assert measured.value("jfb", quantity="seconds") > 0


def test_a_small_error_is_not_rounded_away():
    measured = map_of(network(LinearCell), steps=[30], damping=[1.0], factors=[1.0])
    error = measured.value("npg", 30, 1.0, quantity="relative_error")
    w = weights(network(LinearCell))
    assert 0 < error < 10 * torch.linalg.matrix_norm(torch.linalg.matrix_power(w, 30), 2)


def test_a_factor_at_which_nothing_converges_is_marked():
    measured = map_of(network(LinearCell, size=0.9), factors=[1.0, 4.0], steps=[2])
    good, bad = measured.states[1.0, STAGE], measured.states[4.0, STAGE]
    assert good.forward.not_converged == good.reference_not_converged == 0
    assert bad.radius > 1
    cells = [cell for key, cell in measured.cells.items() if key[0] == 4.0]
    assert any(cell.kind == "unrolled" and cell.not_converged == 6 for cell in cells)
    assert "*" in str(measured.table(4.0))
    assert "*" not in str(measured.table(1.0))


def test_the_module_is_left_as_it_is():
    solver = Anderson(memory=3)
    net = network(TanhCell, solver=solver, linear_solver=Broyden())
    stage = equilibria(net)[STAGE]
    before = {name: p.clone() for name, p in net.named_parameters()}
    map_of(net, factors=[0.5, 1.0], steps=[2], damping=[0.5], solvers=["broyden"])
    assert stage.solver is solver
    assert type(stage.linear_solver) is Broyden
    assert "forward" not in vars(stage) | vars(stage.cell)
    for name, p in net.named_parameters():
        assert torch.equal(p, before[name])
        assert p.grad is None


# --- bad input ---


def test_a_network_without_an_equilibrium_is_refused():
    net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    with pytest.raises(UnsupportedError, match=r"equilibrium stage; this one has none"):
        map_of(net)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"steps": [0]}, "steps holds 0"),
        ({"damping": [2.0]}, "damping holds 2.0"),
        ({"factors": []}, "factors is empty"),
        ({"repeats": 0}, "repeats is 0; a whole number from 1 on is allowed"),
        ({"examples": 0}, "examples is 0"),
    ],
)
def test_settings_out_of_bounds_are_refused(fields, words):
    with pytest.raises(ValueError, match=words):
        map_of(network(), **fields)


def test_unknown_names_are_answered_with_the_known_ones():
    measured = map_of(network(), steps=[2], damping=[0.5], factors=[1.0])
    with pytest.raises(KeyError, match="there is no layer 'x'"):
        measured.value("npg", 2, 0.5, layer="x")
    with pytest.raises(KeyError, match="steps 3"):
        measured.value("npg", 3, 0.5)


@pytest.mark.parametrize("name", ["table", "condition_table"])
def test_a_table_of_a_factor_that_was_not_measured_is_refused(name):
    measured = map_of(network(), steps=[2], damping=[0.5], factors=[0.5, 1.0])
    with pytest.raises(ValueError, match=r"factor is 3; this map has 0\.5, 1$"):
        getattr(measured, name)(3)
    assert str(getattr(measured, name)(0.5))


def test_a_solver_s_history_without_room_is_not_blamed_on_x():
    with pytest.raises(NoRoomError, match=r"^Broyden\(memory=1000000000000\) keeps"):
        map_of(network(TanhCell, Broyden(memory=10**12)))
