"""Forks: a new run that begins with a checkpoint of another."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import HTTPException
from pydantic import BaseModel, ConfigDict, Field

from backend.api.deps import Lab, LabDep
from backend.api.models import Id, RunView, run_view
from backend.api.router import router
from backend.api.validation import validated
from backend.config import RunConfig
from backend.jobs import checkpoint_offers
from backend.sentences import unknown
from backend.store import Run
from backend.store.base import ConflictError

routes = router("forks")
FIXED = ("dataset", "network", "seed")
"""What makes the checkpoint's weights, and what they were trained on, what they are."""
FREE = tuple(name for name in RunConfig.model_fields if name not in FIXED)


class Fork(BaseModel):
    """Where a run branches off, and what is other there."""

    model_config = ConfigDict(extra="forbid")

    step: Annotated[int, Field(ge=0, le=10_000_000)] | None = None
    """Of the checkpoint; empty: the newest."""
    config: dict[str, Any] = {}
    """Fields of the configuration that change; of the optimizer, single ones too."""


@routes.post("/runs/{run_id}/fork", status_code=201)
def fork(run_id: Id, asked: Fork, lab: LabDep) -> RunView:
    """Queue a run that goes on from a checkpoint of this one: from its step, with its weights,
    its estimators' states and, if the optimiser is the same, the optimiser's."""
    parent = lab.store.find(run_id)
    if parent.kind != "training":
        raise ConflictError(f"run {parent.number} is a {parent.kind}; fork the run it looks at")
    _refuse_fixed(asked.config)
    step = checkpoint_offers.choose(lab.home.path, parent, asked.step)
    (checked,) = validated(lab.supervisor, [_config(lab, parent, step, asked.config)])
    _refuse_end(parent, step, checked["config"])
    given = {"kind": "training", "parent": parent.id, "parent_step": step}
    run = checkpoint_offers.queued(lab.store, lab.home.path, parent, step, {**checked, **given})
    lab.supervisor.submit(run.id)
    return run_view(lab.store.run(run.id))


def _refuse_fixed(changed: Mapping[str, Any]) -> None:
    problems = [
        {"loc": ["config", name], "msg": f"a fork keeps its parent's {name}; start a new run"}
        if name in FIXED
        else {"loc": ["config", name], "msg": unknown("field", name, FREE, "a fork")}
        for name in changed
        if name not in FREE
    ]
    if problems:
        raise HTTPException(422, problems)


def _config(lab: Lab, parent: Run, step: int, changed: Mapping[str, Any]) -> dict[str, Any]:
    """The parent's configuration as it stood at that step, with what is changed."""
    stood = checkpoint_offers.standing_at(lab.home.path, parent, step)
    config = {**parent.config, "name": f"fork of run {parent.number} at step {step:,}"}
    config["optimizer"] = {**config["optimizer"], "lr": stood["lr"]}
    if "estimators" in stood:
        config["estimator"], *config["shadows"] = stood["estimators"]
    if changed.get("steps") is not None or changed.get("epochs") is not None:
        config |= {"steps": None, "epochs": None}
    optimizer = changed.get("optimizer")
    if isinstance(optimizer, Mapping) and "name" not in optimizer:
        changed = {**changed, "optimizer": {**config["optimizer"], **optimizer}}
    return {**config, **changed}


def _refuse_end(parent: Run, step: int, config: Mapping[str, Any]) -> None:
    same = ("epochs", "batch_size")
    as_before = all(config[name] == parent.config[name] for name in same)
    steps = config["steps"] or (parent.steps if as_before else None)
    if steps is not None and steps <= step:
        msg = f"the fork begins at step {step:,}, and steps is {steps:,}; give more"
        raise HTTPException(422, [{"loc": ["config", "steps"], "msg": msg}])
