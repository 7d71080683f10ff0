"""`adjoint_map`: how near every adjoint of an equilibrium comes to the exact gradient."""

from collections.abc import Iterator, Sequence
from time import monotonic

from torch import nn

from estimators.core.contract import Params
from estimators.core.objective import Chain
from estimators.implicit.implicit_adjoint import ImplicitAdjoint
from estimators.measurement.adjoints.conditions import conditions
from estimators.measurement.adjoints.costs import costs
from estimators.measurement.adjoints.gradients import cells, reference, states
from estimators.measurement.adjoints.records import Bound, Cell, Record
from estimators.measurement.adjoints.result import AdjointMap
from estimators.measurement.draws.summary import layer_groups
from estimators.measurement.inputs.subject import Batch, Loss, Progress, subject, whole
from estimators.measurement.measure import PROGRESS_SECONDS
from estimators.statistics.adjoint_grid import (
    DEFAULT_DAMPING,
    DEFAULT_FACTORS,
    DEFAULT_SOLVERS,
    DEFAULT_STEPS,
    AdjointGrid,
)


def adjoint_map(
    module: nn.Module,
    loss: Loss,
    batch: Batch,
    *,
    steps: Sequence[int] = DEFAULT_STEPS,
    damping: Sequence[float] = DEFAULT_DAMPING,
    factors: Sequence[float] = DEFAULT_FACTORS,
    solvers: Sequence[str] = DEFAULT_SOLVERS,
    repeats: int = 5,
    examples: int = 16,
    separable: bool | None = None,
    progress: Progress | None = None,
) -> AdjointMap:
    """Differentiate the equilibria of a network by every adjoint, and compare with the exact
    gradient.

    The adjoints are those of `ImplicitAdjoint`: the phantom gradients `npg` and `upg` for every
    number of steps k and damping λ, and `jfb`, `ift` and `unrolled`. They are compared with the
    exact gradient of the *converged* loss, which is computed in double precision. At every factor
    c, each cell f(z, x) becomes f(c·z, x), so that all weights that multiply the state are scaled
    by c, and the equilibrium is solved anew; c = 1 is the network as it is. The spectral radius of
    J = ∂f/∂z at z* is measured at each c.

    Beside every (k, λ) stands what theory says: ‖Bᵏ‖₂ with B = λJ + (1 − λ)I, and the descent
    condition of Geng et al. (2021), theorem 1, of the first `examples` examples. Up to 256 states,
    both are exact. Above, the norms come from power iterations, and the condition is not evaluated.

    At c = 1, time and memory of a gradient are measured with each of the `solvers`, all with the
    tolerances and limits of the network. The module is left as it is.

    Args:
        module, loss, batch, separable, progress: as for `measure`.
        steps: numbers of steps k, whole numbers from 1 to 1000.
        damping: shares λ of f in a step, above 0 and at most 1.
        factors: factors c of the weights that multiply the state, from 0 to 100.
        solvers: of "fixed_point", "anderson" and "broyden"; empty for no comparison of costs.
        repeats: gradients over which the median of a time is taken.
        examples: of the batch, for which the theory is evaluated: at most so many, and at most 8
            of 256 states or more.

    Raises:
        UnsupportedError: for a network without an equilibrium; else as `measure` does.
        ValueError: for settings that are out of bounds or more than 2,000 gradients.

    Source: Geng, Zhang, Bai, Wang and Lin (2021), arXiv:2111.05177.

    >>> adjoint_map(net, nn.CrossEntropyLoss(), (x, y), steps=[1, 5])  # doctest: +SKIP
    """
    grid = AdjointGrid(steps, damping, factors, solvers)  # type: ignore[arg-type]
    whole("repeats", repeats)
    whole("examples", examples)
    measured = subject(module, loss, batch, [ImplicitAdjoint(adjoint="npg")], 0, separable)
    made, records, due = 0, [], monotonic() + PROGRESS_SECONDS
    for record in records_of(measured.chain, measured.params, grid, repeats, examples):
        made += counts(record)
        if record is not None:
            records.append(record)
        if progress and monotonic() >= due:
            progress(f"{made:,} of {grid.measurements(repeats):,} measurements")
            due = monotonic() + PROGRESS_SECONDS
    layers, _ = layer_groups(measured.chain, list(measured.params))
    return AdjointMap(grid, layers, tuple(records), measured.notices)


def counts(record: Record | None) -> bool:
    """Whether it counts among `AdjointGrid.measurements`: a gradient or a bound."""
    return record is None or isinstance(record, Cell | Bound)


def records_of(
    chain: Chain, params: Params, grid: AdjointGrid, repeats: int, examples: int
) -> Iterator[Record | None]:
    """Everything that is measured, the network as it is first; None where a piece takes longer."""
    for factor in grid.order:
        at = reference(chain, params, factor)
        yield from states(chain, params, at)
        yield from cells(chain, params, at, grid)
        yield from conditions(chain, params, at, grid, examples)
        if factor == 1:
            yield from costs(chain, params, at, grid, repeats)
    if 1 not in grid.factors and grid.solvers:
        yield from costs(chain, params, reference(chain, params, 1.0), grid, repeats)
