"""The draws of one estimator one by one, and its measures on the way to the last of them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from estimators.measurement.draws.stream import FIRST
from estimators.measurement.draws.summary import Summary, grouped, over, ratio
from estimators.measurement.estimates.measures import statistics
from estimators.measurement.estimates.observation import Observation


@dataclass(frozen=True, eq=False)
class SingleDraws:
    """Numbers of each of K draws, float64 on the CPU."""

    layers: tuple[str, ...]
    """The network and its W − 1 stages: one number a draw for every tensor would be too many."""
    cosine: Tensor
    """⟨ĝ_k, g⟩ / (‖ĝ_k‖‖g‖), (K, W); NaN for a zero gradient or a draw that is not finite."""
    norm_ratio: Tensor
    """‖ĝ_k‖ / ‖g‖, (K, W)."""
    along: Tensor
    """⟨ĝ_k, g⟩ / ‖g‖², (K, W)."""


@dataclass(frozen=True, eq=False)
class Drawn(SingleDraws):
    """The draws one by one, and the measures on the way to the last of them."""

    across: Tensor | None
    """The first principal component of the sketched residuals ÷ ‖g‖, (K,); None: no sketch."""
    course: dict[int, dict[str, tuple[float, ...]]]
    """{K: {measure: its number in every layer, tensors included}} at 8, 16, 32, … draws, all."""


def single_draws(of: Observation, first: int = 0) -> SingleDraws:
    """The numbers of an observation's draws, from number `first` on."""
    at, numbers = of.at, of.moments.numbers[first:]
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


def drawn(of: Observation) -> Drawn:
    """What one observation's draws were."""
    return Drawn(
        **vars(single_draws(of)),
        across=of.cloud()[1] if of.sketch is not None else None,
        course={
            **{k: _plain(_on_the_way(of, k)) for k in _stops(of)},
            len(of): _plain(of.values()),
        },
    )


def until(of: Observation, count: int) -> Summary:
    """What the measures of the first `count` draws are made of.

    From the numbers of the single draws: innovations sum to the scatter, and lookaheads to the
    products of pairs, K² ‖ḡ − g‖² = Σ ‖ĝ_k − g‖² + 2 Σ (k − 1) ⟨ĝ_k − g, ḡ_{k−1} − g⟩. The
    variance of the squared bias is not among them: NaN.
    """
    groups, numbers = of.at.groups, of.moments.numbers[:count]
    dots, squares, innovations, lookaheads, before = numbers.unbind(-1)
    exact = torch.stack([g.double().square().sum().cpu() for g in of.at.exact.values()])
    finite = dots.isfinite()
    counts = finite.sum(0)
    errors = torch.where(finite, (squares - 2 * dots + exact).clamp(min=0), 0.0).sum(0)
    pairs = (before * lookaheads).nan_to_num(0.0).sum(0)
    bias = over(((errors + 2 * pairs) / counts.clamp(min=1)).clamp(min=0), counts)
    along = over(torch.where(finite, dots, 0.0).sum(0), counts)
    trace = over(innovations.nan_to_num(0.0).sum(0), counts - 1)
    square = bias + 2 * along - exact
    return Summary(
        dots=grouped(dots, groups),
        squares=grouped(squares, groups),
        exact=grouped(exact, groups),
        along=grouped(along, groups),
        mean=grouped(square, groups),
        trace=grouped(trace, groups),
        noise=grouped(over(trace, counts), groups),
        bias_variance=torch.full((groups.shape[1],), torch.nan, dtype=torch.float64),
    )


def _stops(of: Observation) -> list[int]:
    """8, 16, 32, … below the number of draws; merged ones have no common order to stop in."""
    before = of.moments.numbers[..., 4]
    finite = before.isfinite()
    in_turn = torch.where(finite, before == finite.cumsum(0) - 1, True).all(1)
    count = int(in_turn.long().cumprod(0).sum())
    return [k for i in range(40) if (k := FIRST * 2**i) < min(count + 1, len(of))]


def _on_the_way(of: Observation, count: int) -> dict[str, Tensor]:
    found = statistics(until(of, count))
    del found["relative_squared_bias_se"]
    return found


def _plain(found: dict[str, Tensor]) -> dict[str, tuple[float, ...]]:
    return {name: tuple(x.tolist()) for name, x in found.items()}
