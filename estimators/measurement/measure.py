"""`measure`: the quality of estimators on one's own network, loss and batch."""

from collections.abc import Iterable, Iterator
from time import monotonic

from torch import nn

from estimators.autodiff.calculus import value_and_grad
from estimators.measurement.draws.stream import Source, source_of
from estimators.measurement.estimates.observation import Observation, observe
from estimators.measurement.inputs.subject import (
    Batch,
    Estimators,
    Loss,
    Progress,
    Subject,
    subject,
    whole,
)
from estimators.measurement.results.measurement import Measurement
from estimators.measurement.results.plain_numbers import measured

SECONDS = 1.0
"""Between two sentences of progress."""


def measure(
    module: nn.Module,
    loss: Loss,
    batch: Batch,
    estimators: Estimators,
    draws: int = 64,
    seed: int = 0,
    *,
    source: Source = "honest",
    separable: bool | None = None,
    progress: Progress | None = None,
) -> Measurement:
    """Draw each estimator `draws` times at the module's weights and compare with ∇L.

    Beside the measures: their intervals where they hold, what theory says of them where a law is
    known, why an estimator is bad, and from 512 draws on a verdict on the bias of each layer.

    `source="oracle"` makes the same draws out of the exact gradient, of those estimators that have
    an oracle (the more tangents, the more it saves); the others are drawn honestly, and
    `Measurement.sources` says which. It does not put an estimator's own code to the test.

    `loss(output, y)` gives one value for each example, or their mean. A loss of one value each
    is taken to be separable; give `separable=False` where a value depends on other examples,
    as in contrastive losses. The module is left as it is. Raises `UnsupportedError` if an estimator
    cannot work on this network and loss.

    >>> measure(net, nn.CrossEntropyLoss(), (x, y), [ForwardGradient()])  # doctest: +SKIP
    """
    whole("draws", draws)
    return of_subject(
        subject(module, loss, batch, estimators, seed, separable),
        draws,
        seed,
        progress,
        source=source,
    )


def of_subject(
    of: Subject,
    draws: int,
    seed: int,
    progress: Progress | None = None,
    before: str = "",
    source: Source = "honest",
) -> Measurement:
    """The same of what is made ready; `before` begins each sentence of progress."""
    found = observe(of.chain, of.params, of.watched, draws, seed, sources=_sources(of, source))
    return measured(_told(found, draws, progress, before) if progress else found)


def _sources(of: Subject, asked: Source) -> dict[str, Source]:
    exact = value_and_grad(of.chain, of.params)[1] if asked == "oracle" else None
    return {
        label: source_of(asked, estimator, of.chain, of.params, state, exact)
        for label, (estimator, state) in of.watched.items()
    }


def _told(
    found: Iterable[Observation], draws: int, progress: Progress, before: str
) -> Iterator[Observation]:
    due = monotonic() + SECONDS
    for one in found:
        if monotonic() >= due:
            progress(f"{before}{one.label}: {len(one):,} of {draws:,} draws")
            due = monotonic() + SECONDS
        yield one
