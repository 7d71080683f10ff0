"""Checks of the mean: what the claim promises, and whether the estimate leads downhill.

A test fails from `COORDINATE` or `ALONG` standard errors on. A run of `check` makes at most about
6,000 tests of coordinates and 400 along tensors, so that by Bonferroni an estimator that keeps the
contract fails once in a thousand runs of `check` or less.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from estimators.conformance.many_draws import MARGIN, ManyDraws
from estimators.conformance.tally import Tally, offset
from estimators.conformance.trial import Trial
from estimators.core.contract import Claim

MAX_DRAWS = 2000
"""Draws after which a check decides, where fewer leave a doubt."""
CERTAIN = 20.0
"""Standard errors from which few draws decide."""
COORDINATE, ALONG = 5.3, 5.0
"""Standard errors from which a coordinate, or the part along a tensor's gradient, is off."""
DOUBT_COORDINATE, DOUBT_ALONG = 3.3, 2.0
"""Standard errors from which a check takes more draws."""
ROUNDING = 1e-9
"""Offset, relative to the gradient's largest entry or to its length, that rounding explains."""
EXACT = 1e-8
"""Largest error of an exact gradient, in double precision."""
NO_NOISE = 1e6
"""Standard errors from which an estimate counts as one without noise."""
STEPS, STEPS_BETWEEN_LOSSES = 300, 20
"""Steps of a descent, and steps after which its loss is computed."""
COMMON, MOST_DRAWS = 4.0, 20_000
"""Standard errors above 0 from which an estimate counts as leading downhill, and the draws
after which this is decided."""


def keeps_its_claim(trial: Trial) -> str:
    """EXACT equals the gradient; the mean of UNBIASED does, within 5 standard errors."""
    claim = trial.estimator.claim(trial.case.chain)
    assert isinstance(claim, Claim), f"claim gave {claim!r}, not a Claim"
    if claim is Claim.EXACT:
        _assert_exact(trial)
        return "EXACT: equal to the gradient"
    if claim is Claim.BIASED:
        return "BIASED promises nothing of the mean; see descends"
    tally = _enough(trial)
    _assert_unbiased(tally)
    return f"UNBIASED: {_power(tally)}"


def keeps_its_claim_in_many_draws(trial: Trial, many: ManyDraws) -> str:
    """The same for UNBIASED, with the draws that see a small bias."""
    if trial.estimator.claim(trial.case.chain) is not Claim.UNBIASED:
        return ""
    _assert_unbiased(many.claimed)
    return f"UNBIASED: on {trial.case.name}, {_power(many.claimed)}"


def _assert_exact(trial: Trial) -> None:
    errors = trial.tensors((trial.flat(trial.first.grads) - trial.expected).abs())
    name = max(errors, key=lambda n: errors[n].max().item())
    error = errors[name].max().item()
    assert error < EXACT, f"claims to be exact, but {name} is {error:.2g} off"


def _enough(trial: Trial) -> Tally:
    """Few draws, which suffice for most estimators; three times as many while a doubt is left."""
    count = trial.few
    tally = _tally(trial, count)
    while count < MAX_DRAWS and tally.count == count and _doubtful(tally):
        count = min(MAX_DRAWS, 3 * count)
        tally = _tally(trial, count)
    return tally


def _tally(trial: Trial, count: int) -> Tally:
    tally = Tally(trial.tensors(trial.expected))
    tally.add(trial.draws(count))
    return tally


def _doubtful(tally: Tally) -> bool:
    coordinates, along = _coordinates_off(tally), _along_off(tally)
    worst = max(coordinates.max().item(), max(along))
    return worst < CERTAIN and bool(
        (coordinates > DOUBT_COORDINATE).any() or max(along) > DOUBT_ALONG
    )


def _coordinates_off(tally: Tally) -> Tensor:
    mean, error = tally.coordinates()
    slack = ROUNDING * tally.mean.abs().max()
    return torch.where(mean.abs() > slack, (mean.abs() - slack) / error, 0.0)


def _along_off(tally: Tally) -> list[float]:
    return [offset(column, ROUNDING).off for column in tally.along.unbind(1)]


def _assert_unbiased(tally: Tally) -> None:
    """Test the whole and each tensor along the gradient, which shows a scale best, then entries."""
    places = ["the gradient", *(f"the gradient of {name}" for name in tally.names)]
    found = [offset(column, ROUNDING) for column in tally.along.unbind(1)]
    worst = max(range(len(found)), key=lambda i: found[i].off)
    assert found[worst].off <= ALONG, (
        f"claims to be unbiased, but along {places[worst]} the mean of {tally.count:,} draws is "
        f"{100 * found[worst].value:+.3g} % off, {found[worst].off:.1f} standard errors"
    )
    off = _coordinates_off(tally)
    i = int(off.argmax())
    mean = tally.coordinates()[0][i].item() + tally.mean[i].item()
    assert off[i] <= COORDINATE, (
        f"claims to be unbiased, but the mean of {tally.count:,} draws of {tally.place(i)} is "
        f"{mean:.4g} instead of {tally.mean[i].item():.4g}, {off[i].item():.1f} standard errors off"
    )


