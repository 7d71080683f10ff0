"""Studies: variants × seeds, which the server carries out, and orders to them as one."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from fastapi import HTTPException, Query
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from backend import documents
from backend.api.deps import Lab, LabDep
from backend.api.models import (
    Id,
    ListedStudy,
    StudyCheck,
    StudyResults,
    StudyView,
    Title,
    run_views,
)
from backend.api.router import router
from backend.api.study_start import checked_variants, start_study
from backend.api.validation import DocumentedAs, Draft, validated
from backend.documents import MAX_SIZE
from backend.figures.studies import drawing
from backend.store.studies import Order
from backend.studies.cells import count_cells
from backend.studies.planning import (
    grid_document,
    grid_variants,
)
from backend.studies.results import ranked_by, results_of
from backend.studies.study_file import (
    STEP_SECONDS,
    StudyFile,
    StudyFileError,
    parse,
    reported_metric,
)

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


By = Literal[
    "accuracy", "readout_accuracy", "loss", "cosine", "cosine_mean", "scaled_error",
    "relative_variance", "relative_squared_bias", "relative_mse", "snr", "positive", "cost",
    "step_seconds",
]  # fmt: skip
"""What a leaderboard can be sorted by."""
M = TypeVar("M", bound=BaseModel)


class MoreSeeds(BaseModel):
    """Seeds that are to be reported too."""

    model_config = ConfigDict(extra="forbid")

    seeds: Annotated[list[Seed], Field(min_length=1, max_length=1000)]


class StudyText(BaseModel):
    """The text of a study's file, YAML or JSON."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, Field(max_length=MAX_SIZE)]


NewStudy = Annotated[dict[str, Any], DocumentedAs(StudyFile, Grid, StudyText)]
Questioned = Annotated[dict[str, Any], DocumentedAs(StudyFile, Drafts, StudyText)]
StudyFigure = Literal["study_curve", "study_matrix", "study_verdicts", "tuning_curve"]


