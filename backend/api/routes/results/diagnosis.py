"""Why is an estimator bad? Sentences for each layer, from the latest probes of a run."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import HTTPException, Query

from backend.api.deps import LabDep
from backend.api.models import Id, View
from backend.api.router import router
from backend.figures.data import diagnosis as read
from backend.figures.data.select import driver, estimators
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
    window: Annotated[int, Query(ge=2, le=1000)] = 16,
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
