"""The figures of what was measured, by name and all together."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backend.figures import Memory, measurement, plotted
from backend.figures.data.source import FigureError
from backend.notebook.series import RUN

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


class Views:
    """What the lab's page shows, as plotly figures; a method is called as its figure is.

    `layer` is a stage's or a tensor's name, "" for the whole network; `estimator` a label, "" for
    all of them, or where there can be one only, the first. Raises FigureError, in words, for a
    question that a figure cannot answer.
    """

    figures: Sequence[str] = ()
    """The methods that draw one."""

    def __init__(self, source: Memory, of: Any, words: str = "") -> None:
        """`of` is the table above the figures, and `words` stand above them in a file."""
        self._source, self._of, self._words = source, of, words

    def figure(self, name: str, **asked: str) -> "Figure":
        """Any figure of the lab, by its name and what it can be asked."""
        from backend.notebook.layout import dressed

        query = {key: value for key, value in asked.items() if value != ""}
        self._check(query)
        return dressed(plotted(name, self._source, {"runs": RUN, **query}))

    def all(self) -> "list[Figure]":
        """What a microscope's page and its export hold, in their order."""
        import plotly.graph_objects as go

        from backend.notebook.layout import dressed
        from backend.sharing.drawn import of_microscope

        _, panels = of_microscope(self._source, RUN, "view")
        firsts = [next(iter(panel.figures.values())) for panel in panels]
        return [dressed(go.Figure(one["figure"]).update_layout(meta=_told(one))) for one in firsts]

    def save(self, path: Path | str) -> Path:
        """Write everything into one HTML file that works without a network; returns its path."""
        from backend.sharing import html

        to = Path(path)
        to.write_text(html(self._source, [RUN], text=self._words), encoding="utf-8")
        return to

    def _check(self, query: dict[str, str]) -> None:
        """A layer or an estimator that is not there would be an empty figure."""
        held = self._source.series(RUN)
        there = {
            "layer": dict.fromkeys(one.layer for one in held if one.layer),
            "estimator": dict.fromkeys(one.estimator for one in held if one.estimator),
        }
        for key, names in there.items():
            if key in query and query[key] not in names:
                allowed = ", ".join(map(repr, names)) or "none"
                raise FigureError(f"there is no {key} {query[key]!r}; there are {allowed}")

    def _ipython_display_(self) -> None:
        from IPython.display import display  # type: ignore[import-not-found]

        display(self._of, *self.all())

    def __repr__(self) -> str:
        methods = ", ".join(f".{name}()" for name in self.figures)
        name = self._source.run(RUN).name
        return f"figures of {name}: {methods}; .all() of them; .save('figures.html')"


class Measured(Views):
    """Of a measurement."""

    figures = (
        "histogram", "cloud", "convergence", "bias_variance", "reading", "law_checks", "verdict",
        "paired", "carpet", "dots",
    )  # fmt: skip

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

    def law_checks(
        self, metric: str = "relative_variance", estimator: str = "", level: str = "stage"
    ) -> "Figure":
        """Whether a measure agrees with its law, for each stage or tensor."""
        return self.figure("law_checks", metric=metric, estimator=estimator, level=level)

    def verdict(self, estimator: str = "", level: str = "stage") -> "Figure":
        """Whether an estimator is biased, for each stage or tensor; from 512 draws on."""
        return self.figure("verdict", estimator=estimator, level=level)

    def paired(
        self, metric: str = "scaled_error", layer: str = "", estimator: str = ""
    ) -> "Figure":
        """Every estimator's measure less that of `estimator`, with intervals."""
        return self.figure("paired", metric=metric, layer=layer, estimator=estimator)

    def carpet(self, metric: str = "cosine", estimator: str = "", level: str = "stage") -> "Figure":
        """A measure as colour: a row a layer, a column a number of draws."""
        return self.figure("carpet", metric=metric, estimator=estimator, level=level)

    def dots(self, level: str = "stage") -> "Figure":
        """Every measure by layer, a dot an estimator; level "tensor" has the tensors too."""
        from backend.notebook.layout import dressed

        hidden = () if level == "tensor" else self._of.tensors
        rows = [row for row in self._of.rows() if row.layer not in hidden]
        return dressed(measurement(Rows(rows)))


@dataclass(frozen=True)
class Rows:
    """Some of a measurement's numbers."""

    kept: Sequence[Any]

    def rows(self) -> Sequence[Any]:
        return self.kept


class Swept(Views):
    """Of a sweep."""

    figures = ("against",)

    def against(
        self,
        metric: str = "relative_variance",
        layer: str = "",
        estimator: str = "",
        against: str = "field",
        scale: str = "auto",
    ) -> "Figure":
        """A measure against the field's values, or (of networks) against "parameters"."""
        asked = {"metric": metric, "layer": layer, "estimator": estimator}
        return self.figure("against", **asked, against=against, scale=scale)


class Dissected(Views):
    """Of an anatomy."""

    figures = ("anatomy", "budget", "advice")

    def anatomy(self, estimator: str = "", level: str = "stage", parts: str = "") -> "Figure":
        """The noise of the data and that of the estimator, layer by layer."""
        return self.figure("anatomy", estimator=estimator, level=level, parts=parts)

    def budget(self, budget: int | None = None, layer: str = "", estimator: str = "") -> "Figure":
        """Larger batch or more draws, for so many draws' worth of work."""
        asked = {"layer": layer, "estimator": estimator}
        return self.figure("budget", **asked, budget="" if budget is None else str(budget))

    def advice(self, budget: int | None = None, layer: str = "", estimator: str = "") -> "Figure":
        """The same in a table: how a budget is best spent, and what else would leave."""
        asked = {"layer": layer, "estimator": estimator}
        return self.figure("advice", **asked, budget="" if budget is None else str(budget))


class Stepped(Views):
    """Of one-step lotteries."""

    figures = ("what_if", "lottery", "decrease")

    def what_if(self, estimator: str = "") -> "Figure":
        """The change of the loss in one step against the learning rate."""
        return self.figure("what_if", estimator=estimator)

    def lottery(self, rate: float | None = None, estimator: str = "") -> "Figure":
        """How the changes fall at one learning rate."""
        asked = "" if rate is None else f"{rate:.6g}"
        return self.figure("lottery", estimator=estimator, rate=asked)

    def decrease(self, estimator: str = "") -> "Figure":
        """The best learning rate and the decrease expected of it, as a table."""
        return self.figure("decrease", estimator=estimator)


class Paired(Views):
    """Of a comparison."""

    figures = ("paired",)

    def paired(self, metric: str = "", layer: str = "", estimator: str = "") -> "Figure":
        """Every estimator's measure less that of `estimator`, with intervals."""
        return self.figure("paired", metric=metric, layer=layer, estimator=estimator)

    def all(self) -> "list[Figure]":
        return [self.paired(self._of.metric, self._of.layer)]


def _told(drawn: dict[str, Any]) -> dict[str, Any]:
    return {name: drawn[name] for name in ("shown", "count", "note")}
