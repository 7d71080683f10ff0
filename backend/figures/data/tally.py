"""What a reader must know beside a figure: how many points it shows, and sentences."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from backend.figures.data.source import PointsLike
from backend.figures.data.window import Window

LINE = 100
"""Most characters of a note, unless its first sentence is longer."""


@dataclass
class Tally:
    """Counts of points and the sentences of a note, gathered while a figure is drawn."""

    shown: int = 0
    count: int = 0
    selection: str = "extrema kept"
    """How the shown points were selected, where not all points are shown."""
    zoomed: bool = False
    """Whether the counts are of the visible range alone."""
    warnings: list[str] = field(default_factory=list)
    """Sentences on what makes the numbers doubtful; they come first."""
    sentences: list[str] = field(default_factory=list)
    details: list[str] = field(default_factory=list)
    """Sentences that are shown on demand."""
    takeaway: str = ""
    """What the figure's numbers say, in a sentence of plain text; "" while there are none."""

    def add(self, points: PointsLike) -> None:
        """Count the points of a series."""
        self.shown += len(points.steps)
        self.count += points.count

    def add_window(self, window: Window) -> None:
        """Count the points of a series in the visible range."""
        self.shown += window.shown
        self.count += window.count

    def say(self, words: str) -> None:
        """Add a sentence; empty text adds nothing."""
        if words:
            self.sentences.append(words)

    def warn(self, words: str) -> None:
        """Add a sentence on what makes the numbers doubtful; empty text adds nothing."""
        if words:
            self.warnings.append(words)

    def add_details(self, words: str) -> None:
        """Add a sentence that is shown on demand; empty text adds nothing."""
        if words:
            self.details.append(words)

    def conclude(self, takeaway: str) -> None:
        """Say what the figure's numbers say."""
        self.takeaway = takeaway

    def parts(self) -> dict[str, Any]:
        """`{takeaway, shown, count, selection, zoomed, note, details}`; no `selection` if all are
        shown."""
        return {
            "takeaway": self.takeaway,
            "shown": self.shown,
            "count": self.count,
            "selection": self.selection if self.shown < self.count else "",
            "zoomed": self.zoomed,
            **self._divided(),
        }

    def _divided(self) -> dict[str, list[str]]:
        """`{note, details}`: the note is one line, whatever does not fit is shown on demand."""
        note, details = [], []
        for words in dict.fromkeys([*self.warnings, *self.sentences]):
            fits = not note or len("; ".join([*note, words])) <= LINE
            (note if fits else details).append(words)
        return {"note": note, "details": [*details, *self.details]}


def note_text(parts: Mapping[str, Any]) -> str:
    """All notes as one text: counts first where points are left out, then the sentences."""
    details = parts.get("details", ())  # an old stored figure has none
    return "; ".join([*filter(None, [_counts(parts)]), *parts["note"], *details])


def _counts(parts: Mapping[str, Any]) -> str:
    """How many points are shown; "" where all of the whole range are."""
    if not parts["selection"] and not parts["zoomed"]:
        return ""
    where = " in this range" if parts["zoomed"] else ""
    how = f", {parts['selection']}" if parts["selection"] else ""
    return f"{parts['shown']:,} of {parts['count']:,} points{where}{how}"
