"""The gallery: the papers' experiments, started by one request, beside the published figures."""

import threading
from typing import Annotated, Any, Literal

from fastapi import HTTPException, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from backend import figures
from backend.api.deps import Lab, LabDep
from backend.api.models import Id, ListedStudy, View
from backend.api.router import router
from backend.api.study_start import checked_variants, start_study
from backend.data_folders.folders import PARQUET, data_at, names
from backend.figures.picture import picture
from backend.figures.studies import drawing
from backend.gallery import view
from backend.gallery.catalogue import GalleryEntry, entries, recorded_picture
from backend.store.study_reads import GalleryStudy
from backend.studies.progress import Progress, StudyPlan
from backend.studies.study_file import StudyFileError, parse

routes = router("gallery")
SVG = "image/svg+xml"
_STARTING = threading.Lock()
"""Held while an entry is started, so that two requests at once start one study."""
Name = Annotated[str, Field(max_length=120, pattern=r"^[a-z0-9_-]+$")]


class GalleryStudyView(ListedStudy):
    """A study of an entry."""

    length: Annotated[str, Field(description="short or full.")]
    stand_in: Annotated[bool, Field(description="Whether its data stand in for the paper's.")]


class GalleryCard(View):
    """An entry in the list."""

    name: str
    title: str
    question: str
    paper: dict[str, Any]
    minutes: Annotated[
        dict[str, float], Field(description="About how long it takes on 2 cores: short and full.")
    ]
    data: Annotated[
        dict[str, Any] | None,
        Field(description="folder, title, stand_in, and whether it is present; null: needs none."),
    ]
    newest: Annotated[
        GalleryStudyView | None, Field(description="Its newest study; null: none was started.")
    ]
    recorded: Annotated[
        bool, Field(description="Whether a picture from another machine comes with the lab.")
    ]


class GalleryView(GalleryCard):
    """An entry with what its chosen study measured."""

    claim: Annotated[
        dict[str, str] | None,
        Field(description="What the paper says: text, provenance, and where that was read."),
    ]
    studies: Annotated[list[GalleryStudyView], Field(description="All its studies, newest first.")]
    study: Annotated[str, Field(description="The id of the study that is shown, or empty.")]
    comparisons: Annotated[
        list[dict[str, Any]],
        Field(description="Published figures beside measured ones, a table for each quantity."),
    ]
    made: Annotated[
        dict[str, Any],
        Field(description="date, runs, machine and versions of the study that is shown."),
    ]
    not_the_same: Annotated[str, Field(description="That these are not the same experiment.")]
    differences: Annotated[
        dict[str, list[str]],
        Field(description="What differs from the paper's experiment at each length."),
    ]
    figures: Annotated[
        list[dict[str, Any]],
        Field(description="key, figure, source (study or runs), title, help and query, in order."),
    ]


class Start(BaseModel):
    """Which length of an entry to start."""

    model_config = ConfigDict(extra="forbid")

    length: Literal["short", "full"] = "short"


@routes.get("/gallery")
def listed(lab: LabDep) -> list[GalleryCard]:
    """All entries, in the order of their papers, each with its newest study."""
    here, newest = _folders(lab), {}
    for each in reversed(lab.store.gallery_studies()):
        newest[each.entry] = _listed(each)
    return [
        GalleryCard(**view.card(entry, stand_in=entry.is_stand_in(here)),
                    newest=newest.get(entry.name))
        for entry in entries().values()
    ]  # fmt: skip


