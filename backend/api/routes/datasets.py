"""Data sets in files: which there are, how far their download is, and fetching them."""

from typing import Annotated, Literal

from fastapi import HTTPException, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from backend.api.deps import Lab, LabDep
from backend.api.models import View
from backend.api.router import router
from backend.data_folders.folders import (
    LONGEST_NAME,
    NAME,
    PARQUET,
    DataError,
    Pattern,
    available,
    data_at,
    names,
)
from backend.data_folders.named import NAMED
from backend.data_folders.preparation import wanted_set
from backend.data_folders.states import State, state

routes = router("data sets")

Name = Annotated[
    str,
    Path(max_length=LONGEST_NAME, pattern=f"^{NAME}$", description="The name of its folder."),
]
Files = Annotated[Pattern, Query(description="Which files its folder must have.")]


class DataSetView(View):
    """A data set in files, and how far it is."""

    name: str
    state: Literal["absent", "partial", "preparing", "broken", "ready"]
    text: Annotated[str, Field(description="The state and what to do about it, in a sentence.")]
    description: str
    done: Annotated[int, Field(description="Bytes of its files that are there.")]
    total: Annotated[int, Field(description="Bytes of all its files; 0 if that is not known.")]
    problem: Annotated[
        str, Field(description="Why the last download from here failed, in a sentence, or empty.")
    ]
    can_fetch: Annotated[bool, Field(description="Whether a download would bring it or repair it.")]
    can_cancel: Annotated[bool, Field(description="Whether this lab is fetching it.")]


class DataSetNames(View):
    """The names of the data sets that a field of the form offers."""

    here: Annotated[list[str], Field(description="Folders with such files.")]
    fetchable: Annotated[list[str], Field(description="Further ones that can be fetched by name.")]
    text: Annotated[str, Field(description="What there is, or what a folder must have.")]


class Wanted(BaseModel):
    """A data set to fetch."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    name: Annotated[str, Field(min_length=1, max_length=200)]
    """A short name, owner/name on the Hugging Face hub, or a folder that was fetched before."""
    config: Annotated[str, Field(max_length=200)] = ""
    """The hub's configuration, if it has several. Refused if the name has another one."""
    test: Annotated[str, Field(max_length=200)] = ""
    """The split for the test part. Empty: test, else validation. Refused if the set has another."""


@routes.get("/datasets")
def offered(lab: LabDep, files: Files = PARQUET) -> DataSetNames:
    """The data sets with files of a kind, and those that can be fetched."""
    with data_at(lab.settings.data_dir):
        here, text = names(files), available(files)
    further = [name for name in NAMED if name not in here] if files == PARQUET else []
    return DataSetNames(here=here, fetchable=further, text=text)


@routes.get("/datasets/{data_set}")
def get(data_set: Name, lab: LabDep, files: Files = PARQUET) -> DataSetView:
    """How far a data set is: absent, partly here, being prepared, damaged or ready."""
    return _view(lab, data_set, files)


@routes.post("/datasets", status_code=202)
def fetch(body: Wanted, lab: LabDep) -> DataSetView:
    """Fetch a data set from the Hugging Face hub in the background, as `gradlab data get` does; a
    damaged one is repaired. Repeating the request changes nothing."""
    try:
        with data_at(lab.settings.data_dir):
            name, wanted = wanted_set(body.name, body.config, body.test)
        lab.downloads.start(name, wanted)
    except DataError as error:
        raise HTTPException(422, [{"loc": ["name"], "msg": str(error)}]) from None
    return _view(lab, name, PARQUET)


@routes.post("/datasets/{data_set}/cancel")
def cancel(data_set: Name, lab: LabDep) -> DataSetView:
    """End a download that was started here. What has arrived stays for the next one."""
    lab.downloads.cancel(data_set)
    return _view(lab, data_set, PARQUET)


def _view(lab: Lab, name: str, files: Pattern) -> DataSetView:
    running = lab.downloads.runs(name)
    with data_at(lab.settings.data_dir):
        now = state(name, files)
        text, can_fetch = now.sentence(files), files == PARQUET and _can_fetch(now)
    if running and now.state != "preparing":  # its process is starting or ending
        now = State(name, "preparing", now.description)
        text = now.sentence(files)
    return DataSetView(
        name=name,
        state=now.state,
        text=text,
        description=now.description,
        done=now.done,
        total=now.total,
        problem=lab.downloads.problem(name) if now.state != "ready" else "",
        can_fetch=can_fetch and not running,
        can_cancel=running,
    )


def _can_fetch(now: State) -> bool:
    """Whether a download brings a set of Parquet files further."""
    if now.state == "broken":
        return now.is_damaged
    if now.state not in ("absent", "partial"):
        return False
    try:
        wanted_set(now.name)
    except DataError:
        return False
    return True
