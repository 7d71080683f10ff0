"""`AdjointMap`: what `adjoint_map` returns."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from estimators.measurement.adjoints.records import (
    Bound,
    Cell,
    CostRow,
    Record,
    Sensitivity,
    StageState,
)
from estimators.measurement.results.table import Table
from estimators.statistics.adjoint_grid import KINDS, POINTS, AdjointGrid, nearest, solves_of
from estimators.statistics.formatting import quartiles, short

Quantity = Literal["cosine", "relative_error", "seconds"]
MARK = "*"


@dataclass(frozen=True, repr=False)
class AdjointMap:
    """Every adjoint beside the exact gradient, at every factor, and what theory says of it."""

    grid: AdjointGrid
    layers: tuple[str, ...]
    """"" (the whole network), its stages, its tensors."""
    records: tuple[Record, ...]
    """All that was measured, in the order of the measurement."""
    notices: tuple[str, ...] = ()
    """What the reader must know about the objective."""

    @cached_property
    def cells(self) -> dict[tuple[float, str, int | None, float | None], Cell]:
        """{(factor, adjoint, k, λ): its gradient}; k and λ are None for jfb, ift and unrolled."""
        found = [r for r in self.records if isinstance(r, Cell)]
        return {(c.factor, c.kind, c.steps, c.damping): c for c in found}

    @cached_property
    def states(self) -> dict[tuple[float, str], StageState]:
        """{(factor, stage): the equilibrium at z*}."""
        return {(r.factor, r.stage): r for r in self.records if isinstance(r, StageState)}

    @cached_property
    def sensitivities(self) -> dict[tuple[float, str], Sensitivity]:
        """{(factor, stage): the singular values of ∂f/∂θ}."""
        return {(r.factor, r.stage): r for r in self.records if isinstance(r, Sensitivity)}

    @cached_property
    def bounds(self) -> dict[tuple[float, str, int, float], Bound]:
        """{(factor, stage, k, λ): what theory says}."""
        found = [r for r in self.records if isinstance(r, Bound)]
        return {(b.factor, b.stage, b.steps, b.damping): b for b in found}

    @cached_property
    def costs(self) -> tuple[CostRow, ...]:
        """Time and memory, with one solver after the other."""
        return tuple(r for r in self.records if isinstance(r, CostRow))

    @property
    def stages(self) -> tuple[str, ...]:
        """The equilibria, by name."""
        return tuple(dict.fromkeys(stage for _, stage in self.states))

    def value(
        self,
        kind: str,
        steps: int | None = None,
        damping: float | None = None,
        factor: float = 1.0,
        layer: str = "",
        quantity: Quantity = "cosine",
    ) -> float:
        """One number of one gradient. Raises KeyError with the names that there are."""
        if layer not in self.layers:
            raise KeyError(f"there is no layer {layer!r}; there are {list(self.layers)}")
        key = (factor, kind, steps, damping) if kind in KINDS else (factor, kind, None, None)
        if key not in self.cells:
            grid = self.grid
            raise KeyError(
                f"{kind} was not measured at factor {factor}, steps {steps}, damping {damping}; "
                f"there are {', '.join((*KINDS, *POINTS))}, factors {grid.factors}, steps "
                f"{grid.steps} and damping {grid.damping}"
            )
        return self._number(self.cells[key], layer, quantity)

    def _number(self, cell: Cell, layer: str, quantity: Quantity) -> float:
        if quantity == "seconds":
            return cell.seconds
        numbers = cell.cosine if quantity == "cosine" else cell.relative_error
        return numbers[self.layers.index(layer)]

    def table(
        self, factor: float | None = None, layer: str = "", quantity: Quantity = "cosine"
    ) -> Table:
        """A row for each adjoint and number of steps, a column for each damping.

        Raises ValueError for a factor that was not measured, as `condition_table` does.
        """
        at = self.grid.factor(factor)
        rows, marked = [], []
        for kind in (*KINDS, *POINTS):
            for k in self.grid.steps if kind in KINDS else (None,):
                columns = self.grid.damping if kind in KINDS else (None,)
                row = [kind, "" if k is None else str(k)]
                for damping in columns:
                    cell = self.cells.get((at, kind, k, damping))
                    missed = cell is not None and cell.not_converged > 0
                    if missed:
                        marked.append(kind)
                    number = "–" if cell is None else short(self._number(cell, layer, quantity))
                    row.append(number + (MARK if missed else ""))
                rows.append(row + [""] * (2 + len(self.grid.damping) - len(row)))
        words = {
            "cosine": "cosine with the exact gradient",
            "seconds": "seconds of one gradient, timed once",
        }
        title = words.get(quantity, "relative error ‖ĝ − g‖ / ‖g‖")
        title += f", {layer}" if layer else ""
        head = ["adjoint", "k", *(f"λ = {share:g}" for share in self.grid.damping)]
        note = self._words_of_states(at)
        if marked:
            note += f"\n{MARK}: did not converge in some examples: {solves_of(marked)}"
        return Table(title, head, rows, note, words=1, notices=self.notices)

    def _words_of_states(self, factor: float) -> str:
        lines = []
        for stage in self.stages:
            if (at := self.states.get((factor, stage))) is None:
                continue
            solves = ", ".join(
                f"{words} {solve.iterations} iterations to {solve.relative:.1g}"
                + (f" ({solve.not_converged} examples not converged)" * bool(solve.not_converged))
                for words, solve in (("forward", at.forward), ("backward", at.backward))
            )
            radius = f"{at.radius:.3g}" + ("" if at.radius_converged else " (not converged)")
            where = f"{stage}: " if len(self.stages) > 1 else ""
            lines.append(f"{where}factor {factor:g}: spectral radius of ∂f/∂z {radius}, {solves}")
            if at.reference_not_converged:
                lines.append(
                    f"{where}the exact gradient itself did not converge in "
                    f"{at.reference_not_converged} examples"
                )
        return "\n".join(lines)

    def condition_table(self, factor: float | None = None, stage: str | None = None) -> Table:
        """‖Bᵏ‖₂ and the descent condition, a row for each (k, λ)."""
        at = self.grid.factor(factor)
        place = self.stages[0] if stage is None else stage
        rows, where = [], f", {place}" if len(self.stages) > 1 else ""
        for k, share in self.grid.settings():
            bound = self.bounds.get((at, place, k, share))
            if bound is None:
                continue
            rows.append([
                str(k), f"{share:g}",
                short(bound.largest) + ("" if bound.converged else MARK), short(bound.median),
                _number(bound.left), _share(bound.met), _share(bound.met_simple),
            ])  # fmt: skip
        head = ["k", "λ", "largest ‖Bᵏ‖", "median ‖Bᵏ‖", "largest ‖A(I−J)−∂f/∂θ‖",
                "examples that meet it", "examples with ‖Bᵏ‖ ≤ 1/κ²"]  # fmt: skip
        return Table(
            f"descent condition ‖A(I−J) − ∂f/∂θ‖ ≤ σ_min²/σ_max at factor {at:g}{where}",
            head, rows, self._words_of_condition(at, place), words=0,
        )  # fmt: skip

    def _words_of_condition(self, factor: float, stage: str) -> str:
        found = self.sensitivities.get((factor, stage))
        if found is None or found.reason:
            return "descent condition: " + (found.reason if found else "not evaluated yet")
        text = (
            f"{found.examples} examples; σ_min²/σ_max from {short(found.allowed)} on, median "
            f"{short(found.allowed_median)}; 1/κ² from {short(found.simple)} on"
        )
        if found.zero:
            text += f"; σ_min is 0 in {found.zero} examples, where only an exact adjoint meets it"
        state = self.states[factor, stage]
        if state.reference_not_converged:
            text += (
                f"\nthe exact gradient did not converge in {state.reference_not_converged} "
                "examples: where z* itself did not, nothing is promised"
            )
        return text

    def cost_table(self) -> Table:
        """Time and memory of one gradient: for each k with the λ of the smallest error."""
        rows = []
        for row in nearest(self.costs):
            rows.append([
                row.solver, row.kind, "" if row.steps is None else str(row.steps),
                "" if row.damping is None else f"{row.damping:g}",
                quartiles(1000 * row.seconds, 1000 * row.seconds_low, 1000 * row.seconds_high),
                quartiles(
                    1000 * row.forward_seconds, 1000 * row.forward_seconds_low,
                    1000 * row.forward_seconds_high,
                ),
                quartiles(row.ratio, row.ratio_low, row.ratio_high),
                f"{(row.saved + row.history) / 2**20:.3g}", short(row.cosine),
                short(row.relative_error) + (MARK if row.not_converged else ""),
            ])  # fmt: skip
        head = ["solver", "adjoint", "k", "λ", "ms of a gradient", "ms of the loss",
                "of that by ift", "MiB kept", "cosine", "relative error"]  # fmt: skip
        note = "λ: the one with the smallest error at this k; MiB: what autograd keeps for the "
        note += (
            "backward pass, and the solver's history; of that by ift: median of the ratios in the "
        )
        note += "same repeat, of unrolled with the first solver; in brackets: quartiles; times are "
        note += "CPU time, on CUDA wall time"
        return Table("one gradient at the network as it is", head, rows, note)

    def __str__(self) -> str:
        return str(self.table())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()


def _number(value: float) -> str:
    return "–" if value != value else short(value)


def _share(value: float) -> str:
    return "–" if value != value else f"{value:.0%}"
