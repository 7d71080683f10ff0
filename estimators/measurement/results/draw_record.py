"""The draws of one estimator one by one, and its measures after the first 8, 16, 32, … of them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from estimators.measurement.draws.stream import FIRST
from estimators.measurement.draws.summary import Summary, grouped, mean, over, ratio
from estimators.measurement.estimates.measures import measures_of
from estimators.measurement.estimates.observation import Observation


@dataclass(frozen=True, eq=False)
class SingleDraws:
    """Numbers of each of K draws; float64 on the CPU."""

    layers: tuple[str, ...]
    """The network and its W − 1 stages; the tensors are left out, to save memory."""
    cosine: Tensor
    """⟨ĝ_k, g⟩ / (‖ĝ_k‖‖g‖), (K, W); NaN for a zero gradient or a draw that is not finite."""
    norm_ratio: Tensor
    """‖ĝ_k‖ / ‖g‖, (K, W)."""
    along: Tensor
    """⟨ĝ_k, g⟩ / ‖g‖², (K, W)."""


@dataclass(frozen=True, eq=False)
class DrawRecord(SingleDraws):
    """The draws one by one for histograms, clouds and curves, and the measures of the first few."""

    across: Tensor | None
    """The first principal component of the sketched residuals ÷ ‖g‖, (K,); None: no sketch."""
    course: dict[int, dict[str, tuple[float, ...]]]
    """{K: {measure: its number in every layer, tensors included}}, K = 8, 16, 32, … and all."""


def single_draws(observation: Observation, first: int = 0) -> SingleDraws:
    """The numbers of an observation's draws, from number `first` on."""
    at, numbers = observation.at, observation.moments.numbers[first:]
    whole = [i for i, name in enumerate(at.layers) if name not in at.exact]
    dots, squares = (grouped(numbers[..., i], at.groups[:, whole]) for i in (0, 1))
    g2 = at.norms[whole].square()
    g2 = torch.where(g2 > 0, g2, torch.nan)
    return SingleDraws(
        layers=tuple(at.layers[i] for i in whole),
        cosine=ratio(dots, (squares * g2).sqrt()),
        norm_ratio=(squares / g2).sqrt(),
        along=dots / g2,
    )


def record(observation: Observation) -> DrawRecord:
    """The record of one observation's draws."""
    return DrawRecord(
        **vars(single_draws(observation)),
        across=observation.cloud()[1] if observation.sketch is not None else None,
        course={
            **{k: _tuples(_measures_of_first(observation, k)) for k in _stops(observation)},
            len(observation): _tuples(observation.values()),
        },
    )


def summary_of_first(observation: Observation, count: int) -> Summary:
    """The summary of the first `count` draws, from the numbers of the single draws.

    Innovations sum to the scatter, and the products with the mean before to
    K² ‖ḡ − g‖² = Σ ‖ĝ_k − g‖² + 2 Σ (k − 1) ⟨ĝ_k − g, ḡ_{k−1} − g⟩. The variance of the squared
    bias and the null of the scaled error do not follow from them: they are NaN.
    """
    groups, numbers = observation.at.groups, observation.moments.numbers[:count]
    dots, squares, innovations, products, before, errors, flipped = numbers.unbind(-1)
    exact = torch.stack([g.double().square().sum().cpu() for g in observation.at.exact.values()])
    finite = dots.isfinite()
    counts = finite.sum(0)
    pairs = (before * products).nan_to_num(0.0).sum(0)
    total = torch.where(finite, errors, 0.0).sum(0) + 2 * pairs
    offset = over((total / counts.clamp(min=1)).clamp(min=0), counts)
    scatter = innovations.nan_to_num(0.0).sum(0)
    trace = over(scatter, counts - 1)
    square = (mean(squares) - over(scatter, counts)).clamp(min=0)  # Σ‖ĝ_k‖² = scatter + K‖ḡ‖²
    return Summary(
        dots=grouped(dots, groups),
        squares=grouped(squares, groups),
        errors=grouped(errors, groups),
        exact=grouped(exact, groups),
        along=grouped(mean(dots), groups),
        mean=grouped(square, groups),
        offset=grouped(offset, groups),
        trace=grouped(trace, groups),
        noise=grouped(over(trace, counts), groups),
        bias_variance=torch.full((groups.shape[1],), torch.nan, dtype=torch.float64),
        flipped=grouped(flipped, groups),
    )


def _stops(observation: Observation) -> list[int]:
    """8, 16, 32, … below the number of draws; none within merged draws, which have no order."""
    before = observation.moments.numbers[..., 4]
    finite = before.isfinite()
    in_turn = torch.where(finite, before == finite.cumsum(0) - 1, True).all(1)
    count = int(in_turn.long().cumprod(0).sum())
    return [k for i in range(40) if (k := FIRST * 2**i) < min(count + 1, len(observation))]


def _measures_of_first(observation: Observation, count: int) -> dict[str, Tensor]:
    measures = measures_of(summary_of_first(observation, count))
    for name in ("relative_squared_bias_se", "scaled_error_null"):
        del measures[name]
    return measures


def _tuples(values: dict[str, Tensor]) -> dict[str, tuple[float, ...]]:
    return {name: tuple(x.tolist()) for name, x in values.items()}