def _power(tally: Tally) -> str:
    """The smallest biases that these draws would have shown."""
    errors = MARGIN * tally.along.std(0) / tally.count**0.5
    moving = tally.mean.abs().max() > 0
    if not moving:
        return f"{tally.count:,} draws of a gradient that is zero"
    lengths = torch.stack([m.norm() for m in tally.pieces(tally.mean)])
    inside = torch.where(lengths > 0, errors[1:], 0.0)
    worst = int(inside.argmax())
    text = f"{tally.count:,} draws would have shown a bias of {_percent(errors[0])}"
    if len(tally.names) == 1:
        return text
    largest = f"{_percent(inside[worst])} ({tally.names[worst]})"
    return f"{text} along the gradient, in one tensor of {_percent(inside.min())} to {largest}"


def _percent(share: Tensor) -> str:
    value = 100 * share.item()
    return f"{max(value, 1e-6):.2g} %"


def descends(trials: Sequence[Trial]) -> str:
    """The mean leads downhill, and 300 small steps lower the loss.

    A biased estimator that leads downhill on none of the networks fails, unless it is declared to
    be a control arm. An unbiased one may be too noisy to tell.
    """
    tried = [trial for trial in trials if trial.default] or list(trials)[:1]
    if tried[0].estimator.control_arm:
        return "a control arm: nothing is asked of its mean"
    slopes = {trial.case.name: _slope(trial) for trial in tried}
    downhill = [trial for trial in tried if slopes[trial.case.name] > COMMON]
    uphill = [name for name, t in slopes.items() if t < -COMMON]
    noisy = {name: t for name, t in slopes.items() if abs(t) < NO_NOISE}
    text = "; ".join(f"{name} {t:+.1f}" for name, t in noisy.items())
    text = f" (⟨mean, gradient⟩ in standard errors: {text})" if text else ""
    if not downhill:
        assert not uphill, f"the mean points uphill on {', '.join(uphill)}{text}"
        claims = {trial.estimator.claim(trial.case.chain) for trial in tried}
        assert Claim.BIASED not in claims, (
            f"the mean has no visible relation to the gradient{text}; if this is meant, as for a "
            "control arm, say so in the class: control_arm: ClassVar[bool] = True"
        )
        return f"too noisy to tell{text}"
    for trial in downhill:
        _assert_descent(trial)
    also = f"; but the mean points uphill on {', '.join(uphill)}" if uphill else ""
    names = ", ".join(trial.case.name for trial in downhill)
    return f"{STEPS} steps lower the loss on {names}{also}"


def _assert_descent(trial: Trial) -> None:
    draws = trial.draws(trial.few // 2)
    rate = 0.2 * (draws @ trial.exact).mean() / draws.square().sum(1).mean()
    first = trial.case.chain(trial.case.params).item()
    last = _descended(trial, rate, 0.95 * first)
    assert last < 0.95 * first, (
        f"{STEPS} small steps on {trial.case.name} change the loss from {first:.4g} to "
        f"{last:.4g}; they should lower it"
    )


def _slope(trial: Trial) -> float:
    """⟨Eĝ, g⟩ in standard errors; more draws are taken while it cannot be told from 0."""
    count = trial.few // 2
    while True:
        draws = trial.draws(count)
        slopes = draws @ trial.exact
        mean, error = slopes.mean().item(), (slopes.std() / len(draws) ** 0.5).item()
        size = (draws.norm(dim=1).mean() * trial.exact.norm()).item()
        if abs(mean) <= ROUNDING * size:
            return 0.0
        t = mean / error if error > 0 else float("inf") * mean
        if abs(t) > 2 * COMMON or len(draws) < count or count >= MOST_DRAWS:
            return t
        count = min(MOST_DRAWS, 3 * count)


def _descended(trial: Trial, rate: Tensor, enough: float) -> float:
    """The loss after 300 steps, or sooner once it is below `enough`."""
    state, params = trial.state, dict(trial.case.params)
    rng = torch.Generator().manual_seed(1)
    last = float("inf")
    for step in range(1, STEPS + 1):
        estimate = trial.estimate(params, state, rng)
        state = estimate.state
        params = {n: p - rate * estimate.grads[n] for n, p in params.items()}
        if step % STEPS_BETWEEN_LOSSES == 0 and (last := trial.case.chain(params).item()) < enough:
            break
    return last
