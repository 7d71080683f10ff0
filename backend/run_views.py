"""`show_run`: the figures of a run of a lab in a notebook or a script, from its database."""

import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from backend.figures.pages import page_of
from backend.notebook.views import Views
from backend.sharing import OwnFigure, OwnFigures
from backend.store import Run
from backend.stored_home import StoredHome
from backend.stored_home import StoredHomeError as StoredHomeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from plotly.graph_objects import Figure


class RunViews(Views):
    """The figures of a run, read anew at each call: a run that is going on grows.

    Those of plug-ins are drawn by another process, as the lab does it; one that fails is empty and
    says why.
    """

    def __init__(self, home: StoredHome, run: Run) -> None:
        super().__init__(home.store, None, run=run.id, own=self._drawn_elsewhere)
        self.page = page_of(run.config)
        self._home = home
        weakref.finalize(self, home.close)

    def own_figures(self) -> "dict[str, Figure]":
        """The figures of plug-ins by their names in the catalogue; none of a microscope's run."""
        import plotly.graph_objects as go

        from backend.figures import note_text
        from backend.notebook.views import on_white

        drawn = {each.entry["name"]: each.drawn() for each in self._own(self._run)}
        return {
            name: on_white(go.Figure(each["figure"]), note_text(each), each.get("takeaway", ""))
            for name, each in drawn.items()
        }

    def _drawn_elsewhere(self, run_id: str) -> "Iterator[OwnFigure]":
        with self._home.drawer() as drawer:
            yield from OwnFigures(drawer, self._home.store)(run_id)


def show_run(run: int | str, home: Path | str | None = None) -> RunViews:
    """The figures of a run of the lab, by its number or id: as the last line of a notebook cell,
    all that its page shows, plug-ins' among them.

    show_run(12).curve(metric="train/loss")  # one figure, a plotly object
    show_run(12).own_figures()["above_minimum"]  # one of a plug-in

    `home` is the lab's home, by default `GRADLAB_HOME` or `~/.gradlab`; its server need not run.
    Raises `StoredHomeError` if there is no such run or lab.
    """
    opened = StoredHome({} if home is None else {"home": Path(home)})
    try:
        return RunViews(opened, opened.find(str(run)))
    except BaseException:
        opened.close()
        raise
