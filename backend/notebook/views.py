"""The figures of one measurement, by name and all together."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from backend.figures import Memory, catalogue, measurement, plotted
from backend.figures.parts.source import FigureError

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


class Views:
    """What the lab's page shows, as plotly figures; each method is a figure of that name.

    `layer` is a stage's or a tensor's name, "" for the whole network; `estimator` a label, "" for
    all of them, or where there can be one only, the first. Raises FigureError, in words, for a
    question that a figure cannot answer. `words` stand above all in a file.
    """

    def __init__(self, source: Memory, run: str, of: Any, words: str = "") -> None:
        self._source, self._run, self._of = source, run, of
        self._words = words

    def histogram(self, metric: str = "cosine", layer: str = "", estimator: str = "") -> "Figure":
        """How the draws fall: of their cosine, norm_ratio, along or across."""
        return self.figure("histogram", metric=metric, layer=layer, estimator=estimator)

    def cloud(self, estimator: str = "") -> "Figure":
        """Where the draws lie, along the gradient and across it."""
        return self.figure("cloud", estimator=estimator)

    def convergence(self, layer: str = "", estimator: str = "") -> "Figure":
        """The error of the mean of K draws against K, the law's dashed."""
        return self.figure("convergence", layer=layer, estimator=estimator)

    def bias_variance(
        self, layer: str = "", estimator: str = "", units: str = "scaled", k: int = 1
    ) -> "Figure":
        """The plane of errors of the mean of `k` draws; units are scaled or raw."""
        asked = {"layer": layer, "estimator": estimator, "units": units, "k": str(k)}
        return self.figure("bias_variance", **asked)

    def reading(self, metric: str = "", layer: str = "", estimator: str = "") -> "Figure":
        """Measures, their standard errors, and the laws beside them, as a table."""
        return self.figure("reading", metric=metric, layer=layer, estimator=estimator)

    def carpet(self, metric: str = "cosine", estimator: str = "", level: str = "stage") -> "Figure":
        """A measure as colour: a row a layer, a column a number of draws."""
        return self.figure("carpet", metric=metric, estimator=estimator, level=level)

    def dots(self) -> "Figure":
        """Every measure by layer, tensors included, an estimator a dot."""
        from backend.notebook.dress import dressed

        return dressed(measurement(self._of))

    def figure(self, name: str, **asked: str) -> "Figure":
        """Any figure of the lab, by its name and what it can be asked."""
        from backend.notebook.dress import dressed

        query = {key: value for key, value in asked.items() if value != ""}
        self._known(query)
        return dressed(plotted(name, self._source, {"runs": self._run, **query}))

    def all(self) -> list["Figure"]:
        """What a microscope's page and its export hold, in their order."""
        import plotly.graph_objects as go

        from backend.notebook.dress import dressed
        from backend.sharing.drawn import of_microscope

        _, panels = of_microscope(self._source, self._run, "view")
        firsts = [next(iter(panel.figures.values())) for panel in panels]
        return [dressed(go.Figure(one["figure"]).update_layout(meta=_told(one))) for one in firsts]

    def save(self, path: Path | str) -> Path:
        """Write everything into one HTML file that works without a network; returns its path."""
        from backend.sharing import html

        to = Path(path)
        to.write_text(html(self._source, [self._run], text=self._words), encoding="utf-8")
        return to

    def _known(self, query: dict[str, str]) -> None:
        """A layer or an estimator that is not there would be an empty figure."""
        held = self._source.series(self._run)
        for key, there in {
            "layer": dict.fromkeys(one.layer for one in held),
            "estimator": dict.fromkeys(one.estimator for one in held if one.estimator),
        }.items():
            if key in query and query[key] not in there:
                names = ", ".join(repr(one) for one in there if one)
                raise FigureError(f"there is no {key} {query[key]!r}; there are {names}")

    def _ipython_display_(self) -> None:
        from IPython.display import display  # type: ignore[import-not-found]

        display(self._of, *self.all())

    def __repr__(self) -> str:
        names = ", ".join(one["name"] for one in catalogue() if hasattr(self, one["name"]))
        return f"figures of {self._source.run(self._run).name}: {names}, dots; .save('it.html')"


def _told(drawn: dict[str, Any]) -> dict[str, Any]:
    return {name: drawn[name] for name in ("shown", "count", "note")}