@routes.get("/gallery/{name}")
def get(
    name: Name, lab: LabDep, study: Annotated[Id | None, Query(description="Of the entry.")] = None
) -> GalleryView:
    """An entry, and what its newest study measured, or the one that is asked for."""
    entry, of_entry = _entry(name), lab.store.gallery_studies(name)
    shown = next((each for each in of_entry if study in (None, each.study.id)), None)
    if shown is None and study is not None:
        raise HTTPException(404, f"{name} has no study {study[:40]!r}")
    missing = entry.is_stand_in(_folders(lab))
    plan, found = _state(lab, shown) if shown else (None, Progress("report"))
    listed_studies = [_listed(each) for each in of_entry]
    return GalleryView(
        **view.card(entry, stand_in=missing),
        newest=listed_studies[0] if listed_studies else None,
        claim=view.claim(entry),
        studies=listed_studies,
        study=shown.study.id if shown else "",
        comparisons=view.comparisons(entry, plan, found) if plan else [],
        made=_made(lab, shown, found) if shown else {},
        not_the_same=view.NOT_THE_SAME,
        differences={
            length: view.differences(entry, length, stand_in=shown.stand_in if shown else missing)
            for length in ("short", "full")
        },
        figures=view.figures(entry, found),
    )


@routes.post("/gallery/{name}/start", status_code=201)
def start(name: Name, body: Start, lab: LabDep) -> ListedStudy:
    """Start an entry's study; the one that is already going on at this length is returned."""
    entry = _entry(name)
    with _STARTING:
        return _started(entry, body, lab)


def _started(entry: GalleryEntry, body: Start, lab: Lab) -> ListedStudy:
    name, stand_in = entry.name, entry.is_stand_in(_folders(lab))
    for each in lab.store.gallery_studies(name):
        same = (each.length, each.stand_in) == (body.length, stand_in)
        if same and each.study.status in ("running", "paused"):
            return ListedStudy.model_validate(each.study)
    try:
        study = parse(entry.document(body.length, stand_in=stand_in))
        variants = checked_variants(lab, study)
    except StudyFileError as error:
        raise HTTPException(422, f"{name} cannot be started: {error}") from None
    return ListedStudy.model_validate(lab.store.listed_study(start_study(lab, study, variants)))


@routes.get("/gallery/{name}/picture.svg", response_class=Response)
def thumbnail(name: Name, lab: LabDep) -> Response:
    """The entry's first figure as a small picture, of its newest study that has results.

    Before there are any: the picture that comes with the lab, which the entry made on another
    machine; 204 if none does.
    """
    entry = _entry(name)
    for each in lab.store.gallery_studies(name):
        plan, found = _state(lab, each)
        shown = view.figures(entry, found)[0]
        if any(found.reported()) and (drawn := _drawn(lab, plan, found, shown))["shown"]:
            return Response(picture(drawn), media_type=SVG)
    recorded = recorded_picture(name)
    return Response(recorded, media_type=SVG) if recorded else Response(status_code=204)


def _drawn(lab: Lab, plan: StudyPlan, found: Progress, shown: dict[str, Any]) -> dict[str, Any]:
    if shown["source"] == "study":
        return drawing.draw(shown["figure"], plan, found)
    with lab.store.snapshot() as snapshot:
        return figures.draw(shown["figure"], snapshot, shown["query"])


def _made(lab: Lab, shown: GalleryStudy, found: Progress) -> dict[str, Any]:
    """When and where the runs of a study were made; empty before the first one has ended."""
    first = next((run for run in found.reported() if run.status == "finished"), None)
    if first is None:
        return {}
    date = shown.study.finished or shown.study.created
    return view.made(lab.store.run(first.id).facts, date, len(found.cells))


def _state(lab: Lab, each: GalleryStudy) -> tuple[StudyPlan, Progress]:
    return lab.studies.plan(each.study.id), lab.studies.progress(each.study.id)


def _entry(name: str) -> GalleryEntry:
    try:
        return entries()[name]
    except KeyError:
        raise HTTPException(
            404, f"the gallery has no entry {name[:80]!r}; it has {', '.join(entries())}"
        ) from None


def _folders(lab: Lab) -> list[str]:
    """The names of the data sets of images that are here."""
    with data_at(lab.settings.data_dir):
        return names(PARQUET)


def _listed(each: GalleryStudy) -> GalleryStudyView:
    return GalleryStudyView(**vars(each.study), length=each.length, stand_in=each.stand_in)
