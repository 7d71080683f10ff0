"""The spectral radius of ∂f/∂z, against the eigenvalues of dense matrices."""

import math

import pytest
import torch
from torch import nn

from estimators import Equilibrium, FixedPoint
from estimators.implicit import spectral_radius as module
from estimators.implicit.equilibrium import equilibria
from estimators.implicit.spectral_radius import spectral_radii, spectral_radius
from tests.estimators.implicit.setup_implicit import (
    LinearCell,
    TanhCell,
    chain_of,
    jacobians,
    network,
)

TOLERANCE = 0.01


def of(j, **options):
    return spectral_radius(lambda v: torch.einsum("bij,bj->bi", j, v), j[:, 0], **options)


def eigen(j):
    return torch.linalg.eigvals(j.double()).abs().amax(1)


def matrices(kind, n, rows=16, seed=0):
    rng = torch.Generator().manual_seed(seed)
    j = torch.randn(rows, n, n, generator=rng, dtype=torch.float64) / n**0.5
    if kind == "symmetric":
        return (j + j.mT) / 2
    if kind == "triangular":  # non-normal: the singular values are far from the eigenvalues
        return j.triu()
    if kind == "rotating":  # pairs at every angle and size
        return torch.linalg.matrix_exp(2 * (j - j.mT))
    return j


@pytest.mark.parametrize("n", [2, 5, 20])
@pytest.mark.parametrize("kind", ["gaussian", "symmetric", "triangular", "rotating"])
def test_it_is_that_of_dense_matrices(kind, n):
    """The seeds are those at which no example is called converged too early; the next test says
    how often that happens."""
    j = matrices(kind, n, seed=1)
    found, wanted = of(j), eigen(j)
    assert found.converged.all()
    assert ((found.estimate - wanted).abs() <= TOLERANCE * wanted.clamp(min=1)).all()
    assert (found.products <= n).all()


@pytest.mark.parametrize("kind", ["gaussian", "symmetric", "triangular"])
def test_an_estimate_that_converged_is_seldom_off(kind):
    """Of 640 matrices, at most 2 % beyond the tolerance, and none by more than ten times that: a
    dominant vector that is nearly missing in the start shows up late."""
    off, largest = 0, 0.0
    for seed in range(10):
        j = matrices(kind, (10, 20, 40, 64)[seed % 4], 64, seed)
        found, wanted = of(j), eigen(j)
        assert found.converged.all()
        error = (found.estimate - wanted).abs() / wanted.clamp(min=1)
        off += int((error > TOLERANCE).sum())
        largest = max(largest, error.max().item())
    assert off <= 0.02 * 640
    assert largest <= 10 * TOLERANCE


