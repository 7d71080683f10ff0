"""The microscope: draws at a checkpoint of a run, as a run of their own."""

from collections.abc import Mapping
from typing import Any

from backend.api.deps import Lab, LabDep
from backend.api.models import Id, RunView, run_view
from backend.api.router import router
from backend.api.validation import validated
from backend.config import USUAL_DRAWS, Component, Look, MicroscopeConfig, ProbeRequest, RunConfig
from backend.jobs import checkpoint_offers
from backend.store import Run
from backend.store.base import MissingError

NETWORK = "network."
routes = router("probes")
CALLED = {"draws": "microscope", "anatomy": "variance anatomy", "what_if": "what-if step"}


@routes.post("/probes", status_code=201)
def start(asked: ProbeRequest, lab: LabDep) -> RunView:
    """Queue draws of estimators at a checkpoint; the answer is a run like any other."""
    parent = lab.store.find(asked.run)
    step = checkpoint_offers.choose(lab.home.path, parent, asked.step)
    (checked,) = validated(lab.supervisor, [_config(lab, asked, parent, step)], "microscope")
    run = _queued(lab, parent, step, checked)
    lab.supervisor.submit(run.id)
    return run_view(lab.store.run(run.id))


@routes.get("/runs/{run_id}/checkpoints")
def checkpoints(run_id: Id, lab: LabDep) -> list[int]:
    """The steps of a run that the microscope can look at, ascending."""
    return checkpoint_offers.steps(lab.home.path, lab.store.run(run_id))


@routes.get("/runs/{run_id}/lineup")
def lineup(run_id: Id, lab: LabDep, step: int | None = None) -> list[Component]:
    """The driver, then the shadows, as they were at a checkpoint (the newest)."""
    parent = lab.store.run(run_id)
    at = checkpoint_offers.choose(lab.home.path, parent, step)
    return [Component.model_validate(one) for one in _lineup(lab, parent, at)]


def _config(lab: Lab, asked: ProbeRequest, parent: Run, step: int) -> dict[str, Any]:
    """The parent's configuration, its estimators and name replaced, and what is asked of it."""
    held = {name: parent.config[name] for name in RunConfig.model_fields if name in parent.config}
    return {
        **held,
        **_estimators(lab, asked, parent, step),
        "name": asked.name or _name(asked, parent, _number(lab, parent), step),
        "probe": {"budget": 0},
        "microscope": {
            **asked.model_dump(include={"seed", "source", *Look.model_fields}),
            "draws": asked.draws or USUAL_DRAWS[asked.kind],
            "run": _of(parent),
            "step": step,
            "plugins": parent.plugins,
        },
    }


def _estimators(lab: Lab, asked: ProbeRequest, parent: Run, step: int) -> dict[str, Any]:
    if asked.estimators is None:
        driver, *shadows = _lineup(lab, parent, step)
    else:
        driver, *shadows = (one.model_dump() for one in asked.estimators)
    return {"estimator": driver, "shadows": shadows}


def _lineup(lab: Lab, parent: Run, step: int) -> list[Any]:
    """Who drove the run at that step, then who was watched. Raises ConflictError where the driver
    has changed and the checkpoint, which knows when, cannot be read."""
    held = [parent.config["estimator"], *parent.config.get("shadows", ())]
    if parent.kind == "microscope" or not any(one.get("driver") for one in parent.changes):
        return held
    return checkpoint_offers.standing_at(lab.home.path, parent, step).get("estimators", held)


def _of(parent: Run) -> str:
    """The run that was trained: a microscope's own parent."""
    return parent.parent or parent.id if parent.kind == "microscope" else parent.id


def _number(lab: Lab, parent: Run) -> int | None:
    """Of the run that was trained; a microscope outlives it."""
    try:
        return lab.store.run(_of(parent)).number
    except MissingError:
        return parent.number


def _name(asked: ProbeRequest, parent: Run, trained: int | None, step: int) -> str:
    if parent.kind == "microscope" and _alike(asked, Look.model_validate(_seen(parent))):
        return parent.name
    what = f"{asked.sweep.field} swept" if asked.sweep else CALLED[asked.kind]
    if asked.sweep and asked.sweep.field.startswith(NETWORK):
        return f"{what}, run {trained}"  # at no step: each has first weights of its own
    return f"{what}, run {trained} at step {step:,}"


def _seen(parent: Run) -> dict[str, Any]:
    return {name: parent.config["microscope"].get(name) for name in Look.model_fields}


def _alike(one: Look, other: Look) -> bool:
    """Whether they look for the same, whatever their numbers."""
    fields = [look.sweep.field if look.sweep else "" for look in (one, other)]
    return one.kind == other.kind and fields[0] == fields[1]


def _queued(lab: Lab, parent: Run, step: int, checked: Mapping[str, Any]) -> Run:
    given = {
        "kind": "microscope",
        "parent": _of(parent),
        "parent_step": step,
        "steps": MicroscopeConfig.model_validate(checked["config"]).microscope.total,
    }
    return checkpoint_offers.queued(lab.store, lab.home.path, parent, step, {**checked, **given})
