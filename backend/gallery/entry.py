"""`Entry`: an experiment of a paper: its words, its study at two lengths, and published figures."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from backend.config import Strict

Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=600)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+$", max_length=60)]
Length = Literal["short", "full"]
"""short: minutes on 2 cores. full: hours, at the size that the entry names."""
Provenance = Literal["P", "R", "N"]
"""Where a published figure was read. P: in the paper. R: in the repository of its authors, or one
that is named. N: in other text, such as an abstract page or a review."""
Conversion = Literal["value", "accuracy", "error", "ratio", "tuned"]
"""How the measure of the study becomes the published quantity. value: as it is. accuracy: in
percent. error: 100 − accuracy in percent. ratio: divided by that of the baseline, seed by seed.
tuned: the tuned value in place of the measure."""


class Paper(Strict):
    """A paper of which the gallery has experiments."""

    key: Name
    """The folder of its entries."""
    authors: str
    """As it is cited, without the year; empty where they are not known."""
    year: int
    """Of the first version."""
    title: Words
    """The title of the paper."""
    arxiv: Annotated[str, StringConstraints(pattern=r"^\d{4}\.\d{4,5}$")]
    """Its number at arXiv."""
    says: Words | None = None
    """What it says, in plain words, on its card on the Home page."""
    cover: Name | None = None
    """The entry whose picture and time the card shows."""

    @property
    def citation(self) -> str:
        """`Ren et al. (2022), arXiv:2210.03310`."""
        named = f"{self.authors} ({self.year})" if self.authors else f"{self.title} ({self.year})"
        return f"{named}, arXiv:{self.arxiv}"


class Claim(Strict):
    """What the paper says, in our words."""

    text: Words
    """One or two sentences."""
    provenance: Provenance
    """Where it was read."""


class Published(Strict):
    """Published figures: one number for each method."""

    quantity: Words
    """What the numbers are, such as test error."""
    source: Words
    """The table or the file, such as table 3."""
    provenance: Provenance
    """Where they were read."""
    unit: Annotated[str, StringConstraints(max_length=20)] = ""
    """The unit of the numbers, such as %."""
    conversion: Conversion = "value"
    """How the measure of the study becomes this quantity."""
    values: Annotated[dict[str, float], Field(min_length=1)]
    """{label of a variant of the study: number}."""
    gap: Annotated[float, Field(ge=0)] | None = None
    """Pairs of methods that are at least so far apart in the paper are compared in their order.
    Empty: orders are not compared."""


class ShownFigure(Strict):
    """A figure of the entry: one of its study, or one of the study's runs."""

    name: Name
    """The figure's name in the lab."""
    source: Literal["study", "runs"] = "study"
    """runs: one of the catalogue of figures, drawn of reported runs."""
    title: Annotated[str, StringConstraints(max_length=120)] = ""
    """Empty: the figure's own title."""
    asks: dict[str, str] = Field(default={})
    """{parameter of the figure: value}, such as metric: loss."""
    methods: list[str] = Field(default=[])
    """Labels of the variants whose runs it shows. Empty: all."""
    seeds: Annotated[int, Field(ge=1, le=100)] = 1
    """How many seeds of each variant it shows."""


class Data(Strict):
    """The data set of the experiment, and what is changed in the study where it is absent."""

    folder: Name
    """The name of its folder, as in gradlab data get."""
    title: Words
    """How it is called in words."""
    stand_in: Words
    """What the stand-in is called in words."""
    changes: dict[str, Any]
    """Fields of the study that are replaced where the folder is absent."""


class Minutes(Strict):
    """How long the entry takes, about, on a machine with 2 cores."""

    short: Annotated[float, Field(gt=0)]
    full: Annotated[float, Field(gt=0)]


class Entry(Strict):
    """An experiment of a paper as a study that one click starts."""

    title: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80)]
    """What is shown, in a few words."""
    question: Words
    """The question that the experiment answers."""
    claim: Claim | None = None
    """What the paper says about it."""
    order: int
    """Its place among the entries of the paper."""
    minutes: Minutes
    """About how long it takes."""
    data: Data | None = None
    """The data set; empty where the experiment needs none from a folder."""
    study: dict[str, Any]
    """The document of the study at short length, without its name."""
    full: dict[str, Any]
    """Fields of the study that are replaced at full length."""
    figures: Annotated[list[ShownFigure], Field(min_length=1)]
    """What it shows; the first one is its thumbnail."""
    published: list[Published] = Field(default=[])
    """Published figures beside which the measured ones are set."""
    differences: dict[Literal["both", "short", "full"], list[Words]] = Field(default={})
    """What differs from the paper's experiment: at both lengths, or at one of them."""

    @model_validator(mode="after")
    def _explained(self) -> "Entry":
        if self.published and not self.differences.get("both"):
            raise ValueError("published is given without differences; say what differs for both")
        return self

    def document(self, length: Length, *, stand_in: bool) -> dict[str, Any]:
        """The document of the study, without its name."""
        data = self.data if stand_in else None
        changed = merged(self.study, data.changes if data else {})
        if length == "full":
            changed = merged(changed, self.full)
        if data:  # `full` may have named the paper's data set again
            changed["base"] = {**changed["base"], "dataset": data.changes["base"]["dataset"]}
        return changed

    def differences_at(self, length: Length, *, stand_in: bool) -> list[str]:
        """What differs from the paper's experiment, a sentence each."""
        said = [*self.differences.get("both", []), *self.differences.get(length, [])]
        if stand_in and self.data is not None:
            data = self.data
            said.insert(
                0,
                f"The data are {data.stand_in} in place of {data.title}: numbers of examples and "
                f"epochs below are those of {data.title}.",
            )
        return said


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the changes; objects are merged field by field, other values are replaced.

    A component (an object with `name`) of another name is replaced as a whole.
    """
    result = dict(base)
    for field, value in changes.items():
        before = result.get(field)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            same = value.get("name", before.get("name")) == before.get("name")
            result[field] = merged(before, value) if same else value
        else:
            result[field] = value
    return result
