"""`check`: the outcome of every check over several settings and networks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from estimators.conformance.checks import estimates
from estimators.conformance.every_check import (
    ACROSS,
    CHECKS,
    MANY,
    NOTHING_OFFERED,
    OPTIONAL,
    WITHOUT_DRAWS,
)
from estimators.conformance.many_draws import many_draws
from estimators.conformance.trial import Trial, one_thread, trials, trials_of
from estimators.core.contract import Estimator

SUPPORTS = "supports a network"
"""The check that fails if no trial can be made."""


@dataclass(frozen=True)
class Verdict:
    """The outcome of one check over all settings and cases."""

    name: str
    passed: bool | None
    """None: it could not be checked, because an estimate failed."""
    detail: str
    """What was found, in a sentence."""
    error: BaseException | None = None
    """The exception that the estimator raised, with its traceback."""
    offered: bool = True
    """False: the estimator offers nothing that this check could test, in any setting."""


def check(
    estimator: type[Estimator] | Estimator,
    seconds: float = 0.0,
    seed: int = 2,
    before: Callable[[str], None] = lambda name: None,
) -> list[Verdict]:
    """Run every check on an estimator, or on several settings of a class.

    Args:
        estimator: The class, or one setting of it.
        seconds: Time for many draws at the defaults, which show a small bias; 0 for none.
        seed: Of the draws from which means and variances are taken.
        before: Called with the name of each check before it is made.
    """
    fixed = isinstance(estimator, Estimator)
    try:
        tried = list(trials([estimator], seed)) if fixed else trials_of(estimator, seed)
        needs = ", ".join(n.value for n in (estimator if fixed else estimator()).needs())
    except (Exception, SystemExit) as error:
        detail = f"creating it or calling needs() failed: {type(error).__name__}: {error}"
        return [Verdict(SUPPORTS, False, detail, error)]
    if not tried:
        detail = f"it does not support any of the sample networks; it needs {needs}"
        return [Verdict(SUPPORTS, False, detail)]
    with one_thread():
        estimated = _of_each("estimates", estimates, tried)
        if not estimated.passed:
            return [estimated, *_without_estimates(tried)]
        verdicts: dict[str, Verdict] = {}
        for name, function in CHECKS.items():
            before(name)
            verdicts[name] = _of_each(name, function, tried)
        for name, function in ACROSS.items():
            before(name)
            verdict = verdict_of(name, lambda f=function: f(tried))
            offered = verdict.detail not in NOTHING_OFFERED
            verdicts[name] = replace(verdict, offered=offered)
        if seconds:
            before("keeps its claim in many draws")
            _add_many(verdicts, tried[0], seconds)
    return list(verdicts.values())


def _without_estimates(tried: Sequence[Trial]) -> list[Verdict]:
    """The checks that need no estimate, and the others unchecked."""
    made = [_of_each(name, CHECKS[name], tried) for name in WITHOUT_DRAWS]
    others = [name for name in (*CHECKS, *ACROSS) if name not in WITHOUT_DRAWS]
    return [*made, *(Verdict(n, None, "not checked: an estimate failed") for n in others)]


def _add_many(verdicts: dict[str, Verdict], trial: Trial, seconds: float) -> None:
    """Repeat the checks of means and variances with many draws, where they passed with few."""
    waiting = [n for n in MANY if verdicts[n].passed and verdicts[n].offered]
    if not waiting:
        return
    many = many_draws(trial, seconds)
    for name in waiting:
        verdict = verdict_of(name, lambda n=name: MANY[n](trial, many), f"{trial.name}: ")
        if not verdict.passed or verdict.detail:
            verdicts[name] = verdict


def _of_each(name: str, function: Callable[[Trial], str | None], tried: Sequence[Trial]) -> Verdict:
    """The verdict over all trials."""
    found = ""
    if name in OPTIONAL:
        offers, without = OPTIONAL[name]
        offered = verdict_of(name, lambda: "".join("x" for trial in tried if offers(trial)))
        if not offered.passed:
            return offered
        if not offered.detail:
            return Verdict(name, True, without, offered=False)
        tried = [trial for trial in tried if offers(trial)]
    for trial in tried:
        verdict = verdict_of(name, lambda t=trial: function(t), f"{trial.name}: ")
        if not verdict.passed:
            return verdict
        found = found or verdict.detail
    count = f"{len(tried)} combinations of settings and networks"
    return Verdict(name, True, found or count)


def verdict_of(name: str, run: Callable[[], str | None], place: str = "") -> Verdict:
    """The outcome of `run`: what it finds, or why it raises; `place` stands before the reason."""
    try:
        return Verdict(name, True, run() or "")
    except AssertionError as error:
        cause = error.__cause__  # what the component raised, if the check puts it into words
        own = None if isinstance(cause, AssertionError) else cause
        return Verdict(name, False, f"{place}{error}", own)
    except (
        Exception,
        SystemExit,
    ) as error:  # a plug-in may fail in any way; the failure is the verdict
        return Verdict(name, False, f"{place}{type(error).__name__}: {error}", error)
