"""`measure`: the quality of estimators on one's own network, loss and batch."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
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
from estimators.measurement.results.from_observations import measurement_of
from estimators.measurement.results.measurement import Measurement

PROGRESS_SECONDS = 1.0
"""Seconds between two progress messages."""


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
    """Draw each estimator `draws` times at the module's weights, and compare with the exact
    gradient.

    The result has the measures with their 95 % intervals (where there are enough draws for one),
    the values that theory gives where a law is known and whether the draws agree with them, a
    finding on what limits each estimator, and from 512 draws on a verdict on its bias in each
    layer. The module is left as it is. What the reader must know about the objective is in the
    result's `notices`: that its examples are coupled or its loss is one number, and what that
    costs, or that differences of the loss do not follow its derivative.

    Args:
        module: the network, at the weights to measure at.
        loss: `loss(output, y)` gives one value for each example, (B,), or their mean, ().
        batch: (x, y), the examples along the first axis of both.
        estimators: one, a list, or {label: estimator}.
        draws: draws of each estimator.
        seed: of the draws' noise.
        source: "honest" draws the estimator itself. "oracle" makes the same draws by projecting the
            exact gradient, for estimators that have an oracle. The more tangents an estimator uses,
            the more time this saves, but it does not test the estimator's own code.
            `Measurement.sources` says which was used.
        separable: None finds out whether a loss is a mean over examples, each depending on its own
            example alone. False takes the loss as it declares itself, as one whose examples are
            coupled; True refuses it if they are.
        progress: called with a sentence about once a second, such as `print`.

    Raises:
        UnsupportedError: if an estimator cannot work on this network and loss, or if forward mode
            and reverse mode differ on it.
        ValueError, TypeError: for other arguments that do not fit, such as a random network.

    >>> measure(net, nn.CrossEntropyLoss(), (x, y), [ForwardGradient()])  # doctest: +SKIP
    """
    whole("draws", draws)
    return measure_subject(
        subject(module, loss, batch, estimators, seed, separable),
        draws,
        seed,
        progress,
        source=source,
    )


def measure_subject(
    measured: Subject,
    draws: int,
    seed: int,
    progress: Progress | None = None,
    before: str = "",
    source: Source = "honest",
    *,
    redrawn: bool = True,
) -> Measurement:
    """`measure` of a validated subject; `before` is put before each progress message, `redrawn`
    says whether the null by redrawing feedback is made."""
    observations = observe(
        measured.chain,
        measured.params,
        measured.watched,
        draws,
        seed,
        sources=_sources(measured, source),
    )
    if progress:
        observations = _report(observations, draws, progress, before)
    return replace(measurement_of(observations, redrawn=redrawn), notices=measured.notices)


def _sources(measured: Subject, asked: Source) -> dict[str, Source]:
    exact = value_and_grad(measured.chain, measured.params)[1] if asked == "oracle" else None
    return {
        label: source_of(asked, estimator, measured.chain, measured.params, state, exact)
        for label, (estimator, state) in measured.watched.items()
    }


def _report(
    observations: Iterable[Observation], draws: int, progress: Progress, before: str
) -> Iterator[Observation]:
    """The same observations; calls `progress` with a message about once a second."""
    due = monotonic() + PROGRESS_SECONDS
    for observation in observations:
        if monotonic() >= due:
            made = f"{len(observation):,} of {draws:,} draws"
            progress(f"{before}{observation.label}: {made}")
            due = monotonic() + PROGRESS_SECONDS
        yield observation
