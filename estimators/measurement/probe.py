"""`probe`: a few draws of each estimator at one point of a training run, compared with the
gradient."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from estimators.core.contract import Estimator, Params
from estimators.core.noise import stream
from estimators.core.objective import Objective
from estimators.measurement.draws.reference import growth_of_stages, rounding_floor
from estimators.measurement.draws.solves import DrawnSolves, exact_gradient
from estimators.measurement.draws.summary import Summary, grouped, layer_groups
from estimators.measurement.draws.sums import Accumulator, Sums
from estimators.measurement.estimates.measures import METRICS, measures_of
from estimators.measurement.estimates.rounding import rounding_of
from estimators.measurement.estimates.theory import law_of, theory
from estimators.measurement.results.measurement import Measurement

Watched = Mapping[str, tuple[Estimator, Any]]
"""{label: (estimator, its state)}."""


def probe(
    objective: Objective,
    params: Params,
    watched: Watched,
    draws: int = 16,
    seed: int = 0,
    step: int = 0,
    laws: bool = False,
    most_layers: int | None = None,
) -> Measurement:
    """Measure every estimator of `watched` at `params`, from `draws` draws each.

    The draws of one estimator share its state; the states they return are dropped. The noise comes
    from the stream (seed, "probe", step, label), so that nothing else is disturbed.

    Args:
        objective: the loss of a batch.
        params: {name: tensor}.
        watched: {label: (estimator, its state)}.
        draws: draws of each estimator, at least 1.
        seed, step: of the noise.
        laws: whether to add the values that the estimators' laws give for the measures.
        most_layers: if stages and tensors are more, only the stages have measures, or, if these are
            more, the whole network alone.

    Raises:
        ValueError: for fewer than one draw or nothing to watch.
    """
    if draws < 1 or not watched:
        raise ValueError(
            f"{draws} draws of {len(watched)} estimators were asked for; at least 1 of each"
        )
    loss, exact, reference_lost = exact_gradient(objective, params)
    accumulator = Accumulator(exact, draws)
    solves = {label: DrawnSolves(objective) for label in watched}

    def made(label: str) -> Iterator[Params]:
        estimator, state = watched[label]
        rng = stream(seed, "probe", step, label, device=loss.device)
        for _ in range(draws):
            with solves[label].drawing():
                grads = estimator.estimate(objective, params, state, rng).grads
            yield grads

    def taken(label: str) -> Tensor:
        return accumulator.take(made(label))

    growths = growth_of_stages(objective, params)
    # One synchronisation with the device for the whole probe.
    parts = [
        loss.double().reshape(1),
        rounding_floor(objective, params, exact),
        torch.stack([*growths.values()]) if growths else loss.double().new_empty(0),
        *map(taken, watched),
    ]
    number, floors, growth, *flats = torch.cat(parts).cpu().split([p.numel() for p in parts])
    sums = dict(zip(watched, map(accumulator.unpack, flats), strict=True))
    measured = _measurement(objective, exact, number.item(), sums, draws, floors, most_layers)
    norm = measured.exact_norm[0]
    rounding = {
        label: rounding_of(estimator, params, norm, measured.loss, loss.dtype)
        for label, (estimator, _) in watched.items()
    }
    unconverged = {label: each.unconverged for label, each in solves.items()}
    measured = replace(
        measured,
        rounding={n: r for n, r in rounding.items() if r is not None},
        not_converged={label: n for label, n in unconverged.items() if n is not None},
        reference_not_converged=reference_lost,
        growth=dict(zip(growths, growth.tolist(), strict=True)),
    )
    if not laws:
        return measured
    _, groups = layer_groups(objective, list(exact), most_layers)
    return replace(measured, laws=_laws(objective, params, watched, exact, groups))


def _laws(
    objective: Objective, params: Params, watched: Watched, exact: Params, groups: Tensor
) -> dict[str, dict[str, tuple[float, ...]]]:
    laws = {}
    for label, (estimator, state) in watched.items():
        law = law_of(estimator, objective, params, state, exact)
        if law is not None:
            values = theory(law, exact, groups)
            kept = values if (values["relative_squared_bias"] > 0).any() else _UNBIASED_LAW_MEASURES
            laws[label] = {metric: tuple(values[metric].tolist()) for metric in kept}
    return laws


_UNBIASED_LAW_MEASURES = ("relative_variance", "relative_squared_bias")
"""Measures kept of the law of an unbiased estimator; the others follow from the variance."""


def _measurement(
    objective: Objective,
    exact: dict[str, Tensor],
    loss: float,
    sums: dict[str, Sums],
    draws: int,
    floors: Tensor,
    most_layers: int | None,
) -> Measurement:
    layers, groups = layer_groups(objective, list(exact), most_layers)
    squares = next(iter(sums.values())).exact
    summaries = {label: s.summary(groups) for label, s in sums.items()}
    return Measurement(
        draws=draws,
        loss=loss,
        layers=layers,
        exact_norm=tuple((squares @ groups).sqrt().tolist()),
        exact_floor=tuple(grouped(floors.square(), groups).sqrt().tolist()),
        values={label: _values(summary) for label, summary in summaries.items()},
        nonfinite={label: _nonfinite(s) for label, s in sums.items()},
        lost={label: tuple((draws - s.counts).tolist()) for label, s in summaries.items()},
    )


def _values(summary: Summary) -> dict[str, tuple[float, ...]]:
    measures = measures_of(summary)
    table = torch.stack([measures[m] for m in METRICS]).tolist()
    return {m: tuple(row) for m, row in zip(METRICS, table, strict=True)}


def _nonfinite(sums: Sums) -> int:
    return int((~sums.finite).any(1).sum())
