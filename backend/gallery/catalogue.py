"""Every entry of the gallery by its name, read from the YAML files of this package."""

from collections.abc import Container, Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, NamedTuple

import yaml
from pydantic import ValidationError

from backend import gallery
from backend.gallery.entry import Entry, Length, Paper

_FOLDER = files(gallery)


class GalleryEntry(NamedTuple):
    """An entry with its name and its paper."""

    name: str
    """The paper's key and the name of the file: `baydin2022-beale`."""
    paper: Paper
    entry: Entry

    def is_stand_in(self, folders: Container[str]) -> bool:
        """Whether its data set is absent from `folders`, the names of those that are here."""
        return self.entry.data is not None and self.entry.data.folder not in folders

    def document(self, length: Length, *, stand_in: bool) -> dict[str, Any]:
        """The document of its study, as `gradlab study` reads it."""
        return {
            "name": f"{self.paper.key}: {self.entry.title} ({length})",
            **self.entry.document(length, stand_in=stand_in),
            "gallery": {"name": self.name, "length": length, "stand_in": stand_in},
        }


@cache
def papers() -> Mapping[str, Paper]:
    """The papers by their keys, in the order in which they are shown."""
    listed = yaml.safe_load((_FOLDER / "papers.yaml").read_text(encoding="utf-8"))
    return {paper.key: paper for paper in map(Paper.model_validate, listed)}


@cache
def entries() -> Mapping[str, GalleryEntry]:
    """The entries by their names, in the order of the papers and of the entries' own `order`."""
    read = [
        _read(paper, file)
        for paper in papers().values()
        for file in (_FOLDER / "entries" / paper.key).iterdir()
    ]
    place = {key: at for at, key in enumerate(papers())}
    read.sort(key=lambda each: (place[each.paper.key], each.entry.order, each.name))
    return {each.name: each for each in read}


@cache
def recorded_picture(name: str) -> str | None:
    """The picture of an entry that comes with the lab, an SVG of its first figure; None without
    one. It was made by the entry itself, on another machine."""
    file = _FOLDER / "pictures" / f"{name}.svg"
    return file.read_text(encoding="utf-8") if file.is_file() else None


def _read(paper: Paper, file: Traversable) -> GalleryEntry:
    document: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
    try:
        entry = Entry.model_validate(document)
    except ValidationError as error:
        raise ValueError(f"{paper.key}/{file.name}: {error}") from None
    return GalleryEntry(f"{paper.key}-{file.name.removesuffix('.yaml')}", paper, entry)
