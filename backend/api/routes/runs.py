"""Runs: start, list, cancel, pause, resume, step, change, delete."""

from typing import Annotated, Any

from fastapi import HTTPException, Query
from pydantic import BaseModel, ConfigDict, Field, field_validator

from backend.api.deps import Lab, LabDep
from backend.api.models import EventView, Id, RunPage, RunView, event_view, run_view, run_views
from backend.api.router import router
from backend.api.validation import Draft, validated, validated_driver
from backend.config import Kind, Status
from backend.jobs import run_folders
from backend.sentences import wrong
from backend.store.queries import MAX_PAGE
from backend.store.run_orders import Action, require_changeable
from backend.store.runs import refuse_active

routes = router("runs")


class StepTarget(BaseModel):
    """The step to go on to."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    to: Annotated[int, Field(ge=1, le=10_000_000)]
    """The absolute step at which the run waits again."""


class RunChange(BaseModel):
    """Changes to a run in progress; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    lr: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)] | None = None
    """The base learning rate, which the schedule multiplies."""
    driver: str | dict[str, Any] | None = None
    """The new driver: the label of one of the run's estimators, or a description."""

    @field_validator("driver", mode="before")
    @classmethod
    def _label_or_description(cls, driver: Any) -> Any:
        if driver is not None and not isinstance(driver, str | dict):
            raise ValueError(wrong("driver", driver, "a label of the run or an estimator"))
        return driver


@routes.post("/runs", status_code=201)
def start(config: Draft, lab: LabDep) -> RunView:
    """Validate a configuration and queue a run."""
    (checked,) = validated(lab.supervisor, [config])
    run = lab.store.create_run(checked["config"], checked["labels"], checked["plugins"])
    lab.supervisor.submit(run.id)
    return run_view(lab.store, lab.store.run(run.id))


@routes.get("/runs")
def page(
    lab: LabDep,
    status: Status | None = None,
    kind: Kind | None = None,
    parent: Id | None = None,
    search: Annotated[str, Query(max_length=200)] = "",
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    before: Annotated[int | None, Query(ge=1, le=2**62)] = None,
) -> RunPage:
    """Runs, newest first. For the next page, `before` is the number of the last run."""
    filters = {"status": status, "kind": kind, "parent": parent}
    runs, total = lab.store.runs(**filters, search=search, limit=limit, before=before)
    return RunPage(runs=run_views(lab.store, runs), total=total)


@routes.get("/runs/{run_id}")
def get(run_id: Id, lab: LabDep) -> RunView:
    """One run, by id or number."""
    return run_view(lab.store, lab.store.find(run_id))


@routes.delete("/runs/{run_id}", status_code=204)
def delete(run_id: Id, lab: LabDep) -> None:
    """Delete a run that has ended, with its points and checkpoints."""
    run = lab.store.run(run_id)
    refuse_active(run)
    folder = lab.home.run_dir(run.id)
    # The files first: if that fails, the run can be deleted again.
    run_folders.remove(folder)
    lab.store.delete(run.id)


@routes.get("/runs/{run_id}/events")
def events(run_id: Id, lab: LabDep) -> list[EventView]:
    """The log of a run, oldest line first."""
    return [event_view(e) for e in lab.store.events(lab.store.run(run_id).id)]


@routes.post("/runs/{run_id}/cancel")
def cancel(run_id: Id, lab: LabDep) -> RunView:
    """End a run early; its points are kept."""
    return _order(lab, run_id, "cancel")


@routes.post("/runs/{run_id}/pause")
def pause(run_id: Id, lab: LabDep) -> RunView:
    """Let a run wait at the step that it has reached."""
    return _order(lab, run_id, "pause")


@routes.post("/runs/{run_id}/resume")
def resume(run_id: Id, lab: LabDep) -> RunView:
    """Let a paused run go on to its end."""
    return _order(lab, run_id, "resume")


@routes.post("/runs/{run_id}/step")
def step(run_id: Id, body: StepTarget, lab: LabDep) -> RunView:
    """Let a run go on to step `to` and wait there. Repeating the request changes nothing."""
    return _order(lab, run_id, "step", body.to)


@routes.post("/runs/{run_id}/change")
def change(run_id: Id, body: RunChange, lab: LabDep) -> RunView:
    """Change the learning rate, the driver, or both. The former driver becomes a shadow, and the
    optimiser keeps its state."""
    if body.lr is None and body.driver is None:
        raise HTTPException(422, "the change is empty; give lr, driver or both")
    run = lab.store.run(run_id)
    require_changeable(run)
    driver = None if body.driver is None else validated_driver(lab.supervisor, run, body.driver)
    run = lab.store.change(run_id, body.lr, driver)
    lab.supervisor.signal(run_id)
    return run_view(lab.store, run)


def _order(lab: Lab, run_id: str, action: Action, to: int | None = None) -> RunView:
    run = lab.store.steer(run_id, action, to)
    lab.supervisor.signal(run_id)
    return run_view(lab.store, run)
