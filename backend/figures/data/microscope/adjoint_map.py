"""Reading an adjoint map: numbers over (k, λ), at every factor, as a microscope measured them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.figures.data.query import Query
from backend.figures.data.source import FigureError, Floats, RunLike, Source
from backend.figures.drawing.text import plain
from estimators.statistics.adjoint_grid import POINTS, SOLVERS, AdjointGrid
from estimators.statistics.formatting import counted, quartiles

PREFIX = "adjoint_map/"
FEWEST = 4
"""The fewest repeats whose quartiles are not the extremes."""


@dataclass(frozen=True)
class Cost:
    """Time and memory of one gradient of one adjoint with one solver."""

    solver: str
    kind: str
    steps: int | None
    damping: float | None
    numbers: dict[str, float]

    @property
    def relative_error(self) -> float:
        """‖ĝ − g‖ / ‖g‖."""
        return self.numbers["relative_error"]

    @property
    def name(self) -> str:
        """The adjoint with its setting: `npg, k 5, λ 0.5`."""
        return self.kind + ("" if self.steps is None else f", k {self.steps}, λ {self.damping:g}")

    def spread(self, name: str, scale: float = 1.0) -> str:
        """A median with its quartiles; alone where a run was measured before they were kept."""
        ends = [self.numbers.get(f"{name}{end}", np.nan) for end in ("", "_low", "_high")]
        return quartiles(*(scale * end for end in ends))

    def times_differ(self, other: "Cost") -> bool:
        """Whether the quartile ranges of two times do not overlap, each of FEWEST repeats or more.

        Fewer have no quartiles that say how far the times scatter.
        """
        if not all(row.numbers.get("repeats", 0) >= FEWEST for row in (self, other)):
            return False
        low, high = (self.numbers[f"seconds_{end}"] for end in ("low", "high"))
        return bool(other.numbers["seconds_high"] < low or high < other.numbers["seconds_low"])


@dataclass(frozen=True)
class AdjointMapData:
    """One run's map, as far as it has been measured."""

    run: RunLike
    grid: AdjointGrid
    values: dict[tuple[str, str, str], dict[int, float]]
    """{(metric without prefix, layer, adjoint): {place: value}}."""

    def over(self, metric: str, factor: float, layer: str = "", kind: str = "") -> Floats:
        """A number at every (k, λ), (K, L); NaN where it is not measured yet."""
        series = self.values.get((metric, layer, kind), {})
        table = [
            [series.get(self.grid.number(factor, k, share), np.nan) for share in self.grid.damping]
            for k in self.grid.steps
        ]
        return np.array(table, np.float64)

    def at(self, metric: str, factor: float, layer: str = "", kind: str = "") -> float:
        """A number at a factor; NaN where it is not measured yet."""
        series = self.values.get((metric, layer, kind), {})
        return series.get(self.grid.number(factor), np.nan)

    @property
    def stages(self) -> list[str]:
        """The equilibria that were measured."""
        return [layer for metric, layer, _ in self.values if metric == "radius"]

    def stage(self, query: Query) -> str:
        """The equilibrium that the query's layer names, else the first; "" without any."""
        stages = self.stages
        inside = [stage for stage in stages if stage.startswith(f"{query.layer}.")]
        return next(iter([*([query.layer] if query.layer in stages else inside), *stages]), "")

    @property
    def factor(self) -> float:
        """The factor that is shown first: 1, the network as it is, if it was measured."""
        return self.grid.factor(None)

    def chosen_factor(self, asked: float | None) -> float:
        """The factor asked for. Raises FigureError for one that was not measured."""
        try:
            return self.grid.factor(asked)
        except ValueError as error:
            raise FigureError(str(error)) from None

    def radius(self, factor: float) -> str:
        """The largest spectral radius of all equilibria, as text; "" before it is measured."""
        radii = [self.at("radius", factor, stage) for stage in self.stages]
        measured = [radius for radius in radii if np.isfinite(radius)]
        if not measured:
            return ""
        converged = all(self.at("radius_converged", factor, stage) == 1 for stage in self.stages)
        return f"{max(measured):.3g}" + ("" if converged else " (not converged)")

    def factor_choices(self) -> list[dict[str, str]]:
        """The factors for a control; the one that is shown first has an empty value."""
        choices = []
        for factor in self.grid.factors:
            radius = self.radius(factor)
            title = f"{factor:g}" + (f", ρ(J) = {radius}" if radius else "")
            choices.append(
                {"value": "" if factor == self.factor else f"{factor:g}", "title": title}
            )
        return choices

    def missed(self, factor: float, kind: str) -> NDArray[np.bool_]:
        """Where a solve of the gradient did not converge, (K, L)."""
        return self.over("not_converged", factor, "", kind) > 0

    def cautions(self, factor: float) -> Iterator[str]:
        """What did not converge at a factor, in words."""
        for stage in self.stages:
            where = f"{plain(stage)}: " if len(self.stages) > 1 else ""
            if self.at("radius", factor, stage) >= 1:
                yield (
                    f"{where}ρ(J) is not below 1, so that the undamped series (λ = 1) does not "
                    "converge: smaller weights, as by weight decay, lower it"
                )
            for name, words in (("forward", "forward"), ("backward", "exact backward")):
                count = self.at(f"{name}_not_converged", factor, stage)
                if count > 0:
                    residual = self.at(f"{name}_relative", factor, stage)
                    every = int(self.at(f"{name}_examples", factor, stage))
                    yield (
                        f"{where}the {words} solve did not converge in {int(count)} of "
                        f"{counted(every, 'example')} (largest relative residual {residual:.2g})"
                    )
            count = self.at("reference_not_converged", factor, stage)
            if count > 0:
                yield (
                    f"{where}the exact gradient itself did not converge in "
                    f"{counted(int(count), 'example')}: what is compared with it is not reliable"
                )

    def reliable(self, factor: float) -> bool:
        """Whether the exact gradient converged at a factor."""
        return not any(
            self.at("reference_not_converged", factor, stage) > 0 for stage in self.stages
        )

    def costs(self) -> list[Cost]:
        """Every row of the comparison of costs, one solver after the other."""
        rows = []
        for solver in dict.fromkeys((*self.grid.solvers, *SOLVERS)):
            kinds = [kind for metric, _, kind in self.values if metric == f"cost/seconds/{solver}"]
            for kind in dict.fromkeys(kinds):
                rows += self._costs(solver, kind)
        return rows

    def _costs(self, solver: str, kind: str) -> Iterator[Cost]:
        columns = {
            metric.split("/")[1]: series
            for (metric, _, adjoint), series in self.values.items()
            if adjoint == kind and metric.startswith("cost/") and metric.endswith(f"/{solver}")
        }
        for place in columns["seconds"]:
            # A run in progress may have reported more between two reads.
            numbers = {name: series.get(place, np.nan) for name, series in columns.items()}
            setting = (None, None) if kind in POINTS else self.grid.setting(place)[1:]
            yield Cost(solver, kind, *setting, numbers)


def read(source: Source, query: Query) -> AdjointMapData:
    """The first run of the query; a run without an adjoint map has no numbers."""
    run_id = query.runs[0]
    run = source.run(run_id)
    request: Any = (run.config.get("microscope") or {}).get("adjoint_map") or {}
    grid = AdjointGrid(**{name: tuple(values) for name, values in request.items()})
    values = {}
    for series in source.series(run_id):
        if series.count and series.metric.startswith(PREFIX):
            points = source.points(series.id)
            key = series.metric.removeprefix(PREFIX), series.layer, series.estimator
            values[key] = dict(zip(points.steps.tolist(), points.values.tolist(), strict=True))
    return AdjointMapData(run, grid, values)
