"""`check`: the outcome of every check over several settings and networks."""

from dataclasses import dataclass

from estimators.conformance.checks import CHECKS, OPTIONAL, WITHOUT_DRAWS, Check, estimates
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
    error: Exception | None = None
    """The exception that the estimator raised, with its traceback."""
    offered: bool = True
    """False: the estimator offers nothing that this check could test, in any setting."""


def check(estimator: type[Estimator] | Estimator) -> list[Verdict]:
    """Run every check on an estimator, or on several settings of a class."""
    fixed = isinstance(estimator, Estimator)
    try:
        tried = list(trials([estimator])) if fixed else trials_of(estimator)
        needs = ", ".join(n.value for n in (estimator if fixed else estimator()).needs())
    except Exception as error:
        detail = f"creating it or calling needs() failed: {type(error).__name__}: {error}"
        return [Verdict(SUPPORTS, False, detail, error)]
    if not tried:
        detail = f"it does not support any of the sample networks; it needs {needs}"
        return [Verdict(SUPPORTS, False, detail)]
    with one_thread():
        estimated = _verdict("estimates", estimates, tried)
        if estimated.passed:
            return [_verdict(name, function, tried) for name, function in CHECKS.items()]
        # Most checks need estimates.
        others = [_verdict(name, function, tried) for name, function in WITHOUT_DRAWS.items()]
    unchecked = [
        Verdict(name, None, "not checked: an estimate failed")
        for name in CHECKS
        if name not in WITHOUT_DRAWS
    ]
    return [estimated, *others, *unchecked]


def _verdict(name: str, function: Check, tried: list[Trial]) -> Verdict:
    for trial in tried:
        try:
            function(trial)
        except AssertionError as error:
            return Verdict(name, False, f"{trial.name}: {error}")
        except Exception as error:  # a plug-in may fail in any way; the failure is the verdict
            detail = f"{trial.name}: {type(error).__name__}: {error}"
            return Verdict(name, False, detail, error)
    if name in OPTIONAL:
        offers, without = OPTIONAL[name]
        if not any(offers(trial) for trial in tried):
            return Verdict(name, True, without, offered=False)
    return Verdict(name, True, f"{len(tried)} combinations of settings and networks")
