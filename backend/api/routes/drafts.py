"""Drafts: configurations that are being written, and what would run."""

from collections.abc import Mapping
from math import prod
from typing import Annotated, Any, Literal

from fastapi import HTTPException
from pydantic import BaseModel, ConfigDict, Field

from backend import documents
from backend.api.deps import Lab, LabDep
from backend.api.models import View
from backend.api.router import router
from backend.api.validation import Draft
from backend.documents import MAX_SIZE
from backend.expected_time import Expected, expected
from backend.store.queries import MAX_PAGE
from backend.studies.several_values import (
    as_config,
    as_study,
    checked_combinations,
    is_study,
    varied,
)
from backend.studies.study_file import StudyFileError
from backend.written_config import written

routes = router("drafts")
UNCHECKED = "the lab could not check this configuration now; it checks it when it is started"


class DraftQuestion(BaseModel):
    """A configuration that is being written. A list in place of a value means each of them."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    config: Draft
    chosen: Literal["", "dataset", "loss", "network", "estimator"] = ""
    """The part that was chosen last, which others may have to follow."""


class DraftText(BaseModel):
    """The text of a run's configuration or of a study, YAML or JSON."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, Field(max_length=MAX_SIZE)]


class Remedy(View):
    """Changes of a configuration after which a problem should be gone."""

    text: str
    changes: dict[str, Any]


class DraftProblem(View):
    """What prevents a draft from being run."""

    loc: list[str | int]
    msg: str
    remedies: list[Remedy]


class DraftView(View):
    """What would run."""

    changes: Annotated[dict[str, Any], Field(description="Parts that follow what was chosen.")]
    said: Annotated[list[str], Field(description="A sentence for each of these changes.")]
    problems: list[DraftProblem]
    runs: Annotated[int, Field(description="How many runs it is.")]
    varied: Annotated[
        dict[str, int], Field(description="{field with several values: how many}; empty: one run.")
    ]
    document: Annotated[
        dict[str, Any], Field(description="What POST /runs, or POST /studies of several, takes.")
    ]
    yaml: Annotated[str, Field(description="The same as text, without what is at its default.")]
    weights: int | None
    layers: int | None
    steps: Annotated[int | None, Field(description="Of one run; null before it is valid.")]
    seconds: Annotated[float | None, Field(description="About how long all runs take.")]
    slots: Annotated[int, Field(description="How many run at the same time.")]
    basis: Annotated[str, Field(description="How the time is known, or why it is not.")]


class DraftRead(View):
    """What a text holds: the configuration of a run, or a study that has a page of its own."""

    kind: Literal["run", "study"]
    config: Annotated[
        dict[str, Any] | None, Field(description="Of a run; null for a study of other kinds.")
    ]


@routes.post("/drafts")
def inspect(body: DraftQuestion, lab: LabDep) -> DraftView:
    """Say what a configuration would run, what follows a choice in it, and what refuses it."""
    catalogue = lab.supervisor.catalogue()
    slots = int(catalogue.get("slots", 1))
    try:
        configs = checked_combinations(body.config)
    except StudyFileError as error:
        return _unknown(body.config, str(error), slots)
    try:
        found = lab.supervisor.draft(configs, body.chosen)
    except TimeoutError:  # an answer that nobody waits for: a run is checked when it is started
        return _unknown(body.config, UNCHECKED, slots)
    config = {**body.config, **found["changes"]}
    fields = {path: len(values) for path, values in varied(config).items()}
    runs = prod(fields.values())
    document = as_study(config) if fields else config
    time = _time(lab, found)
    return DraftView(
        **{key: found[key] for key in ("changes", "said", "problems", "weights", "layers")},
        steps=found["steps"],
        runs=runs,
        varied=fields,
        document=document,
        yaml=written(document, catalogue),
        seconds=None if time.seconds is None else time.seconds * -(-runs // slots),
        slots=slots,
        basis=time.basis,
    )


def _unknown(config: dict[str, Any], problem: str, slots: int) -> DraftView:
    """The answer for a configuration of which no more can be said."""
    return DraftView(
        changes={},
        said=[],
        problems=[DraftProblem(loc=[], msg=problem, remedies=[])],
        runs=0,
        varied={},
        document=config,
        yaml="",
        weights=None,
        layers=None,
        steps=None,
        seconds=None,
        slots=slots,
        basis="Not known before the configuration is valid",
    )


def _time(lab: Lab, found: Mapping[str, Any]) -> Expected:
    if found["config"] is None:
        return Expected(None, "Not known before the configuration is valid")
    ended, _ = lab.store.runs(status="finished", kind="training", limit=MAX_PAGE)
    return expected(found["config"], found["steps"], ended)


@routes.post("/drafts/read")
def read(body: DraftText, lab: LabDep) -> DraftRead:
    """Read the text of a run's configuration, or of a study.

    A study that varies fields of one configuration is one with several values in these fields.
    """
    try:
        document = documents.parse(body.text, "the text")
    except documents.DocumentError as error:
        raise HTTPException(422, str(error)) from None
    if not is_study(document):
        return DraftRead(kind="run", config=document)
    config = as_config(document)
    return DraftRead(kind="run" if config else "study", config=config)


@routes.post("/drafts/unsuited")
def unsuited(body: DraftQuestion, lab: LabDep) -> dict[str, dict[str, str]]:
    """`{list of the catalogue: {name: why it does not suit}}` for a configuration.

    Networks and losses are judged by its data, estimators by its network, each with its default
    fields. Empty if the lab cannot judge them now.
    """
    try:
        first = checked_combinations(body.config)[0]
    except StudyFileError as error:
        raise HTTPException(422, str(error)) from None
    try:
        return lab.supervisor.unsuited(first)
    except TimeoutError:
        return {}
