"""`gradlab check`: whether the components of a file keep the contracts of their kinds.

An estimator is shown with its measures and cost as well.
"""

import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from backend import conformance
from backend.catalogue.own_figures import FIGURE
from backend.training.components.index import KINDS as COMPONENTS
from estimators import Estimator, snake_name
from estimators import conformance as estimator_conformance
from estimators.conformance import Verdict, every_case, served
from estimators.core.contract import UnsupportedError
from estimators.measurement.probe import probe
from estimators.measurement.results.measurement import Measurement
from estimators.plugin_file import classes_of, frames_in, load_module, text_of_error
from estimators.registry import defines_none, discover
from estimators.time_limit import OutOfTimeError, TimeLimit

KINDS = {**COMPONENTS, "figure": FIGURE}
DRAWS = 64
MANY_SECONDS = 20.0
"""Seconds for the draws that see a small bias."""
LIMIT = 120.0
"""Seconds after which a file that is still loading, or a check, is given up."""
WORDS = {
    "estimator": "estimator",
    "network": "network",
    "dataset": "data set",
    "loss": "loss",
    "optimizer": "optimiser",
    "schedule": "schedule",
    "figure": "figure",
}
"""The kinds, in words."""
PLURALS = {**{kind: f"{word}s" for kind, word in WORDS.items()}, "loss": "losses"}
MARKS = {True: "[green]pass[/]", False: "[bold red]FAIL[/]", None: "[yellow]–[/]"}


class _Run(NamedTuple):
    """What the checks of one file share."""

    file: Path
    console: Console
    time_limit: TimeLimit
    many: float
    classes: Mapping[str, Sequence[type]]


def check_file(
    file: Path, console: Console, limit: float = LIMIT, many: float = MANY_SECONDS
) -> bool:
    """Print a verdict for each component in `file`; returns whether all of them conform."""
    time_limit = TimeLimit(limit)
    try:
        with time_limit.active("loading"):
            classes, refusals = classes_of(load_module(file), KINDS)
            if not classes and not refusals:
                raise TypeError(defines_none(file, KINDS))
    except OutOfTimeError as error:
        _print_out_of_time(f"{file} is", "loading", limit, error, file, console)
        return False
    except (Exception, SystemExit) as error:
        console.print(f"[bold red]{escape(str(file))} does not load[/]")
        _print_traceback(error, file, console)
        return False
    for reason in refusals:
        console.print(f"{MARKS[False]}  {escape(reason)}\n", highlight=False)
    components = [(kind, cls) for kind, members in classes.items() for cls in members]
    run = _Run(file, console, time_limit, many, classes)
    passed = [_check(kind, cls, run) for kind, cls in components]
    if len(passed) > 1:
        _print_summary(components, passed, console)
    return all(passed) and not refusals


def _print_summary(
    components: list[tuple[str, type]], passed: list[bool], console: Console
) -> None:
    pairs = zip(components, passed, strict=True)
    failed = [_name(kind, cls) for (kind, cls), conforms in pairs if not conforms]
    kinds = {kind for kind, _ in components}
    noun = PLURALS[kinds.pop()] if len(kinds) == 1 else "components"
    text = f"{sum(passed)} of {len(passed)} {noun} conform"
    console.print(f"{text}; not {', '.join(failed)}" if failed else text, highlight=False)


def _check(kind: str, cls: type, run: _Run) -> bool:
    name, console = _name(kind, cls), run.console
    console.print(f"[bold]{name}[/] ({WORDS[kind]})", highlight=False)
    try:
        with run.time_limit.active("its first check"):
            verdicts = [*_taken_name(kind, cls, run), *_verdicts(kind, cls, run)]
            _print_verdicts(verdicts, run.file, console)
            passed = all(v.passed for v in verdicts)
            if passed and kind == "estimator":
                run.time_limit.restart("its measures")
                _print_measures(cls(), console)
    except OutOfTimeError as error:
        doing, seconds = f"the check “{run.time_limit.doing}”", run.time_limit.seconds or 0.0
        _print_out_of_time(f"{name} is", doing, seconds, error, run.file, console)
        passed = False
    arm = getattr(cls, "control_arm", False)
    unasked = " as a control arm, whose mean nothing was asked of" if arm else ""
    conclusion = f"[green]conforms[/]{unasked}" if passed else "[bold red]does not conform[/]"
    console.print(f"{name} {conclusion}\n")
    return passed


