"""What a reader must know beside a figure: how many points it shows, and sentences."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from backend.figures.data.source import PointsLike
from backend.figures.data.window import Window


@dataclass
class Tally:
    """Counts of points and the sentences of a note, gathered while a figure is drawn."""

    shown: int = 0
    count: int = 0
    selection: str = "extrema kept"
    """How the shown points were selected, where not all points are shown."""
    zoomed: bool = False
    """Whether the counts are of the visible range alone."""
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
            "note": self.sentences,
            "details": self.details,
        }


def note_text(parts: Mapping[str, Any]) -> str:
    """The note as one text: counts first where points are left out, then the sentences."""
    return "; ".join([*filter(None, [_counts(parts)]), *parts["note"]])


def _counts(parts: Mapping[str, Any]) -> str:
    """How many points are shown; "" where all of the whole range are."""
    if not parts["selection"] and not parts["zoomed"]:
        return ""
    where = " in this range" if parts["zoomed"] else ""
    how = f", {parts['selection']}" if parts["selection"] else ""
    return f"{parts['shown']:,} of {parts['count']:,} points{where}{how}"
