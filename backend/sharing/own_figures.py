"""The figures of plug-ins beside a run: in an export, on a shared page, in a notebook.

Another process draws them (`Drawer`). One that fails keeps its place and says why. What is kept of
a figure is data; it names the file that drew it and that file's SHA-256, and holds no path.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from backend.figures.catalogue import entry_of
from backend.figures.data.select import is_microscope
from backend.figures.data.source import Source
from backend.figures.data.tally import Tally
from backend.figures.drawing.text import plain, without_paths
from backend.figures.info import Chart, FigureInfo, Place

LONGEST = 400
"""Characters of an error in a figure's place."""
UNLISTED = FigureInfo(
    "Your figures", "The figures of plug-ins.", "", ("runs",),
    (Chart("own-figures", (Place("run", "own", 0),), size="tall", runs="focused"),),
)  # fmt: skip
"""What stands in place of all of them where the plug-ins could not be read."""


class Drawer(Protocol):
    """What lists and draws the figures of plug-ins: the server's supervisor, or a `HomeDrawer`."""

    def own_figures(self, *, wait: bool = False) -> list[dict[str, Any]]:
        """Their entries of the catalogue, with `source`; `wait` until the plug-ins are read.

        Raises TimeoutError.
        """
        ...

    def draw(self, name: str, run_id: str) -> dict[str, Any]:
        """`{figure}`, as `backend.figures.draw` returns it, or `{problem}`. Raises TimeoutError."""
        ...


@dataclass(frozen=True)
class OwnFigure:
    """A figure of a plug-in of one run, or why there is none."""

    entry: Mapping[str, Any]
    """Its entry of the catalogue; `source` is `{file, hash}`, a name without a folder."""
    answer: Mapping[str, Any]
    """`{figure}`, as `backend.figures.draw` returns it, or `{problem}`, a sentence."""

    def drawn(self, more: str = "") -> dict[str, Any]:
        """The figure with its origin and `more` in its note; without points if it failed."""
        figure = self.answer.get("figure") or _nothing(self.entry["title"])
        problem = self.answer.get("problem", "")
        said = [*figure["note"], problem, self.origin, more]
        return {**figure, "note": list(filter(None, said))}

    @property
    def origin(self) -> str:
        """The file that drew it, as a sentence; "" where it is not known."""
        source = self.entry.get("source")
        return f"drawn by {source['file']}, SHA-256 {source['hash']}" if source else ""


class OwnFigures:
    """The figures of plug-ins of runs, called with a run's id; none of a microscope's.

    A figure that exceeds its time with one run is not tried with another.
    """

    def __init__(self, drawer: Drawer, source: Source) -> None:
        self._drawer, self._source = drawer, source
        self._late: dict[str, str] = {}

    def __call__(self, run_id: str) -> Iterator[OwnFigure]:
        """Each figure of the run, drawn one after the other."""
        if is_microscope(self._source.run(run_id)):
            return
        try:
            entries = self._drawer.own_figures(wait=True)
        except TimeoutError as error:
            problem = f"the plug-ins were not read: {_told(error)}"
            yield OwnFigure(entry_of("plug_ins", UNLISTED), {"problem": problem})
            return
        for entry in entries:
            yield self._draw(entry, run_id)

    def _draw(self, entry: Mapping[str, Any], run_id: str) -> OwnFigure:
        name = entry["name"]
        answer: Mapping[str, Any] = {"problem": self._late.get(name, "")}
        if name not in self._late:
            try:
                answer = self._drawer.draw(name, run_id)
            except TimeoutError as error:
                answer = {"problem": _told(error)}
                self._late[name] = f"not tried, as with another run: {_told(error)}"
        figure = answer.get("figure")
        # The file may have been changed since the catalogue was built: what drew it counts.
        source = (figure or {}).get("source") or entry.get("source")
        named = source and {"file": Path(source["file"]).name, "hash": source["hash"]}
        kept = {**entry, "source": named}
        if figure is None:
            return OwnFigure(kept, {"problem": _told(answer["problem"])})
        return OwnFigure(kept, {"figure": {**figure, "source": named}})


def _told(problem: object) -> str:
    """The line that says what went wrong, without paths; of a traceback the last one."""
    lines = str(problem).strip().splitlines() or [""]
    line = lines[-1] if lines[0].startswith("Traceback") else lines[0]
    return without_paths(line)[:LONGEST]


def _nothing(title: str) -> dict[str, Any]:
    """A figure without points."""
    layout = {"title": {"text": plain(title)}, "height": 200}
    return {"figure": {"data": [], "layout": layout}, **Tally().parts(), "meta": {}}