def _taken_name(kind: str, cls: type, run: _Run) -> list[Verdict]:
    """A failure if the lab would not load the class, since its name stands for another one."""
    name = _name(kind, cls)
    before = [c for c in run.classes[kind] if _name(kind, c) == name]
    present = discover((), None, {kind: KINDS[kind]}).entries.get(kind, {}).get(name)
    if before[0] is not cls:
        owner = f"the class {before[0].__name__} of this file"
    elif present is not None and Path(present.file).resolve() != run.file.resolve():
        words = "built in" if present.kind == "builtin" else f"installed, in {present.file}"
        owner = f"the {WORDS[kind]} that is {words}"
    else:
        return []
    text = f"{name!r} is the name of {owner}, so that the lab does not load this class: rename it"
    return [Verdict("has a name of its own", False, text)]


def _verdicts(kind: str, cls: type, run: _Run) -> list[Verdict]:
    before = run.time_limit.restart
    if kind == "estimator":
        return estimator_conformance.check(cls, seconds=run.many, before=before)
    return conformance.check(kind, cls, before, beside=run.classes.get("dataset", ()))


def _name(kind: str, cls: type) -> str:
    return KINDS[kind].name_of(cls)


def _print_verdicts(verdicts: list[Verdict], file: Path, console: Console) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", ratio=1)
    for verdict in verdicts:
        mark = MARKS[verdict.passed if verdict.offered else None]
        table.add_row(mark, escape(verdict.name), escape(verdict.detail))
    console.print(table)
    for error in {str(v.error): v.error for v in verdicts if v.error}.values():
        _print_traceback(error, file, console)


def _print_out_of_time(
    what: str, doing: str, limit: float, error: BaseException, file: Path, console: Console
) -> None:
    text = f"{escape(what)} stopped: {escape(doing)} takes more than {limit:g} s"
    console.print(f"[bold red]{text}[/]; it was here:", highlight=False)
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if Path(f.filename).resolve() == file.resolve()]
    for frame in own or frames[-3:-1]:
        place = f"  {frame.filename}, line {frame.lineno}, in {frame.name}"
        console.print(place, markup=False, highlight=False, soft_wrap=True)
        console.print(f"    {frame.line}", markup=False, highlight=False, soft_wrap=True)


def _print_traceback(error: BaseException, file: Path, console: Console) -> None:
    """Print the traceback, beginning at the plug-in's file if it occurs there.

    A ValueError that the lab raises by itself is a sentence, which is printed already.
    """
    if frames_in(error, file) is None and isinstance(error, ValueError):
        return
    console.print(text_of_error(error, file), markup=False, highlight=False, soft_wrap=True)


def _print_measures(estimator: Estimator, console: Console) -> None:
    """Print its measures on the first sample network that suits it, and its declared cost."""
    case = next(c for c in every_case() if served(estimator, c))
    rng = torch.Generator().manual_seed(0)
    name = snake_name(type(estimator))
    state = estimator.init(case.chain, case.params, rng)
    try:
        measured = probe(
            case.chain, case.params, {name: (estimator, state)}, draws=DRAWS, seed=0, step=0
        )
    except UnsupportedError as reason:  # a requirement that only shows in an estimate
        console.print(escape(str(reason)))
        return
    console.print(f"on {case.name}, {DRAWS} draws:", highlight=False)
    _print_numbers(measured, name, console)
    cost = estimator.cost(case.chain)
    console.print(
        f"declared cost: {cost.forwards:g} forward passes, {cost.jvps:g} JVPs, {cost.vjps:g} VJPs; "
        f"activations stored: {cost.stored}",
        highlight=False,
    )


def _print_numbers(measured: Measurement, name: str, console: Console) -> None:
    for row in measured.rows():
        if row.layer == "" and row.estimator == name:
            console.print(f"  {row.metric:24} {row.value:.4g}", highlight=False)
