"""The race on the Home page: its preset and recording, its run, and what that has measured."""

from typing import Annotated, Any

from fastapi import HTTPException
from pydantic import BaseModel, ConfigDict, Field

from backend.api.deps import Lab, LabDep
from backend.api.models import RunView, View, run_view
from backend.api.router import router
from backend.api.validation import validated
from backend.race.preset import preset
from backend.race.recording import recording
from backend.race.story import of_run, story
from backend.sentences import unknown
from backend.store import Run
from backend.store.base import MissingError

routes = router("race")
Story = Annotated[
    dict[str, Any] | None,
    Field(
        description="What the page draws: steps of the probes, alignments, loss and drivers, with "
        "the sentences that hold from each step on; null where there is nothing yet."
    ),
]


class RaceRun(View):
    """The run of the race in this home, and what it has measured so far."""

    run: Annotated[RunView | None, Field(description="null: none was started, or it was deleted.")]
    story: Story


class RaceView(RaceRun):
    """The race: its estimators, the recording, and the run of this home."""

    estimators: Annotated[
        list[dict[str, Any]], Field(description="label, name, short and rate, from left to right.")
    ]
    layers: Annotated[list[dict[str, str]], Field(description="name and short, from the input on.")]
    steps: int
    every: Annotated[int | None, Field(description="Steps from one probe to the next.")]
    draws: Annotated[int, Field(description="Draws of each estimator in a probe.")]
    recording: Story
    examples: Annotated[
        list[dict[str, Any]],
        Field(
            description="The digits that the network reads: label, and pixels row by row, a letter "
            "each: sixteenths of black from 0 to g. Empty where no recording fits."
        ),
    ]
    races: Annotated[list[str], Field(description="The ids of all runs of the race, oldest first.")]
    others: Annotated[int, Field(description="How many other runs the lab has.")]


class Again(BaseModel):
    """Who drives the next race."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    driver: Annotated[str, Field(max_length=200)]
    """The label of one of its estimators."""


@routes.get("/race")
def get(lab: LabDep) -> RaceView:
    """The race, with the recording that comes with the lab if that fits it."""
    its, recorded = preset(), recording()
    now = _now(lab)
    return RaceView(
        run=now.run,
        story=now.story,
        estimators=[
            {**racer.model_dump(), "short": its.short[racer.label]} for racer in its.estimators
        ],
        layers=[layer.model_dump() for layer in its.layers],
        steps=its.config.steps or 0,
        every=its.config.probe.every,
        draws=its.config.probe.draws,
        recording=recorded and story(its, recorded.measured),
        examples=[each._asdict() for each in recorded.examples] if recorded else [],
        races=lab.race.runs,
        others=lab.store.count_runs(besides=lab.race.runs),
    )


@routes.get("/race/run")
def live(lab: LabDep) -> RaceRun:
    """The run of this home, and what it has measured so far."""
    return _now(lab)


@routes.post("/race")
def start_once(lab: LabDep) -> RaceRun:
    """Start the race, once a home and only while no other run is active."""
    if lab.settings.race:
        lab.race.start_once(lambda: not lab.store.active(), lambda: _start(lab, preset().document))
    return _now(lab)


@routes.post("/race/again", status_code=201)
def start_again(body: Again, lab: LabDep) -> RaceRun:
    """Start the race anew with this driver, at its learning rate."""
    try:
        config = preset().driven_by(body.driver)
    except KeyError:
        msg = unknown("estimator", body.driver, preset().labels, "the race")
        raise HTTPException(422, [{"loc": ["driver"], "msg": msg}]) from None
    lab.race.start_again(lambda: _start(lab, config))
    return _now(lab)


def _start(lab: Lab, config: dict[str, Any]) -> str:
    (checked,) = validated(lab.supervisor, [config])
    run = lab.store.create_run(checked["config"], checked["labels"], checked["plugins"])
    lab.supervisor.submit(run.id)
    return run.id


def _now(lab: Lab) -> RaceRun:
    run = _run(lab)
    if run is None:
        return RaceRun(run=None, story=None)
    with lab.store.snapshot() as snapshot:
        measured = of_run(preset(), snapshot, run)
    return RaceRun(
        run=run_view(lab.store, run),
        story=story(preset(), measured) if measured.steps else None,
    )


def _run(lab: Lab) -> Run | None:
    run_id = lab.race.run
    try:
        return None if run_id is None else lab.store.run(run_id)
    except MissingError:
        return None
