"""Series of a variance anatomy: the noise of the data, that of the estimator, and the check."""

from collections.abc import Iterator, Mapping, Sequence

from backend.series.points import Points, by_layer, finite, single
from estimators.statistics.variance_split import MIN_BATCHES

PARTS = ("data", "estimator", "fixed", "signal", "data_se", "estimator_se", "fixed_se")
"""The parts of the variance, and their standard errors over batches."""


def population(examples: int) -> Points:
    """`anatomy/population`: how many examples the batches are drawn from."""
    return single("anatomy/population", 0, examples)


def check_setting(batch: int, draws: int) -> Iterator[Points]:
    """`anatomy/check/batch` and `/draws`: where the predicted variance is measured."""
    yield single("anatomy/check/batch", 0, batch)
    yield single("anatomy/check/draws", 0, draws)


def parts(
    label: str,
    layers: Sequence[str],
    values: Mapping[str, Sequence[float]],
    batches: int,
    nonfinite: int,
) -> Iterator[Points]:
    """`anatomy/<part>` after so many batches, {part: one variance a layer}.

    Standard errors exist from `MIN_BATCHES` batches on.
    """
    metrics = {f"anatomy/{name}": values[name] for name in PARTS if values.get(name)}
    yield from _reliable(metrics, layers, label, batches, step=batches)
    yield single("anatomy/nonfinite", batches, nonfinite, "", label)


def check(
    label: str,
    layers: Sequence[str],
    values: Mapping[str, Sequence[float]],
    batches: int,
    gradients: int,
) -> Iterator[Points]:
    """`anatomy/check/*`: the variance `predicted` of `batches` batches, and the one `measured`
    of so many `gradients`, each with its standard error."""
    metrics = {f"anatomy/check/{name}": row for name, row in values.items()}
    return _reliable(metrics, layers, label, batches, step=gradients)


def _reliable(
    metrics: Mapping[str, Sequence[float]],
    layers: Sequence[str],
    label: str,
    batches: int,
    step: int,
) -> Iterator[Points]:
    """The finite numbers; standard errors only of batches enough."""
    enough = batches >= MIN_BATCHES
    kept = {name: row for name, row in metrics.items() if enough or not name.endswith("_se")}
    return finite(by_layer(kept, layers, step, label))
