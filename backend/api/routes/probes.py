"""The microscope: measurements at a checkpoint of a run, as a run of their own."""

from collections.abc import Mapping
from typing import Any

from backend.api.deps import Lab, LabDep
from backend.api.models import Id, RunView, run_view
from backend.api.router import router
from backend.api.validation import validated
from backend.config import (
    DEFAULT_DRAWS,
    NETWORK_PREFIX,
    Component,
    MicroscopeConfig,
    MicroscopeKind,
    ProbeRequest,
    RunConfig,
)
from backend.jobs import run_checkpoints
from backend.store import Run
from backend.store.base import MissingError

routes = router("probes")
TITLES = {
    "draws": "microscope", "anatomy": "variance anatomy", "what_if": "what-if step",
    "adjoint_map": "adjoint map",
}  # fmt: skip


@routes.post("/probes", status_code=201)
def start(request: ProbeRequest, lab: LabDep) -> RunView:
    """Queue measurements of estimators at a checkpoint; they are a run of kind microscope."""
    parent = lab.store.find(request.run)
    step = run_checkpoints.choose_step(lab.home.path, parent, request.step)
    (checked,) = validated(lab.supervisor, [_config(lab, request, parent, step)], "microscope")
    run = _queue(lab, parent, step, checked)
    lab.supervisor.submit(run.id)
    return run_view(lab.store, lab.store.run(run.id))


@routes.get("/runs/{run_id}/checkpoints")
def checkpoints(run_id: Id, lab: LabDep) -> list[int]:
    """The steps of a run's checkpoints, ascending."""
    return run_checkpoints.available_steps(lab.home.path, lab.store.run(run_id))


@routes.get("/runs/{run_id}/estimators")
def estimators(run_id: Id, lab: LabDep, step: int | None = None) -> list[Component]:
    """The driver, then the shadows, as they were at a checkpoint (default: the newest)."""
    parent = lab.store.run(run_id)
    chosen = run_checkpoints.choose_step(lab.home.path, parent, step)
    return [Component.model_validate(each) for each in _estimators_at(lab, parent, chosen)]


def _config(lab: Lab, request: ProbeRequest, parent: Run, step: int) -> dict[str, Any]:
    """The parent's configuration with the estimators to measure, a name, and the request."""
    config = {name: parent.config[name] for name in RunConfig.model_fields if name in parent.config}
    return {
        **config,
        **_estimators(lab, request, parent, step),
        "name": request.name or _name(request, parent, _trained_number(lab, parent), step),
        "probe": {"budget": 0},
        "microscope": {
            **request.model_dump(include={"seed", "source", *MicroscopeKind.model_fields}),
            "draws": request.draws or DEFAULT_DRAWS[request.kind],
            "run": _trained_id(parent),
            "step": step,
            "plugins": {**parent.plugins, **parent.facts.get("plugins", {})},
        },
    }


def _estimators(lab: Lab, request: ProbeRequest, parent: Run, step: int) -> dict[str, Any]:
    if request.adjoint_map:  # it makes the adjoints itself; by this one, other networks are refused
        return {"estimator": {"name": "implicit_adjoint"}, "shadows": []}
    if request.estimators is None:
        driver, *shadows = _estimators_at(lab, parent, step)
    else:
        driver, *shadows = (each.model_dump() for each in request.estimators)
    return {"estimator": driver, "shadows": shadows}


def _estimators_at(lab: Lab, parent: Run, step: int) -> list[Any]:
    """The driver, then the shadows, at that step.

    Raises ConflictError if the driver has changed during the run and the checkpoint, which knows
    when, cannot be read.
    """
    configured = [parent.config["estimator"], *parent.config.get("shadows", ())]
    if parent.kind == "microscope" or not any(c.get("driver") for c in parent.changes):
        return configured
    at_step = run_checkpoints.config_at(lab.home.path, parent, step)
    return at_step.get("estimators", configured)


def _trained_id(parent: Run) -> str:
    """The run that was trained: a microscope's parent, or the run itself."""
    return parent.parent or parent.id if parent.kind == "microscope" else parent.id


def _trained_number(lab: Lab, parent: Run) -> int | None:
    """The number of the run that was trained, which may be deleted before its microscopes."""
    try:
        return lab.store.run(_trained_id(parent)).number
    except MissingError:
        return parent.number


def _name(request: ProbeRequest, parent: Run, trained: int | None, step: int) -> str:
    """The name of the new run; the same measurement again keeps its name."""
    if parent.kind == "microscope" and _same_kind(request, _kind_of(parent)):
        return parent.name
    what = f"{request.sweep.field} swept" if request.sweep else TITLES[request.kind]
    if request.sweep and request.sweep.field.startswith(NETWORK_PREFIX):
        return f"{what}, run {trained}"  # each network is at its initialisation, not at the step
    return f"{what}, run {trained} at step {step:,}"


def _kind_of(microscope: Run) -> MicroscopeKind:
    request = microscope.config["microscope"]
    return MicroscopeKind.model_validate(
        {name: request.get(name) for name in MicroscopeKind.model_fields}
    )


def _same_kind(request: MicroscopeKind, other: MicroscopeKind) -> bool:
    """Whether they measure the same, whatever their numbers."""
    fields = [each.sweep.field if each.sweep else "" for each in (request, other)]
    return request.kind == other.kind and fields[0] == fields[1]


def _queue(lab: Lab, parent: Run, step: int, checked: Mapping[str, Any]) -> Run:
    columns = {
        **checked,
        "kind": "microscope",
        "parent": _trained_id(parent),
        "parent_step": step,
        "steps": MicroscopeConfig.model_validate(checked["config"]).microscope.total,
    }
    return run_checkpoints.queue_from_checkpoint(lab.store, lab.home.path, parent, step, columns)
