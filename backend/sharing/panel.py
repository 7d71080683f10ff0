"""One place for a chart in an export, and the menus that switch it."""

from dataclasses import dataclass, field
from typing import Any

from backend.figures import draw
from backend.figures.data.source import Source


@dataclass(frozen=True)
class Menu:
    """A choice that switches charts."""

    id: str
    label: str
    options: tuple[str, ...]


@dataclass(frozen=True)
class Panel:
    """One place for a chart; `figures` has one for each combination of its menus' options."""

    id: str
    by: tuple[str, ...] = ()
    figures: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        return not any(one["count"] for one in self.figures.values())


def one(source: Source, id: str, figure: str, **query: str) -> Panel:
    """A chart without a menu."""
    return Panel(id, (), {"": draw(figure, source, query)})
