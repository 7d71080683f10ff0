"""`carry_out`: start a study in a lab, or take it up, and show its table until it is finished."""

import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from backend.studies.study_file import StudyFile
from backend.studies.table import terminal

REFRESH = 0.5  # seconds
SHARE = 20
"""The server is asked for at most one part in this of its time."""
ORDERS = ("pause", "resume", "cancel", "retry")
Results = dict[str, Any]


class StudyEndedError(Exception):
    """The study did not come to its end; the message says why and what to do."""


class Lab(Protocol):
    """What this needs of a lab's client."""

    def start_study(self, document: Mapping[str, Any]) -> str: ...
    def studies(self, name: str) -> list[dict[str, Any]]: ...
    def study_results(self, study_id: str) -> Results: ...
    def order_study(self, study_id: str, order: str) -> dict[str, Any]: ...
    def add_seeds(self, study_id: str, seeds: Sequence[int]) -> dict[str, Any]: ...
    def address_of(self, study_id: str) -> str: ...
    def separate_test(self, dataset: str) -> bool: ...


def carry_out(lab: Lab, study: StudyFile, console: Console) -> Results:
    """Start a study or take it up, wait for its end, and return what it shows.

    Raises StudyEndedError if it is paused or cancelled meanwhile or if runs failed, and what the
    lab raises for a study that is not valid.
    """
    study_id = begin(lab, study, console)
    console.print(lab.address_of(study_id), highlight=False, markup=False, soft_wrap=True)
    for note in notes(lab, study):
        console.print(note, style="bold", highlight=False, markup=False)
    found = follow(lab, study_id, console)
    found["results"]["notes"] = notes(lab, study)
    return found


def order(lab: Lab, study: StudyFile, order: str, console: Console) -> None:
    """Pause, resume, cancel or retry a study. Raises StudyEndedError if the lab has none such."""
    found = _found(lab, study)
    if found is None:
        raise StudyEndedError(
            f"the lab has no study {study.name!r} with this document; start it without --order"
        )
    after = lab.order_study(found["id"], order)
    console.print(f"study {after['name']}: {after['status']}", highlight=False, markup=False)


def begin(lab: Lab, study: StudyFile, console: Console) -> str:
    """Start a study, or let the same one of the lab go on; returns its id."""
    found = _found(lab, study)
    if found is None:
        return lab.start_study(study.document())
    console.print(f"{found['ended']} of {found['cells']} runs are there", highlight=False)
    if found["status"] in ("paused", "cancelled"):
        lab.order_study(found["id"], "resume")
    if found["results"]["failures"]:
        lab.order_study(found["id"], "retry")
    if new := [seed for seed in study.seeds if seed not in found["document"]["seeds"]]:
        lab.add_seeds(found["id"], new)
    return found["id"]


def _found(lab: Lab, study: StudyFile) -> Results | None:
    """The newest study of the lab with the same name and document, or with fewer seeds."""
    document, seeds = study.document(), {*study.seeds}
    for listed in lab.studies(study.name):
        if not listed["cells"]:  # made by an earlier version: it has no document
            continue
        found = lab.study_results(listed["id"])
        stored = found["document"]
        if {**stored, "seeds": study.seeds} == document and {*stored["seeds"]} <= seeds:
            return found
    return None


def follow(lab: Lab, study_id: str, console: Console) -> Results:
    """Show a study's table until it is no longer running; returns its results.

    Raises StudyEndedError if it is paused or cancelled, or if runs failed.
    """
    found = lab.study_results(study_id)
    # Where nothing can be drawn over, only the last table is printed.
    live = console.is_terminal or console.is_jupyter
    shown = Live(console=console, auto_refresh=False, transient=True) if live else None
    took = 0.0
    with shown or nullcontext():
        while found["status"] == "running":
            if shown is not None:
                shown.update(_drawn(found), refresh=True)
            # A study of many runs takes the server longer to sum up, and the runs need it more.
            time.sleep(max(REFRESH, SHARE * took))
            asked = time.monotonic()
            found = lab.study_results(study_id)
            took = time.monotonic() - asked
    console.print(_drawn(found))
    if problem := _problem(found):
        raise StudyEndedError(problem)
    return found


def _drawn(found: Results) -> Group:
    ended = f"{found['ended']} of {found['cells']} runs"
    return Group(Text(f"{found['phase']}: {ended}"), terminal(found["results"]["words"]))


def _problem(found: Results) -> str:
    """Why a study that is not running has no complete table; "" if it has."""
    if found["status"] != "finished":
        return f"the study is {found['status']}; the same command goes on with it"
    failures = found["results"]["failures"]
    if not failures:
        return ""
    first = failures[0]
    count = f"{len(failures)} runs have" if len(failures) > 1 else "a run has"
    return (
        f"{count} no result; run {first['number']} ({first['variant']}, seed {first['seed']}): "
        f"{first['reason']}. The same command makes them again"
    )


def notes(lab: Lab, study: StudyFile) -> list[str]:
    """A warning for data sets whose seeds test what others tune on."""
    configs = (study.base, *(method.config for method in study.methods))
    used = sorted({str(c["dataset"]["name"]) for c in configs if "dataset" in c})
    return [
        f"each seed draws the parts of {name} from the same examples: some that are tested with "
        "one seed tune the rates with another, so that the results are a little too good"
        for name in used
        if study.tuning and not lab.separate_test(name)
    ]
