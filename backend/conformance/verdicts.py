"""`Contract`: the checks of one kind of component, and `verdicts_of`: their outcomes."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from estimators.conformance import Verdict
from estimators.conformance.verdicts import verdict_of

Before = Callable[[str], None]
"""Called with the name of each check before it is made."""


class Trial(Protocol):
    """One setting of a component, with what it is tried on."""

    @property
    def name(self) -> str:
        """The setting and what it is tried on, in words."""
        ...


T = TypeVar("T", bound=Trial)
Check = Callable[[T], str | None]
"""Raises AssertionError with a plain sentence, or returns what it found."""
Run = Callable[[], Verdict]

SECONDS = 1.5
"""Seconds of processor time after which a check is tried in no further setting."""

MADE = "can be made"
"""The check that fails if no trial can be made."""


class NotOffered(str):
    """What a check finds where the component has nothing that it could test."""

    __slots__ = ()


class Contract(NamedTuple):
    """What a kind of component is held to."""

    trials: Callable[[type], Sequence[Any]]
    """The trials of a class, its defaults first. Raises for a class that cannot be tried."""
    required: Mapping[str, Check[Any]]
    """Checks of each trial without which the others would mean nothing."""
    checks: Mapping[str, Check[Any]]
    """The other checks of each trial."""
    once: Mapping[str, Check[Any]]
    """Checks of the first trial alone, which is that of the defaults."""


def verdicts_of(
    contract: Contract, cls: type, before: Before = lambda name: None, seconds: float = SECONDS
) -> list[Verdict]:
    """The outcome of every check of a contract on a class, in as many settings as time allows."""
    tried: list[Any] = []

    def make() -> str:
        tried.extend(contract.trials(cls))
        return ""

    before(MADE)
    verdicts = [verdict_of(MADE, make)]
    failed = "" if verdicts[0].passed else MADE
    for name, run in _runs(contract, tried, seconds):
        if failed:
            verdicts.append(Verdict(name, None, f"not checked: “{failed}” failed"))
            continue
        before(name)
        verdicts.append(run())
        if name in contract.required and not verdicts[-1].passed:
            failed = name
    return verdicts


def _runs(contract: Contract, tried: Sequence[Any], seconds: float) -> Iterator[tuple[str, Run]]:
    for name, function in {**contract.required, **contract.checks}.items():
        yield name, lambda n=name, f=function: _of_each(n, f, tried, seconds)
    for name, function in contract.once.items():
        yield name, lambda n=name, f=function: _of_each(n, f, tried[:1], seconds)


def _of_each(name: str, function: Check[Any], tried: Sequence[Trial], seconds: float) -> Verdict:
    """The verdict over all trials: the first that fails, else what was found first."""
    findings: list[tuple[str, str]] = []
    began = time.process_time()

    def run(trial: Trial) -> str:
        findings.append((trial.name, function(trial) or ""))
        return ""

    for trial in tried:
        if findings and time.process_time() - began > seconds:
            break
        verdict = verdict_of(name, lambda t=trial: run(t), f"{trial.name}: ")
        if not verdict.passed:
            return verdict
    words = _found(findings) + _in_how_many(len(findings), len(tried))
    offered = not all(isinstance(finding, NotOffered) for _, finding in findings)
    return Verdict(name, True, words, offered=offered)


def _found(findings: Sequence[tuple[str, str]]) -> str:
    """What the first trial found; if it had nothing to offer, what the first other one found."""
    offering = [pair for pair in findings if not isinstance(pair[1], NotOffered)]
    name, finding = (offering or findings)[0]
    return finding if name == findings[0][0] else f"{finding} ({name})"


def _in_how_many(made: int, count: int) -> str:
    """How many trials were made, if the time ended before all were."""
    return f" (tried in {made} of {count} settings, since it is slow)" if made < count else ""
