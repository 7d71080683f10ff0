"""Studies: a grid of configurations and seeds."""

from typing import Annotated, Any

from fastapi import HTTPException
from pydantic import BaseModel, ConfigDict, Field

from backend.api.deps import LabDep
from backend.api.models import Id, StudyView, Title, run_views
from backend.api.router import router
from backend.api.validation import Draft, validated
from backend.config import with_seed

routes = router("studies")
MAX_RUNS = 256
Seed = Annotated[int, Field(ge=0, lt=2**31)]


class Grid(BaseModel):
    """Configurations, each of which is run with each seed. Where seeds are given, the names of the
    runs say them."""

    model_config = ConfigDict(extra="forbid")

    name: Title
    configs: Annotated[list[Draft], Field(min_length=1, max_length=MAX_RUNS)]
    seeds: Annotated[list[Seed], Field(min_length=1, max_length=MAX_RUNS)] = [0]


class Drafts(BaseModel):
    """Configurations that are to be validated."""

    model_config = ConfigDict(extra="forbid")

    configs: Annotated[list[Draft], Field(min_length=1, max_length=4 * MAX_RUNS)]


@routes.post("/studies/validate")
def validate(drafts: Drafts, lab: LabDep) -> list[dict[str, Any]]:
    """Each configuration with every default; queues nothing. 422 names the problems of all."""
    return [checked["config"] for checked in validated(lab.supervisor, drafts.configs)]


@routes.post("/studies", status_code=201)
def start(grid: Grid, lab: LabDep) -> StudyView:
    """Validate a grid and queue all its runs; none is queued if one is not valid."""
    count = len(grid.configs) * len(grid.seeds)
    if count > MAX_RUNS:
        raise HTTPException(422, f"the grid has {count} runs; at most {MAX_RUNS} are allowed")
    checked = validated(lab.supervisor, grid.configs)
    named = "seeds" in grid.model_fields_set
    seeded = [
        {**each, "config": _seeded(each["config"], seed, named=named)}
        for each in checked
        for seed in grid.seeds
    ]
    runs, study_id = lab.store.create_runs(seeded, grid.name)
    for run in runs:
        lab.supervisor.submit(run.id)
    return study(study_id or "", lab)


def _seeded(config: dict[str, Any], seed: int, *, named: bool) -> dict[str, Any]:
    return with_seed(config, seed) if named else {**config, "seed": seed}


@routes.get("/studies/{study_id}")
def study(study_id: Id, lab: LabDep) -> StudyView:
    """A study and its runs."""
    stored, runs = lab.store.study(study_id)
    return StudyView(id=stored.id, name=stored.name, runs=run_views(lab.store, runs))
