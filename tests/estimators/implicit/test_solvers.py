"""Solvers: right, each example by itself, with true reports, whatever an example does."""

import os
import sys
from itertools import pairwise

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from estimators import Anderson, Broyden, FixedPoint
from estimators.implicit.solvers import room
from estimators.implicit.solvers.room import NoRoomError
from tests.estimators.implicit.setup_implicit import SINGLE, SOLVERS, scaled

N = 8


def problem(size=0.8, examples=5):
    """z = W z + b_n, with ‖W‖ = `size`."""
    rng = torch.Generator().manual_seed(3)
    weight = torch.randn(N, N, generator=rng).double()
    scaled(weight, size)
    return weight, torch.randn(examples, N, generator=rng).double()


def affine(weight, right):
    return lambda z: z @ weight.T + right


@pytest.mark.parametrize("name", SOLVERS)
def test_it_finds_the_solution_to_its_tolerance(name):
    weight, right = problem()
    exact = torch.linalg.solve(torch.eye(N).double() - weight, right.T).T
    found = SOLVERS[name].solve(affine(weight, right), torch.zeros_like(right))
    assert found.converged.all()
    assert found.finite.all()
    # ‖z − z*‖ ≤ ‖(I − W)⁻¹‖ ‖F(z) − z‖, and ‖F(z)‖ is at most ‖b‖ / (1 − ‖W‖).
    bound = 1e-5 * SINGLE * right.norm(dim=1) / (1 - 0.8) ** 2
    assert ((found.z - exact).norm(dim=1) <= bound).all()


@pytest.mark.parametrize("name", SOLVERS)
def test_its_report_is_true(name):
    weight, right = problem()
    function, calls = affine(weight, right), []

    def counted(z):
        calls.append(z)
        return function(z)

    found = SOLVERS[name].solve(counted, torch.zeros_like(right))
    assert len(calls) == found.iterations.max()
    residual = (function(found.z) - found.z).norm(dim=1)
    torch.testing.assert_close(found.absolute, residual, rtol=1e-12, atol=0)
    relative = residual / function(found.z).norm(dim=1)
    torch.testing.assert_close(found.relative, relative, rtol=1e-12, atol=0)
    assert (found.relative <= 1e-5 * SINGLE).all()
    for n, count in enumerate(found.iterations.tolist()):  # from then on it is left alone
        assert all(torch.equal(z[n], found.z[n]) for z in calls[count - 1 :])


@pytest.mark.parametrize("name", SOLVERS)
def test_an_example_does_not_depend_on_the_others(name):
    weight, right = problem()
    solver = SOLVERS[name]
    together = solver.solve(affine(weight, right), torch.zeros_like(right))
    other = torch.cat([right[:1], 100 * right[1:].flip(0) + 7])
    among_others = solver.solve(affine(weight, other), torch.zeros_like(right))
    assert torch.equal(together.z[0], among_others.z[0])
    assert together.iterations[0] == among_others.iterations[0]
    alone = solver.solve(affine(weight, right[:1]), torch.zeros(1, N).double())
    # Products of another shape sum in another order: the solutions agree to the tolerance.
    bound = 2 * 1e-5 * SINGLE * right[0].norm() / (1 - 0.8) ** 2
    assert (alone.z[0] - together.z[0]).norm() <= bound


@pytest.mark.parametrize("name", SOLVERS)
def test_a_number_that_is_not_finite_ends_its_own_example(name):
    weight, right = problem()
    sound = SOLVERS[name].solve(affine(weight, right), torch.zeros_like(right))
    calls = 0

    def breaking(z):
        nonlocal calls
        calls += 1
        f = z @ weight.T + right
        return f.index_fill(0, torch.tensor([2]), torch.nan) if calls > 3 else f

    found = SOLVERS[name].solve(breaking, torch.zeros_like(right))
    assert found.finite.tolist() == [True, True, False, True, True]
    assert found.converged.tolist() == [True, True, False, True, True]
    assert found.iterations[2] == 4
    assert found.z.isfinite().all()
    assert found.relative[2] > 1e-5 * SINGLE
    others = [0, 1, 3, 4]
    assert torch.equal(found.z[others], sound.z[others])


