"""Checks of the declared cost: against the products that are computed, and against the variance."""
# pyright: reportPrivateImportUsage=false

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from estimators.conformance.settings import enlarged
from estimators.conformance.trial import Trial
from estimators.core.contract import Cost
from estimators.core.noise import stream

TOO_HIGH, TOO_LOW = 0.35, 1.7
"""Operations of an estimate, as a share of the declared ones, between which a declaration counts
as true: passes skip the derivatives of inputs, and small layers have products of their own."""
DRAWS, MAX_DRAWS = 200, 2000
"""Draws of two settings whose variances are compared, at first and at most."""
GAIN, NOTHING_GAINED = 0.5, 0.85
"""Ratios of the variances, at 8 times the draws: below the first, averaging works; above the
second, it has no effect. Between them, other noise of the estimator hides it."""
SEEDS, PARALLEL, ROUNDING = 5, 1 - 1e-9, 1e-20
"""Seeds whose estimates are compared, the cosine of parallel ones, and a share of ‖ĝ‖² that is
rounding."""


class _Products(TorchDispatchMode):
    """Counts the floating-point operations of matrix products and convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **kwargs or {})
        count = flop_registry.get(getattr(func, "_overloadpacket", None))
        if count is not None:
            self.total += count(*args, **kwargs or {}, out_val=out)
        return out


class _Spending(NamedTuple):
    """What one estimate computes, as a share of what it declares."""

    share: float
    passes: float
    """In forward passes."""
    trial: Trial


def declares_its_cost(trials: Sequence[Trial]) -> str:
    """`cost` returns a `Cost` above zero that agrees with the products of one estimate."""
    for trial in trials:
        cost = trial.estimator.cost(trial.case.chain)
        assert isinstance(cost, Cost), f"{trial.name}: cost gave {cost!r}, not a Cost"
        assert cost.forward_equivalents > 0, (
            f"{trial.name}: cost declares no pass at all; an estimate takes at least one"
        )
    by_setting: dict[Any, list[_Spending]] = {}
    for trial in trials:
        spending = _measured(trial)
        if spending is not None:
            by_setting.setdefault(trial.estimator, []).append(spending)
    for spendings in by_setting.values():
        _assert_declared(spendings)
    return "agrees with the products computed" if by_setting else "not measured"


def _measured(trial: Trial) -> _Spending | None:
    """None where the network has no products, as a surface, or they cannot be counted."""
    case = trial.case
    try:
        with torch.no_grad():
            forward = _count(lambda: case.chain(case.params))
        trial.estimate(case.params, trial.state, stream(0, "estimator"))  # what is done once
        rng = stream(0, "estimator")
        spent = _count(lambda: trial.estimate(case.params, trial.state, rng).grads)
    except (RuntimeError, NotImplementedError):
        return None
    if not forward:
        return None
    declared = trial.estimator.cost(case.chain).forward_equivalents
    return _Spending(spent / forward / declared, spent / forward, trial)


def _count(run: Any) -> int:
    with _Products() as products:
        run()
    return products.total


def _assert_declared(spendings: list[_Spending]) -> None:
    """Fail if all networks agree that the declaration is too low, or that it is too high."""
    least = min(spendings, key=lambda s: s.share)
    most = max(spendings, key=lambda s: s.share)
    for wrong, nearest in ((least.share > TOO_LOW, least), (most.share < TOO_HIGH, most)):
        trial = nearest.trial
        declared = trial.estimator.cost(trial.case.chain)
        assert not wrong, (
            f"{trial.name}: cost declares {declared.forwards:g} forward passes, "
            f"{declared.jvps:g} JVPs and {declared.vjps:g} VJPs, together as much as "
            f"{declared.forward_equivalents:.3g} forward passes; the matrix products of an "
            f"estimate are those of {nearest.passes:.3g}"
        )


def averages_its_draws(trials: Sequence[Trial]) -> str:
    """A count that multiplies the declared cost lowers the variance."""
    default = next((trial for trial in trials if trial.default), None)
    if default is None:
        return "no setting to compare"
    chain = default.case.chain
    twice = 2 * default.estimator.cost(chain).forward_equivalents
    raised = {
        field: Trial(estimator, default.case, seed=default.seed)
        for field, estimator in enlarged(type(default.estimator))
        if estimator.cost(chain).forward_equivalents >= twice
    }
    if not raised:
        return NO_COUNT
    if not _scatters(default):
        return NO_NOISE
    for field, trial in raised.items():
        _assert_averages(default, trial, field)
    return f"more {', '.join(raised)}: less variance"


NO_COUNT = "no count that raises the cost"
NO_NOISE = "draws of one state are equal: no noise to average"


def _assert_averages(few: Trial, many: Trial, field: str) -> None:
    counts = [f"{field}={getattr(trial.estimator, field)}" for trial in (few, many)]
    assert not _only_scaled(few, many), (
        f"each estimate with {counts[1]} is a multiple of that with {counts[0]} from the same "
        "noise: the draws that it averages are one draw"
    )
    count = DRAWS
    ratio, error = _ratio_of_variances(few, many, count)
    while ratio - 3 * error > GAIN and count < MAX_DRAWS:
        count = min(MAX_DRAWS, 3 * count)
        ratio, error = _ratio_of_variances(few, many, count)
    assert ratio - 3 * error <= NOTHING_GAINED, (
        f"{counts[1]} declares more passes than {counts[0]}, and its variance is {ratio:.2f} ± "
        f"{error:.2f} times as large: are the draws that it averages independent?"
    )


def _scatters(trial: Trial) -> bool:
    """Whether draws of one state differ by more than rounding."""
    draws = trial.draws(DRAWS)
    spread = (draws - draws.mean(0)).square().sum()
    return bool(spread > ROUNDING * draws.square().sum())


def _only_scaled(few: Trial, many: Trial) -> bool:
    """Whether the estimates of both are parallel for every seed, and differ between seeds."""
    pairs = []
    for seed in range(SEEDS):
        rows = [
            trial.flat(
                trial.estimate(trial.case.params, trial.state, stream(seed, "estimator")).grads
            )
            for trial in (few, many)
        ]
        pairs.append(torch.stack(rows))
    draws = torch.stack(pairs)  # (seeds, 2, d)
    parallel = torch.cosine_similarity(draws[:, 0], draws[:, 1]).abs()
    others = torch.cosine_similarity(draws[1:, 0], draws[:-1, 0]).abs()
    return bool((parallel > PARALLEL).all() and (others < PARALLEL).all())


def _ratio_of_variances(few: Trial, many: Trial, count: int) -> tuple[float, float]:
    """(the variance of `many` over that of `few`, its standard error)."""
    sizes = []
    for trial in (few, many):
        draws = trial.draws(count)
        sizes.append((draws - draws.mean(0)).square().sum(1))
    a, b = sizes
    ratio = (b.mean() / a.mean()).item()
    relative = [(x.std() / x.mean() / len(x) ** 0.5).item() for x in sizes if x.any()]
    return ratio, ratio * sum(r**2 for r in relative) ** 0.5
