"""The charts of an export, drawn beforehand for every choice that its menus offer."""

from collections.abc import Sequence
from itertools import product

from backend.figures import draw
from backend.figures.data.draws import is_microscope
from backend.figures.data.select import estimators, layers
from backend.figures.data.source import PointsLike, RunLike, SeriesLike, Source
from backend.sharing.drawn import of_microscope, plane
from backend.sharing.panel import Menu, Panel, one

MEASURES = (
    "cosine",
    "scaled_error",
    "relative_variance",
    "relative_squared_bias",
    "norm_ratio",
)
CARPETS = ("cosine", "relative_variance")
BUDGET = 200_000
"""Shown points of one file's measure curves: what a phone still opens."""
STAGES = 40
"""Most stages in the menu; the carpets show all."""


class Snapshot:
    """A source that is asked for each run and its series once, so that one file tells one story."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._runs: dict[str, RunLike] = {}
        self._series: dict[str, Sequence[SeriesLike]] = {}

    def run(self, run_id: str, /) -> RunLike:
        if run_id not in self._runs:
            self._runs[run_id] = self._source.run(run_id)
        return self._runs[run_id]

    def series(self, run_id: str, /) -> Sequence[SeriesLike]:
        if run_id not in self._series:
            self._series[run_id] = self._source.series(run_id)
        return self._series[run_id]

    def points(
        self,
        series_id: int,
        /,
        *,
        max: int | None = None,
        first: int | None = None,
        last: int | None = None,
    ) -> PointsLike:
        return self._source.points(series_id, max=max, first=first, last=last)


def together(source: Source, run_ids: Sequence[str]) -> list[Panel]:
    """Several runs in the same charts."""
    trained = [one for one in run_ids if not is_microscope(source.run(one))]
    runs = ",".join(trained)
    if len(trained) < 2:
        return []
    panels = [
        one(source, "all-loss", "curve", runs=runs, metric="train/loss"),
        one(source, "all-accuracy", "curve", runs=runs, metric="validation/accuracy"),
        one(source, "all-path", "path", runs=runs),
        one(source, "all-ranking", "ranking", runs=runs),
    ]
    return [panel for panel in panels if not panel.empty]


def of_run(source: Source, run_id: str, place: str, share: int) -> tuple[list[Menu], list[Panel]]:
    """A run's menus and charts; `share` is how many points its measure curves may show."""
    run = source.run(run_id)
    if is_microscope(run):
        return of_microscope(source, run_id, place)
    switches, errors = plane(source, run_id, place)
    loss, accuracy, readout = (
        ",".join(f"{part}/{kind}" for part in ("train", "validation", "test"))
        for kind in ("loss", "accuracy", "readout_accuracy")
    )
    usual = [
        one(source, f"{place}-loss", "curve", runs=run_id, metric=loss),
        one(source, f"{place}-accuracy", "curve", runs=run_id, metric=accuracy),
        one(source, f"{place}-readout", "curve", runs=run_id, metric=readout),
        one(source, f"{place}-path", "path", runs=run_id),
        one(source, f"{place}-reported", "reported", runs=run_id),
        one(source, f"{place}-ranking", "ranking", runs=run_id),
        errors,
    ]
    stages = layers(source, run, run_id, "cosine", "stage")
    layer = Menu(f"{place}-layer", "Layer", ("", *stages[:STAGES]))
    who = Menu(f"{place}-estimator", "Estimator of the carpets", tuple(estimators(run)))
    measures = _measures(source, run_id, layer, share)
    carpets = _carpets(source, run_id, who)
    kept = [panel for panel in (*usual, *measures, *carpets) if not panel.empty]
    used = {menu for panel in kept for menu in panel.by}
    return [menu for menu in (layer, who, *switches) if menu.id in used], kept


def _measures(source: Source, run_id: str, layer: Menu, share: int) -> list[Panel]:
    held = [s for s in source.series(run_id) if s.metric in MEASURES and s.layer in layer.options]
    most = str(min(1000, max(50, share // max(1, len(held)))))
    return [
        Panel(
            f"{layer.id}-{name}",
            (layer.id,),
            {
                str(at): draw(
                    "curve",
                    source,
                    {"runs": run_id, "metric": name, "layer": stage, "max": most},
                )
                for at, stage in enumerate(layer.options)
            },
        )
        for name in MEASURES
    ]


def _carpets(source: Source, run_id: str, who: Menu) -> list[Panel]:
    panels = {name: Panel(f"{who.id}-{name}", (who.id,), {}) for name in CARPETS}
    for (at, label), name in product(enumerate(who.options), CARPETS):
        query = {"runs": run_id, "metric": name, "estimator": label}
        panels[name].figures[str(at)] = draw("carpet", source, query)
    return list(panels.values())