@pytest.mark.parametrize("name", SOLVERS)
def test_nothing_but_nan_is_told_too(name):
    found = SOLVERS[name].solve(lambda z: z + torch.nan, torch.zeros(2, 3))
    assert not found.converged.any()
    assert not found.finite.any()
    assert found.iterations.tolist() == [1, 1]
    assert found.relative.tolist() == [torch.inf, torch.inf]
    assert torch.equal(found.z, torch.zeros(2, 3))


def test_an_overflow_is_no_solution():
    """‖F(z)‖ overflows before ‖F(z) − z‖ does: their ratio would be 0."""
    found = FixedPoint(limit=1000).solve(lambda z: 1.5 * z + 1, torch.zeros(1, 1))
    assert not found.converged.any()
    assert found.relative > 0.3


@pytest.mark.parametrize("name", SOLVERS)
def test_the_limit_ends_it_and_the_best_iterate_stands(name):
    weight, right = problem(0.999)
    short = type(SOLVERS[name])(limit=7)
    seen = []

    def function(z):
        f = z @ weight.T + right
        seen.append((f - z).norm(dim=1) / f.norm(dim=1))
        return f

    found = short.solve(function, torch.zeros_like(right))
    assert not found.converged.any()
    assert found.finite.all()
    assert found.iterations.tolist() == [7] * 5
    torch.testing.assert_close(found.relative, torch.stack(seen).amin(0), rtol=1e-12, atol=0)


def test_the_best_iterate_stands_where_later_ones_are_worse():
    factors = iter([2.0, 1.1, 3.0, 5.0])
    seen = []

    def function(z):
        seen.append(z)
        return next(factors) * (z + 1)

    found = FixedPoint(limit=4).solve(function, torch.zeros(1, 2).double())
    # z = 0, 2, 3.3, 12.9 and F(z) = 2, 3.3, 12.9, 69.5
    assert found.relative.item() == pytest.approx(1.3 / 3.3)
    assert torch.equal(found.z, seen[1])
    assert found.iterations.tolist() == [4]


def test_damped_steps_are_the_formula():
    weight, right = problem()
    z = torch.zeros_like(right)
    seen = []

    def function(z):
        seen.append(z)
        return z @ weight.T + right

    FixedPoint(damping=0.3, limit=4).solve(function, z)
    for before, after in pairwise(seen):
        wanted = 0.7 * before + 0.3 * (before @ weight.T + right)
        torch.testing.assert_close(after, wanted, rtol=1e-14, atol=1e-15)


def test_broyden_solves_linear_equations_in_twice_their_number_of_steps():
    """Gay (1979): in exact arithmetic 2 n steps suffice. Rounding may cost a few more."""
    weight, right = problem()
    found = Broyden().solve(affine(weight, right), torch.zeros_like(right))
    assert found.iterations.max() <= 2 * N + 4


@pytest.mark.parametrize("memory", [20, 2])
def test_broyden_steps_are_those_of_dense_matrices(memory):
    """Of which the inverse Jacobian begins anew, instead of an update, when the memory is full."""
    weight, right = problem()
    function, seen = affine(weight, right), []

    def curved(z):
        seen.append(z)
        return torch.sin(function(z))

    Broyden(limit=9, memory=memory).solve(curved, torch.zeros_like(right))
    seen, kept = [], seen
    new = -torch.eye(N).double().expand(5, N, N)
    h, before, updates = new, None, 0
    for z, after in pairwise(kept):
        g = curved(z) - z
        if updates == memory:
            h, updates = new, 0
        elif before is not None:
            updates += 1
            dz, dg = z - before[0], g - before[1]
            moved = torch.einsum("bij,bj->bi", h, dg)
            row = torch.einsum("bi,bij->bj", dz, h)
            h = h + torch.einsum("bi,bj->bij", (dz - moved) / (row * dg).sum(1, keepdim=True), row)
            torch.testing.assert_close(torch.einsum("bij,bj->bi", h, dg), dz)  # secant
        torch.testing.assert_close(after, z - torch.einsum("bij,bj->bi", h, g))
        before = z, g


def test_broyden_leaves_out_an_update_that_is_rounding():
    """F(z) = z + c: the residual does not change at all."""
    found = Broyden(limit=9).solve(lambda z: z + 1.0, torch.zeros(2, 3).double())
    assert found.finite.all()
    assert not found.converged.any()
    assert found.iterations.tolist() == [9, 9]


