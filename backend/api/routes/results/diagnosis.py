"""What a reader of a run must know, and why an estimator is bad, from what a run has measured."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import HTTPException, Query
from pydantic import Field

from backend.api.deps import LabDep
from backend.api.models import Id, View
from backend.api.router import router
from backend.figures.data import diagnosis as read
from backend.figures.data.query import WINDOW
from backend.figures.data.select import driver, estimators
from backend.figures.drawing import style
from backend.figures.findings import findings_of
from backend.sentences import unknown
from backend.store import Run
from backend.store.store import Snapshot

routes = router("diagnosis")
MAX_ANATOMIES = 200
"""Most runs of a microscope that are searched for an anatomy."""


class CauseView(View):
    """What is wrong in one layer, in a sentence, and how many draws averaged would mend it."""

    layer: str
    cause: str
    text: str
    draws: int | None


class DiagnosisView(View):
    """What is wrong in each layer, and how many draws averaged would mend it."""

    estimator: str
    probes: int
    draws: int
    findings: list[CauseView]
    batch: str
    """Whether a larger batch would: by which anatomy that is known, or how to measure one."""


@routes.get("/runs/{run_id}/diagnosis")
def diagnosis(
    run_id: Id,
    lab: LabDep,
    estimator: Annotated[str, Query(max_length=300)] = "",
    window: Annotated[int, Query(ge=2, le=1000)] = WINDOW,
    stage: Annotated[str, Query(max_length=300)] = "",
) -> DiagnosisView:
    """From the latest `window` probes of `estimator`, or of the driver if none is named: findings
    for the network and its stages, or for the tensors of one `stage`."""
    with lab.store.snapshot() as snapshot:
        run = snapshot.run(run_id)
        labels = estimators(run)
        usual = driver(run) or (labels[0] if labels else "")
        label = _allowed("estimator", estimator, labels, run) or usual
        question, words = _question(snapshot, run, label, window, stage)
    findings = lab.supervisor.diagnose(question) if question["layers"] else []
    if not any(finding["cause"] == "variance" for finding in findings):
        words = ""
    return DiagnosisView(
        estimator=label,
        probes=question["probes"],
        draws=question["draws"],
        findings=[CauseView(**finding) for finding in findings],
        batch=words,
    )


def _question(
    store: Snapshot, run: Run, label: str, window: int, stage: str
) -> tuple[dict[str, Any], str]:
    """The question of `estimators.statistics.findings`, and words on its anatomy."""
    members = read.members(run)
    _allowed("stage", stage, [name for name in members if name], run)
    layers = {name: [name] for name in members[stage]} if stage else members
    question = read.question(store, run.id, label, window, layers)
    question["anatomy"], words = _anatomy(store, run, label)
    return question, words


def _allowed(kind: str, asked: str, names: Sequence[str], run: Run) -> str:
    """What is asked for. Raises 422 for a name that the run does not have."""
    if asked and asked not in names:
        raise HTTPException(422, unknown(kind, asked, list(names), f"run {run.number}"))
    return asked


def _anatomy(store: Snapshot, run: Run, label: str) -> tuple[dict[str, Any] | None, str]:
    """The newest variance anatomy of this estimator at the run's weights, and words on it."""
    microscopes, _ = store.runs(kind="microscope", parent=run.id, limit=MAX_ANATOMIES)
    for microscope in microscopes:
        if not microscope.config.get("microscope", {}).get("anatomy"):
            continue
        if anatomy := read.anatomy(store, microscope.id, label):
            where = f"run {microscope.number}, at step {microscope.parent_step or 0:,}"
            return anatomy, f"what a larger batch would do is by the variance anatomy of {where}"
    return None, (
        "whether a larger batch would do instead is known from a variance anatomy: "
        "press Microscope on the run and choose it"
    )


class LookView(View):
    """How an estimator is drawn, the same everywhere."""

    marker: str
    colour: dict[str, int | str]


class RunFindingView(View):
    """One thing to know of a run."""

    kind: str
    severity: Annotated[
        int, Field(description="3: the run ended for it; 2: a fault; 1: a remark.", ge=1, le=3)
    ]
    title: Annotated[str, Field(description="A sentence of at most 90 characters.")]
    text: Annotated[str, Field(description="How much, and what to do; may be empty.")]
    step: Annotated[int | None, Field(description="Where it began, if it has a step.")]
    last: int | None
    estimator: Annotated[str, Field(description="The label that it is about; empty: the run.")]
    look: Annotated[
        LookView | None, Field(description="How the estimator is drawn; null: it is of the run.")
    ]
    layer: str
    where: Annotated[
        Literal["", "variance", "layers", "microscope", "setup"],
        Field(description="The tab of the run's page that shows it; empty: the first."),
    ]
    action: Annotated[
        Literal["", "lower rate", "duplicate"],
        Field(description="What a button beside it does."),
    ]


@routes.get("/runs/{run_id}/findings")
def findings(run_id: Id, lab: LabDep) -> list[RunFindingView]:
    """The findings of a run, the most severe first, then by step."""
    with lab.store.snapshot() as snapshot:
        run = snapshot.run(run_id)
        made = findings_of(snapshot, run.id)
    marks = style.symbols(estimators(run))
    return [
        RunFindingView(**asdict(finding), look=_look(finding.estimator, marks)) for finding in made
    ]


def _look(label: str, marks: dict[str, str]) -> LookView | None:
    if not label:
        return None
    ink = style.ink(label)
    colour = {"index": style.index(label), "light": ink.light, "dark": ink.dark}
    return LookView(marker=marks.get(label, style.symbol(label)), colour=colour)
