"""What a reader must know beside a figure: how many points it shows, and sentences."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from backend.figures.data.source import PointsLike


@dataclass
class Tally:
    """Counts of points and the sentences of a note, gathered while a figure is drawn."""

    shown: int = 0
    count: int = 0
    selection: str = "extrema kept"
    """How the shown points were selected, where not all points are shown."""
    sentences: list[str] = field(default_factory=list)

    def add(self, points: PointsLike) -> None:
        """Count the points of a series."""
        self.shown += len(points.steps)
        self.count += points.count

    def say(self, words: str) -> None:
        """Add a sentence; empty text adds nothing."""
        if words:
            self.sentences.append(words)

    def parts(self) -> dict[str, Any]:
        """`{shown, count, selection, note}`; `selection` is "" where all points are shown."""
        return {
            "shown": self.shown,
            "count": self.count,
            "selection": self.selection if self.shown < self.count else "",
            "note": self.sentences,
        }


def note_text(parts: Mapping[str, Any]) -> str:
    """The note as one text: counts first where points are left out, then the sentences."""
    thinned = f"{parts['shown']:,} of {parts['count']:,} points, {parts['selection']}"
    return "; ".join([*([thinned] if parts["selection"] else []), *parts["note"]])