@routes.get("/studies")
def listed(
    lab: LabDep,
    name: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> list[ListedStudy]:
    """Studies, newest first; with `name`, those of exactly that name."""
    return [ListedStudy.model_validate(row) for row in lab.store.studies(name=name, limit=limit)]


@routes.post("/studies/validate")
def validate(body: Questioned, lab: LabDep) -> StudyCheck | list[dict[str, Any]]:
    """Check a study, or several configurations; queues nothing. 422 names the problems of all.

    Of configurations, the answer is each with every default.
    """
    document = _read(body)
    if "configs" not in document or "base" in document:
        study, variants = _checked(lab, document)
        labels = [each["label"] for each in variants]
        return StudyCheck(name=study.name, variants=labels, cells=count_cells(study))
    configs = _parsed(Drafts, document).configs
    return [checked["config"] for checked in validated(lab.supervisor, configs)]


@routes.post("/studies", status_code=201)
def start(body: NewStudy, lab: LabDep) -> StudyView:
    """Validate a study as a whole and start it; none of its runs is made if it is not valid.

    The body is the document of a study, the text of its file, or configurations and seeds.
    """
    document = _read(body)
    if "configs" in document and "base" not in document:
        study, variants = _gridded(lab, _parsed(Grid, document))
    else:
        study, variants = _checked(lab, document)
    return get(start_study(lab, study, variants), lab)


def _parsed(model: type[M], body: Mapping[str, Any]) -> M:
    try:
        return model.model_validate(body)
    except ValidationError as error:
        problems = [{**each, "loc": ("body", *each["loc"])} for each in error.errors()]
        raise RequestValidationError(problems) from None


def _read(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The body, or the document in its text. Raises HTTPException 422."""
    if "text" not in body or "base" in body:
        return body
    try:
        return documents.parse(_parsed(StudyText, body).text, "the text", "a study")
    except documents.DocumentError as error:
        raise HTTPException(422, str(error)) from None


def _checked(lab: Lab, document: Mapping[str, Any]) -> tuple[StudyFile, list[dict[str, Any]]]:
    """A study of a user's own and its variants, validated. Raises HTTPException 422."""
    try:
        study = parse(document)
        if study.gallery is not None:
            raise StudyFileError(
                f"gallery is {study.gallery.name!r}; only the gallery gives it to studies of its "
                "own: leave it out"
            )
        return study, checked_variants(lab, study)
    except StudyFileError as error:
        raise HTTPException(422, str(error)) from None


def _gridded(lab: Lab, grid: Grid) -> tuple[StudyFile, list[dict[str, Any]]]:
    """The same of configurations and seeds. Raises HTTPException 422."""
    count = len(grid.configs) * len(grid.seeds)
    if count > MAX_RUNS:
        raise HTTPException(422, f"the grid has {count} runs; at most {MAX_RUNS} are allowed")
    answers = validated(lab.supervisor, grid.configs)
    named = "seeds" in grid.model_fields_set
    try:
        return grid_document(grid.name, grid.seeds), grid_variants(answers, named=named)
    except StudyFileError as error:
        raise HTTPException(422, str(error)) from None


@routes.get("/studies/{study_id}")
def get(study_id: Id, lab: LabDep) -> StudyView:
    """A study and its runs."""
    stored, runs = lab.store.study(study_id)
    views = run_views(lab.store, runs)
    return StudyView(id=stored.id, name=stored.name, status=stored.status, runs=views)  # pyright: ignore[reportArgumentType]


@routes.get("/studies/{study_id}/results")
def results(study_id: Id, lab: LabDep, by: By | None = None) -> StudyResults:
    """How far a study is: its table, the choices of its tuned values, its verdicts.

    The leaderboard is by the study's metric, by another one, or by `cost`.
    """
    state = lab.store.study_state(study_id)
    plan, found = lab.studies.plan(study_id), lab.studies.progress(study_id)
    ranking = None
    if by is not None:
        name = reported_metric(by)
        values = (
            lab.store.step_seconds(study_id)
            if name == STEP_SECONDS
            else lab.store.cell_values(study_id, "report", name)
        )
        ranking = ranked_by(plan, found, name, values)
    return StudyResults(
        id=study_id,
        name=state.name,
        status=state.status,
        finished=state.finished,
        phase=found.phase,
        cells=len(found.cells) + len(found.wanted),
        ended=found.ended,
        document=plan.study.document(),
        results=results_of(plan, found, ranking),
        figures=drawing.figures_of(plan),
    )


@routes.get("/studies/{study_id}/figures/{name}")
def figure(study_id: Id, name: StudyFigure, lab: LabDep) -> dict[str, Any]:
    """Draw a figure of a study."""
    return drawing.draw(name, lab.studies.plan(study_id), lab.studies.progress(study_id))


@routes.post("/studies/{study_id}/seeds")
def add_seeds(study_id: Id, body: MoreSeeds, lab: LabDep) -> ListedStudy:
    """Report more seeds of every variant; only their runs are made. Repeating changes nothing."""
    try:
        lab.studies.extend(study_id, body.seeds)
    except StudyFileError as error:
        raise HTTPException(422, str(error)) from None
    return ListedStudy.model_validate(lab.store.listed_study(study_id))


@routes.post("/studies/{study_id}/pause")
def pause(study_id: Id, lab: LabDep) -> ListedStudy:
    """Let all runs of a study wait, and queue no more of them."""
    return _order(lab, study_id, "pause")


@routes.post("/studies/{study_id}/resume")
def resume(study_id: Id, lab: LabDep) -> ListedStudy:
    """Go on with a study that was paused or cancelled."""
    return _order(lab, study_id, "resume")


@routes.post("/studies/{study_id}/cancel")
def cancel(study_id: Id, lab: LabDep) -> ListedStudy:
    """End all runs of a study early; what they measured is kept."""
    return _order(lab, study_id, "cancel")


@routes.post("/studies/{study_id}/retry")
def retry(study_id: Id, lab: LabDep) -> ListedStudy:
    """Make the runs of a study again that failed or were cancelled, and no others."""
    return _order(lab, study_id, "retry")


def _order(lab: Lab, study_id: str, order: Order) -> ListedStudy:
    lab.studies.order(study_id, order)
    return ListedStudy.model_validate(lab.store.listed_study(study_id))
