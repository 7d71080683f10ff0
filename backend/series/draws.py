"""Series of an estimator's draws at a frozen point: `draw/*`, the measures, laws and verdicts."""

from collections.abc import Iterator, Mapping, Sequence
from math import nan

from numpy.typing import ArrayLike

from backend.series.points import Points, by_layer, consecutive, finite, single
from estimators.measurement.draws.redrawn import REDRAWN
from estimators.measurement.estimates.bias_test import BiasVerdict
from estimators.measurement.estimates.measures import METRICS
from estimators.measurement.results.draw_record import SingleDraws
from estimators.statistics.law_check import LAW, RECORD, LawCheck
from estimators.statistics.student import half_width

SWEEP = "sweep/"
"""What the metrics of a sweep begin with; their steps stand for the values of the field."""
UNCONVERGED = "draw/not_converged"
"""Draws of an estimator that rest on a solve of an equilibrium that did not converge."""
REFERENCE = "reference/not_converged"
"""The most examples of a solve that did not converge for the exact gradient."""
Ends = tuple[float, float]


def exact_norms(
    layers: Sequence[str], norms: Sequence[float], step: int = 0, prefix: str = ""
) -> Iterator[Points]:
    """`exact/norm`: ‖g‖ of the exact gradient in each layer."""
    return by_layer({f"{prefix}exact/norm": norms}, layers, step, "")


def reference_floors(
    layers: Sequence[str],
    floors: Sequence[float],
    growth: Mapping[str, float],
    step: int = 0,
    prefix: str = "",
) -> Iterator[Points]:
    """`reference/floor`: the rounding error of the exact gradient in each layer where it is known;
    `reference/growth`: how much the activations grow in each stage."""
    metrics = {f"{prefix}reference/floor": floors}
    yield from finite(by_layer(metrics, layers[: len(floors)], step, ""))
    for stage, ratio in growth.items():
        yield single(f"{prefix}reference/growth", step, ratio, stage)


def reference_solves(lost: int | None, step: int = 0, prefix: str = "") -> Iterator[Points]:
    """`reference/not_converged`; none for a network without equilibria."""
    if lost is not None:
        yield single(f"{prefix}{REFERENCE}", step, lost)


class EstimatorSeries:
    """The series of one estimator, whose numbers are in the order of `layers`.

    `prefix` begins the name of every metric: "" for draws at one point, `SWEEP` in a sweep.
    """

    def __init__(self, label: str, layers: Sequence[str], prefix: str = "") -> None:
        self._label, self._layers, self._prefix = label, layers, prefix

    def redrawn(self, null: Mapping[str, Sequence[float]], step: int) -> Iterator[Points]:
        """`redrawn/cosine`, `redrawn/cosine_sd` and `redrawn/scaled_error`: the null by redrawing
        feedback."""
        return finite(self._by_layer(REDRAWN, null, step))

    def each_draw(self, draws: SingleDraws, first: int = 0) -> Iterator[Points]:
        """`draw/cosine`, `draw/norm_ratio` and `draw/along` of each draw, from number `first` on.

        They exist for the whole network and its stages; one number for every draw and tensor
        would be too many.
        """
        tables = {"cosine": draws.cosine, "norm_ratio": draws.norm_ratio, "along": draws.along}
        for name, table in tables.items():
            for layer, column in zip(draws.layers, table.T, strict=True):
                yield consecutive(f"draw/{name}", first, column.numpy(), layer, self._label)

    def across(self, values: ArrayLike) -> Points:
        """`draw/across`: each draw's coordinate perpendicular to the gradient, over ‖g‖."""
        return consecutive("draw/across", 0, values, "", self._label)

    def measures(self, values: Mapping[str, Sequence[float]], step: int) -> Iterator[Points]:
        """The measures of all draws so far, {metric: one number a layer}."""
        return self._by_layer("", values, step)

    def standard_errors(
        self, intervals: Mapping[str, Sequence[Ends | None]], draws: int, step: int
    ) -> Iterator[Points]:
        """`<metric>_se` of each measure that has a 95 % interval in that layer.

        The relative squared bias and the slope are left out: their standard errors are measures.
        """
        width = 2 * half_width(max(2, draws))
        errors = {
            f"{metric}_se": [nan if ends is None else (ends[1] - ends[0]) / width for ends in row]
            for metric, row in intervals.items()
            if f"{metric}_se" not in METRICS
        }
        return finite(self._by_layer("", errors, step))

    def laws(self, laws: Mapping[str, Sequence[float]], step: int) -> Iterator[Points]:
        """`law/<metric>`: what theory predicts, in the layers where it predicts something."""
        return finite(self._by_layer(LAW, laws, step))

    def law_checks(self, checks: Mapping[str, Sequence[LawCheck]], step: int) -> Iterator[Points]:
        """`law_check/<metric>`: 1 where the measure agrees with its law, 0 where it disagrees.

        There is no point where it is not judged.
        """
        values = {metric: [check.record for check in row] for metric, row in checks.items()}
        return finite(self._by_layer(RECORD, values, step))

    def nonfinite(self, count: int, by_layer: Sequence[int], step: int) -> Iterator[Points]:
        """`draw/nonfinite`: the number of draws with an entry that is not finite, anywhere (layer
        "") and in the layers in which there are any."""
        metric = f"{self._prefix}draw/nonfinite"
        yield single(metric, step, count, "", self._label)
        for layer, lost in zip(self._layers, by_layer, strict=True):
            if layer and lost:
                yield single(metric, step, lost, layer, self._label)

    def not_converged(self, count: int | None, step: int) -> Iterator[Points]:
        """`draw/not_converged`: the number of draws that rest on a solve that did not converge;
        none for a network without equilibria."""
        if count is not None:
            yield single(f"{self._prefix}{UNCONVERGED}", step, count, "", self._label)

    def heavy_tails(self, heavy: Sequence[bool | None], step: int) -> Iterator[Points]:
        """`draw/heavy_tail`: 1 where the draws are heavy-tailed, 0 where not; none for too few."""
        values = [nan if each is None else float(each) for each in heavy]
        return finite(self._by_layer("", {"draw/heavy_tail": values}, step))

    def source(self, source: str, step: int = 0) -> Points:
        """`draw/oracle`: whether an oracle makes the draws (1) or the estimator itself (0)."""
        oracle = float(source == "oracle")
        return single(f"{self._prefix}draw/oracle", step, oracle, "", self._label)

    def verdicts(
        self, verdicts: Sequence[BiasVerdict], has_target: bool, draws: int
    ) -> Iterator[Points]:
        """`verdict/*`: whether the estimator is biased in each layer; NaN if undecided.

        `verdict/target` is 1 where the verdict is about a target other than the exact gradient.
        """
        yield single("verdict/target", draws, has_target, "", self._label)
        for verdict in verdicts:
            biased = nan if verdict.biased is None else float(verdict.biased)
            numbers = {"biased": biased, "bias": verdict.bias, "bound": verdict.bound}
            for name, value in numbers.items():
                yield single(f"verdict/{name}", draws, value, verdict.layer, self._label)

    def _by_layer(
        self, kind: str, values: Mapping[str, Sequence[float]], step: int
    ) -> Iterator[Points]:
        metrics = {f"{self._prefix}{kind}{metric}": row for metric, row in values.items()}
        return by_layer(metrics, self._layers, step, self._label)


def sweep_parameters(count: int, step: int) -> Points:
    """`sweep/parameters`: the number of parameters of the network at a value of the sweep."""
    return single(f"{SWEEP}parameters", step, count)