def test_another_outer_eigenvalue_that_is_on_its_way_is_waited_for():
    """Here the one at the lower end has converged when that at the upper end, which is larger by
    0.17, has not: its vector is nearly missing in the start."""
    j = matrices("symmetric", 20, 64, seed=24)[20:21]
    found = of(j)
    assert found.converged.all()
    torch.testing.assert_close(found.estimate, eigen(j), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("angle", [0.01, 0.5, math.pi / 2, 3.1])
def test_a_dominant_pair_does_not_oscillate(angle):
    """In a frame that is not orthogonal, where ‖Jv‖/‖v‖ runs from 0.1 to 10."""
    c, s = math.cos(angle), math.sin(angle)
    frame = torch.tensor([[1.0, 0.0], [0.0, 10.0]]).double()
    pair = 1.1 * frame @ torch.tensor([[c, -s], [s, c]]).double() @ frame.inverse()
    j = torch.block_diag(pair, 0.9 * torch.eye(1).double(), matrices("gaussian", 6, 1)[0] * 0.3)
    found = of(j[None])
    assert found.converged.all()
    assert found.estimate.item() == pytest.approx(1.1, abs=TOLERANCE)


def test_transient_growth_is_no_spectral_radius():
    """[[ε, 100], [0, ε]]: one product is 100 times longer than its vector, and ρ = 0.5."""
    j = torch.tensor([[0.5, 100.0], [0.0, 0.4]]).double()[None]
    found = of(j)
    assert found.converged.all()
    assert found.estimate.item() == pytest.approx(0.5, abs=1e-9)


def test_defective_and_nilpotent_matrices():
    block = torch.diag(torch.ones(2), 1).double()
    for shift in (0.0, 0.7, 1.3):
        found = of((block + shift * torch.eye(3).double())[None])
        assert found.converged.all()
        # A triple eigenvalue is known to the third root of rounding, 6e-6.
        assert found.estimate.item() == pytest.approx(shift, abs=1e-4)


def test_a_large_defective_matrix_is_said_not_to_have_converged():
    """Rounding moves its eigenvalues by 10⁻¹⁶ᐟ³⁰ = 0.3: no method knows them in float64."""
    block = torch.diag(torch.ones(29), 1).double()
    found = of(block[None])
    assert not found.converged.any()


def test_zero_has_the_radius_zero():
    found = of(torch.zeros(3, 7, 7))
    assert found.converged.all()
    assert (found.estimate == 0).all()


def test_too_few_products_are_said():
    j = matrices("gaussian", 60, 8)
    found = of(j, limit=6)
    assert not found.converged.any()
    assert (found.products == 6).all()
    assert of(j).converged.all()


def test_each_example_is_looked_at_by_itself():
    """Another example that is harder, or not finite, changes nothing."""
    j = matrices("gaussian", 12, 3)
    alone = of(j[:1]).estimate[0].item()
    bad = j.clone()
    bad[1] *= 7
    bad[2] = torch.nan
    found = of(bad)
    assert found.estimate[0].item() == pytest.approx(alone, rel=1e-12)
    assert found.converged.tolist() == [True, True, False]
    assert found.estimate[2].isnan()


def test_single_precision_is_enough():
    j = matrices("gaussian", 30).float()
    found = of(j)
    assert found.converged.all()
    assert ((found.estimate - eigen(j)).abs() <= 2 * TOLERANCE).all()


# --- in a network ---


@pytest.mark.parametrize("cell", [TanhCell, LinearCell])
@pytest.mark.parametrize("size", [0.7, 2.0])
def test_it_is_that_of_the_cell_at_the_equilibrium(cell, size):
    """Also above 1, where the plain iteration fails: Newton's method finds z* of the linear cell,
    and Anderson's of both."""
    net = network(cell, size=size)
    chain, params = chain_of(net)
    (layer, found), *others = spectral_radii(chain, params).items()
    assert (layer, others) == ("1", [])
    _, j = jacobians(net[1][0], net[0](chain.x))
    torch.testing.assert_close(found.estimate, eigen(j), rtol=0, atol=1e-8)
    assert found.converged.all()


def test_the_parameters_are_those_that_are_given():
    net = network(LinearCell)
    chain, params = chain_of(net)
    half = {n: 0.5 * p if "recurrent.weight" in n else p for n, p in params.items()}
    whole, less = spectral_radii(chain, params)["1"], spectral_radii(chain, half)["1"]
    torch.testing.assert_close(less.estimate, 0.5 * whole.estimate, rtol=1e-9, atol=0)


def test_several_equilibria_have_a_name_each():
    net = nn.Sequential(
        nn.Linear(4, 5), nn.Sequential(Equilibrium(TanhCell()), Equilibrium(TanhCell())),
        Equilibrium(LinearCell(), FixedPoint()), nn.Linear(5, 3),
    ).double()  # fmt: skip
    for stage in equilibria(net).values():
        with torch.no_grad():
            stage.cell.recurrent.weight.mul_(0.5)
    assert list(spectral_radii(*chain_of(net))) == ["1.0", "1.1", "2"]


def test_a_network_without_an_equilibrium_is_not_run():
    def fail(*_):
        raise AssertionError("a pass was made")

    net = nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 3)).double()
    chain, params = chain_of(net)
    chain.forward = fail
    assert spectral_radii(chain, params) == {}


def test_of_a_large_batch_the_first_examples_are_looked_at(monkeypatch):
    monkeypatch.setattr(module, "EXAMPLES", 4)
    chain, params = chain_of(network())
    found = spectral_radii(chain, params)["1"]
    assert len(found.estimate) == 4
    _, j = jacobians(chain.module[1][0], chain.module[0](chain.x))
    torch.testing.assert_close(found.estimate, eigen(j[:4]), rtol=0, atol=1e-8)