def test_broyden_goes_on_without_an_update_that_it_left_out():
    """The residual stays the same in the first step: its iterates are those of a later start."""
    weight, right = problem()
    runs = []
    for start in (0.0, 1.0):
        seen = []

        def function(z, seen=seen):
            seen.append(z)
            return torch.where(z[:, :1] < 1.5, z + 1, z @ weight.T + right)

        Broyden(limit=9 - int(start)).solve(function, torch.full_like(right, start))
        runs.append(seen)
    early, late = runs
    torch.testing.assert_close(early[1:], late)
    assert (late[-1] - late[-2]).norm() > 1e-6


def test_anderson_minimises_the_combined_residual():
    """Where the ridge is small against the problem, no other weights give a shorter residual."""
    weight, right = problem()
    function, seen = affine(weight, right), []

    def kept(z):
        seen.append(z)
        return function(z)

    Anderson(memory=3, ridge=1e-12, limit=4).solve(kept, torch.zeros_like(right))
    values = torch.stack([function(z) for z in seen[:3]], 1)  # (B, 3, n)
    residuals = values - torch.stack(seen[:3], 1)
    basis = (residuals[:, 1:] - residuals[:, :1]).mT
    free = torch.linalg.lstsq(basis, -residuals[:, 0].unsqueeze(2)).solution.squeeze(2)
    alpha = torch.cat([1 - free.sum(1, keepdim=True), free], 1)
    torch.testing.assert_close(seen[3], torch.einsum("bm,bmn->bn", alpha, values))


def test_anderson_survives_the_singular_case():
    """F(z) = z + c has no solution, and all residuals are equal: any weights would do."""
    found = Anderson().solve(lambda z: z + 1.0, torch.zeros(2, 3).double())
    assert found.finite.all()
    assert not found.converged.any()
    assert found.z.abs().max() <= 200  # no weight blew up: an iterate moves by 1 at most
    parallel = Anderson(limit=50).solve(lambda z: 0.5 * z + 1.0, torch.zeros(2, 3).double())
    assert parallel.converged.all()  # residuals along one line
    torch.testing.assert_close(parallel.z, torch.full((2, 3), 2.0).double())


def test_an_example_that_is_solved_from_the_start_takes_one_evaluation():
    for solver in SOLVERS.values():
        found = solver.solve(lambda z: z * torch.tensor([0.5, 3.0]), torch.zeros(4, 2))
        assert found.converged.all()
        assert found.iterations.tolist() == [1] * 4
        assert not found.relative.any()


def test_states_of_any_shape_are_solved():
    right = torch.arange(24.0).view(2, 3, 2, 2).double()
    for solver in SOLVERS.values():
        found = solver.solve(lambda z: z / 3 + right, torch.zeros_like(right))
        torch.testing.assert_close(found.z, 1.5 * right)
        assert found.iterations.shape == (2,)
    each = FixedPoint().solve(lambda z: z / 3 + 1, torch.zeros(4))
    torch.testing.assert_close(each.z, torch.full((4,), 1.5))


def test_the_tolerance_is_that_of_single_precision():
    solver = FixedPoint(tolerance=1e-4)
    assert solver.tolerance_in(torch.float32) == 1e-4
    assert solver.tolerance_in(torch.float64) == 1e-4 * SINGLE
    assert FixedPoint(tolerance=1e-12).tolerance_in(torch.float32) == 4 * 2.0**-23
    assert solver.tolerance_in(torch.bfloat16) == 4 * 2.0**-7


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", SOLVERS)
def test_half_precision_is_solved_to_its_own_tolerance(name, dtype):
    """torch has no linear solves there, which Anderson's and Broyden's methods need."""
    weight, right = problem(0.5)
    exact = torch.linalg.solve(torch.eye(N).double() - weight, right.T).T
    right = right.to(dtype)
    found = SOLVERS[name].solve(affine(weight.to(dtype), right), torch.zeros_like(right))
    assert found.z.dtype == dtype
    assert found.converged.all()
    # ‖z − z*‖ ≤ ‖(I − W)⁻¹‖ times the residual, 4 units of ‖F(z)‖, and the rounding of F: a unit
    # of each of 8 terms, of W and of b, at most 4 + 10 in all.
    bound = 2 * 14 * torch.finfo(dtype).eps * exact.norm(dim=1)
    assert ((found.z.double() - exact).norm(dim=1) <= bound).all()


