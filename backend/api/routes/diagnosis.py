"""Why is mine bad? Sentences, layer by layer, from the latest probes of a run."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import HTTPException, Query

from backend.api.deps import LabDep
from backend.api.models import Id, View
from backend.api.router import router
from backend.sentences import unknown
from backend.store import Run, Store

routes = router("diagnosis")
OF_THE_RUN = "exact/norm"
MEASURES = (
    "relative_variance", "relative_squared_bias", "relative_squared_bias_se", "snr",
    "cosine_mean", "norm_ratio", OF_THE_RUN,
)  # fmt: skip
PARTS = ("anatomy/estimator", "anatomy/fixed", "anatomy/fixed_se")


class FindingView(View):
    layer: str
    cause: str
    text: str
    draws: int | None


class DiagnosisView(View):
    """What is wrong in each layer, and how many draws averaged would mend it."""

    estimator: str
    probes: int
    draws: int
    findings: list[FindingView]
    batch: str
    """Whether a larger batch would: by which anatomy it is told, or how to have it told."""


@routes.get("/runs/{run_id}/diagnosis")
def diagnosis(
    run_id: Id,
    lab: LabDep,
    estimator: Annotated[str, Query(max_length=300)] = "",
    window: Annotated[int, Query(ge=2, le=1000)] = 16,
    stage: Annotated[str, Query(max_length=300)] = "",
) -> DiagnosisView:
    """From the latest `window` probes; of the driver, if no estimator is named. Of the network and
    its stages, or of the tensors of one `stage`."""
    run = lab.store.run(run_id)
    label = _label(run, estimator)
    draws = int(run.config.get("probe", {}).get("draws", 16))
    wanted = _members(run, stage)
    probes, layers = _measured(lab.store, run, label, window, wanted)
    anatomy, words = _anatomy(lab.store, run, label)
    question = {
        "draws": draws, "layers": layers, "coverage": _coverage(run, label), "anatomy": anatomy,
        "estimators": 1 + len(run.labels.get("shadows", ())),
        "unbiased": run.facts.get("unbiased", {}).get(label, False),
    }  # fmt: skip
    found = lab.supervisor.diagnose(question) if layers else []
    findings = [FindingView(**one) for one in found]
    if not any(one.cause == "variance" for one in findings):
        words = ""
    return DiagnosisView(
        estimator=label, probes=probes, draws=draws, findings=findings, batch=words
    )


def _label(run: Run, asked: str) -> str:
    known = [str(run.labels.get("driver", "")), *run.labels.get("shadows", ())]
    if asked and asked not in known:
        raise HTTPException(422, unknown("estimator", asked, known, f"run {run.number}"))
    return asked or known[0]


def _measured(
    store: Store, run: Run, label: str, window: int, wanted: Mapping[str, list[str]]
) -> tuple[int, dict[str, dict[str, Any]]]:
    """How many probes are read, and what they measured in the layers that are wanted."""
    held = {
        (s.metric, s.layer): s.id
        for s in store.series(run.id)
        if s.metric in MEASURES and s.estimator == ("" if s.metric == OF_THE_RUN else label)
    }
    whole = held.get(("relative_variance", ""))
    steps = store.points(whole).steps[-window:] if whole else []
    if not len(steps):
        return 0, {}
    first, count = int(steps[0]), len(steps)
    layers = {
        layer: {
            "members": tensors,
            "probes": {
                name: store.points(held[name, layer], first=first).values[:count].tolist()
                for name in MEASURES
            },
        }
        for layer, tensors in wanted.items()
        if all((name, layer) in held for name in MEASURES)
    }
    return count, layers


def _members(run: Run, stage: str) -> dict[str, list[str]]:
    """The tensors of the network and of each stage, in order; each tensor of one stage."""
    found: dict[str, list[str]] = {"": []}
    for row in run.facts.get("layers", ()):
        found[""].append(row["name"])
        found.setdefault(row["stage"], []).append(row["name"])
    if not stage:
        return found
    if stage not in found:
        known = [one for one in found if one]
        raise HTTPException(422, unknown("stage", stage, known, f"run {run.number}"))
    return {name: [name] for name in found[stage]}


def _anatomy(store: Store, run: Run, label: str) -> tuple[dict[str, Any] | None, str]:
    """The newest variance anatomy of the run that looked at this estimator, and words on it."""
    looks, _ = store.runs(kind="microscope", parent=run.id, limit=200)
    for look in looks:
        if look.config.get("microscope", {}).get("anatomy") and (of := _parts(store, look, label)):
            at = f"run {look.number}, at step {look.parent_step or 0:,}"
            told = {
                "batch": int(look.config["batch_size"]), "layers": of,
                "population": _population(store, look),
            }  # fmt: skip
            return told, f"what a larger batch would do is by the variance anatomy of {at}"
    return None, (
        "whether a larger batch would do instead is told by a variance anatomy: "
        "press Microscope on the run and choose it"
    )


def _parts(store: Store, look: Run, label: str) -> dict[str, dict[str, float]]:
    """{layer: {"estimator": E, "fixed": e₀, "fixed_se": its error, if known}} as last told."""
    found: dict[str, dict[str, float]] = {}
    for series in store.series(look.id):
        if series.metric in PARTS and series.estimator == label and series.count:
            part = series.metric.removeprefix("anatomy/")
            found.setdefault(series.layer, {})[part] = float(store.points(series.id).values[-1])
    return {layer: parts for layer, parts in found.items() if {"estimator", "fixed"} <= {*parts}}


def _population(store: Store, look: Run) -> int | None:
    """The examples of the training set; an early look has not told them."""
    for series in store.series(look.id):
        if series.metric == "anatomy/population" and series.count:
            return int(store.points(series.id).values[-1])
    return None


def _coverage(run: Run, label: str) -> dict[str, str] | None:
    """How each parameter's gradient comes about: on record for the driver alone."""
    if label != run.labels.get("driver"):
        return None
    return {row["name"]: row["coverage"] for row in run.facts.get("layers", ())}
