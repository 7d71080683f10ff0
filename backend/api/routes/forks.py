"""Forks: a new run that begins with a checkpoint of another one."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import HTTPException
from pydantic import BaseModel, ConfigDict, Field

from backend.api.deps import Lab, LabDep
from backend.api.models import Id, RunView, run_view
from backend.api.router import router
from backend.api.validation import validated
from backend.config import RunConfig
from backend.jobs import run_checkpoints
from backend.sentences import unknown
from backend.store import Run
from backend.store.base import ConflictError

routes = router("forks")
FIXED_FIELDS = ("dataset", "network", "seed")
"""Fields that determine what the checkpoint's weights are and what they were trained on."""
FREE_FIELDS = tuple(name for name in RunConfig.model_fields if name not in FIXED_FIELDS)


class Fork(BaseModel):
    """The checkpoint to begin with, and the fields that change."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    step: Annotated[int, Field(ge=0, le=10_000_000)] | None = None
    """The step of the checkpoint. Empty: the newest."""
    config: dict[str, Any] = {}
    """Fields of the configuration that change; for the optimizer, single fields suffice."""


@routes.post("/runs/{run_id}/fork", status_code=201)
def fork(run_id: Id, request: Fork, lab: LabDep) -> RunView:
    """Queue a run that begins with a checkpoint of this one: its step, weights and estimators'
    states, and the optimiser's state if the optimiser is the same."""
    parent = lab.store.find(run_id)
    if parent.kind == "microscope":
        raise ConflictError(f"run {parent.number} is a {parent.kind}; fork the run it looks at")
    _check_fields(request.config)
    step = run_checkpoints.choose_step(lab.home.path, parent, request.step)
    (checked,) = validated(lab.supervisor, [_config(lab, parent, step, request.config)])
    _check_length(parent, step, checked["config"])
    columns = {**checked, "kind": "training", "parent": parent.id, "parent_step": step}
    run = run_checkpoints.queue_from_checkpoint(lab.store, lab.home.path, parent, step, columns)
    lab.supervisor.submit(run.id)
    return run_view(lab.store, lab.store.run(run.id))


def _check_fields(changed: Mapping[str, Any]) -> None:
    problems = [
        {"loc": ["config", name], "msg": f"a fork keeps its parent's {name}; start a new run"}
        if name in FIXED_FIELDS
        else {"loc": ["config", name], "msg": unknown("field", name, FREE_FIELDS, "a fork")}
        for name in changed
        if name not in FREE_FIELDS
    ]
    if problems:
        raise HTTPException(422, problems)


def _config(lab: Lab, parent: Run, step: int, changed: Mapping[str, Any]) -> dict[str, Any]:
    """The parent's configuration as it was at that step, with the changes."""
    at_step = run_checkpoints.config_at(lab.home.path, parent, step)
    config = {**parent.config, "name": f"fork of run {parent.number} at step {step:,}"}
    config["optimizer"] = {**config["optimizer"], "lr": at_step["lr"]}
    if "estimators" in at_step:
        config["estimator"], *config["shadows"] = at_step["estimators"]
    if changed.get("steps") is not None or changed.get("epochs") is not None:
        config |= {"steps": None, "epochs": None}
    optimizer = changed.get("optimizer")
    if isinstance(optimizer, Mapping) and "name" not in optimizer:
        changed = {**changed, "optimizer": {**config["optimizer"], **optimizer}}
    return {**config, **changed}


def _check_length(parent: Run, step: int, config: Mapping[str, Any]) -> None:
    """Raise HTTPException 422 if the fork would end before it begins."""
    same_length = all(config[name] == parent.config[name] for name in ("epochs", "batch_size"))
    steps = config["steps"] or (parent.steps if same_length else None)
    if steps is not None and steps <= step:
        msg = f"the fork begins at step {step:,}, and steps is {steps:,}; give more"
        raise HTTPException(422, [{"loc": ["config", "steps"], "msg": msg}])