class Allocations(TorchDispatchMode):
    """Bytes of the results of all operations but views."""

    total = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if not any(r.alias_info for r in func._schema.returns):
            self.total += sum(t.nbytes for t in tree_leaves(result) if torch.is_tensor(t))
        return result


@pytest.mark.parametrize("solver", [Anderson(memory=7), Broyden(memory=9), FixedPoint()])
def test_what_it_says_it_keeps_is_what_it_allocates(solver):
    """Beside the states, products of the kept ones with each other: below 1 % of them here."""
    like = torch.zeros(3, 10_000)
    with Allocations() as allocated:
        solver.stepping(like)
    states = allocated.total / (3 * 10_000 * 4)
    assert solver.kept <= states <= 1.01 * solver.kept


@pytest.mark.parametrize(
    ("solver", "sentence"),
    [
        (Broyden(memory=1000), r"Broyden\(memory=1000\) keeps 1,001 states of 64 examples × 50,000 "
         r"numbers, 11.9 GiB, and 3.0 GiB are free on cpu: lower the solver's memory"),
        (Anderson(memory=300), r"Anderson\(memory=300\) keeps 600 states .* 7.2 GiB, and 3.0 GiB"),
    ],
)  # fmt: skip
def test_a_history_that_does_not_fit_is_refused_before_it_is_allocated(
    solver, sentence, monkeypatch
):
    monkeypatch.setattr(room, "free_memory", lambda device: 3 * 2**30)
    calls = []
    start = torch.zeros(1, 50_000).expand(64, 50_000)
    with pytest.raises(NoRoomError, match=sentence), Allocations() as allocated:
        solver.solve(calls.append, start)
    assert not calls
    assert allocated.total < 2**20
    fits = type(solver)(memory=5).solve(lambda z: z / 2, start[:, :10])
    assert fits.converged.all()


def test_a_history_that_just_fits_is_allowed(monkeypatch):
    """Of exactly the free memory; and of SMALL, whatever is free."""
    like, kept = torch.zeros(1, 2**20), 17  # 4 MiB each, 68 MiB
    monkeypatch.setattr(room, "free_memory", lambda device: 68 * 2**20)
    room.require_room("a solver", kept, like)
    monkeypatch.setattr(room, "free_memory", lambda device: 68 * 2**20 - 1)
    with pytest.raises(NoRoomError, match="68 MiB"):
        room.require_room("a solver", kept, like)
    room.require_room("a solver", kept, like.to("meta"))
    monkeypatch.setattr(room, "free_memory", lambda device: 0)
    room.require_room("a solver", 16, like)


def test_an_allocator_that_has_no_room_says_so_in_the_same_words(monkeypatch):
    def refuse(*args):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(Broyden, "stepping", refuse)
    sentence = "keeps 21 states of 2 examples × 3 numbers, 0 MiB, and no such block is free on cpu"
    with pytest.raises(NoRoomError, match=sentence):
        Broyden().solve(lambda z: z / 2, torch.zeros(2, 3))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc/meminfo")
def test_the_free_memory_is_that_of_the_machine():
    free = room.free_memory(torch.device("cpu"))
    assert 0 < free <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert room.free_memory(torch.device("meta")) is None


@pytest.mark.parametrize("name", SOLVERS)
def test_it_leaves_no_graph_and_repeats(name):
    weight, right = problem()
    weight.requires_grad_()
    start = torch.zeros_like(right)
    found, again = (SOLVERS[name].solve(affine(weight, right), start) for _ in range(2))
    assert not found.z.requires_grad
    assert torch.equal(found.z, again.z)
    assert not start.any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FixedPoint(tolerance=0), "tolerance is 0; it must be above 0 and below 1"),
        (lambda: Anderson(limit=0), "limit is 0; it must be at least 1"),
        (lambda: FixedPoint(damping=1.5), "damping is 1.5; it must be above 0 and at most 1"),
        (lambda: FixedPoint(damping=0), "damping is 0"),
        (lambda: Anderson(memory=0), "memory is 0; it must be at least 1"),
        (lambda: Broyden(memory=0), "memory is 0; it must be at least 1"),
        (lambda: Anderson(ridge=0), "ridge is 0; it must be above 0 and below 1"),
    ],
)
def test_fields_out_of_bounds_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
