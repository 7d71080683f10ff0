"""`gradlab check`: whether a plug-in estimator keeps the contract, with its measures and cost."""

import traceback
from pathlib import Path

import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from estimators import Estimator, conformance, snake_name
from estimators.core.contract import UnsupportedError
from estimators.measurement.probe import probe
from estimators.measurement.results.measurement import Measurement
from estimators.registry import load_file

DRAWS = 64
MARKS = {True: "[green]pass[/]", False: "[bold red]FAIL[/]", None: "[yellow]–[/]"}


def check_file(file: Path, console: Console) -> bool:
    """Print a verdict for each estimator in `file`; returns whether all of them conform."""
    try:
        classes = load_file(file)
    except Exception as error:
        console.print(f"[bold red]{escape(str(file))} does not load[/]")
        _print_traceback(error, file, console)
        return False
    conform = [_check(cls, file, console) for cls in classes]  # not lazily: each verdict is printed
    return all(conform)


def _check(cls: type[Estimator], file: Path, console: Console) -> bool:
    console.print(f"[bold]{snake_name(cls)}[/]")
    table = Table("", "check", "detail", box=None, pad_edge=False, show_header=False)
    verdicts = conformance.check(cls)
    for verdict in verdicts:
        mark = MARKS[verdict.passed if verdict.offered else None]
        table.add_row(mark, escape(verdict.name), escape(verdict.detail))
    console.print(table)
    for error in {str(v.error): v.error for v in verdicts if v.error}.values():
        _print_traceback(error, file, console)
    passed = all(v.passed for v in verdicts)
    if passed:
        _print_measures(cls(), console)
    conclusion = "[green]conforms[/]" if passed else "[bold red]does not conform[/]"
    console.print(f"{snake_name(cls)} {conclusion}\n")
    return passed


def _print_traceback(error: Exception, file: Path, console: Console) -> None:
    """Print the traceback, beginning at the plug-in's file if it occurs there."""
    frames = error.__traceback__
    while frames and Path(frames.tb_frame.f_code.co_filename).resolve() != file.resolve():
        frames = frames.tb_next
    # A syntax error has no frame; its message names the line.
    shown = frames or (None if isinstance(error, SyntaxError) else error.__traceback__)
    lines = traceback.format_exception(type(error), error, shown)
    console.print("".join(lines), markup=False, highlight=False, soft_wrap=True)


def _print_measures(estimator: Estimator, console: Console) -> None:
    """Print its measures on the first sample network that suits it, and its declared cost."""
    case = next(c for c in conformance.cases() if conformance.served(estimator, c))
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
