"""The charts of an exported page, drawn beforehand for every choice that its menus offer."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from backend.figures import draw, note_text
from backend.figures.catalogue import PlacedChart, charts_of
from backend.figures.data.draws import is_microscope
from backend.figures.data.metrics import metric
from backend.figures.data.query import PARAMETERS
from backend.figures.data.select import estimators, layers
from backend.figures.data.source import Source
from backend.figures.info import Chart
from backend.figures.pages import page_of
from backend.sharing import encode
from backend.sharing.own_figures import OwnFigure

BUDGET = 200_000
"""Most shown points of the measures' curves in one file: what a phone still opens."""
STAGES = 40
"""Most stages in the menu of layers; the carpets show all."""


@dataclass(frozen=True)
class Menu:
    """A choice that switches charts: a parameter of figures, its values and their titles."""

    id: str
    label: str
    parameter: str
    options: Mapping[str, str]


@dataclass(frozen=True)
class Panel:
    """One chart, drawn for each combination of its menus' options."""

    id: str
    chart: PlacedChart
    menus: tuple[Menu, ...]
    figures: Mapping[str, str]
    """The figures as encoded JSON, which takes a fraction of the memory of their numbers."""
    count: int
    """The points of all figures."""

    @property
    def empty(self) -> bool:
        return not self.count

    def json(self) -> str:
        """The panel as the page's script reads it."""
        about = encode.data({"id": self.id, "by": [menu.id for menu in self.menus]})
        figures = ",".join(f"{encode.data(key)}:{text}" for key, text in self.figures.items())
        return f'{about[:-1]},"figures":{{{figures}}}}}'


Own = Callable[[str], Iterable[OwnFigure]]
"""The figures of plug-ins of a run, by its id; `OwnFigures` is one."""


def own_panels(run_id: str, place: str, own: Own) -> list[Panel]:
    """The charts of a run that plug-ins draw."""
    panels = []
    for figure in own(run_id):
        (chart,), drawn = figure.entry["charts"], figure.drawn()
        words = (chart["title"], chart["help"], chart.get("reading", ""))  # of before: none
        placed = PlacedChart(figure.entry["name"], Chart(chart["key"], ()), *words)
        panels.append(
            Panel(f"{place}-{chart['key']}", placed, (), {"": _encoded(drawn)}, drawn["count"])
        )
    return panels


def together(source: Source, run_ids: Sequence[str]) -> list[Panel]:
    """Charts that show several training runs at once."""
    trained = [run_id for run_id in run_ids if not is_microscope(source.run(run_id))]
    if len(trained) < 2:
        return []
    panels = [
        _panel(source, f"all-{placed.chart.key}", placed, ",".join(trained), more, ())
        for placed in charts_of("run")
        if (more := placed.chart.together) is not None
    ]
    return [panel for panel in panels if not panel.empty]


def of_run(source: Source, run_id: str, place: str, share: int) -> tuple[list[Menu], list[Panel]]:
    """A run's menus and those of its charts that have points.

    `share` is how many points the curves with a menu of layers may show in all.
    """
    run = source.run(run_id)
    panels: list[Panel] = []
    menus: dict[str, Menu] = {}
    for placed in charts_of(page_of(run.config)):
        chart = placed.chart
        switched = [_menu(source, run_id, place, chart, name) for name in chart.menus]
        mine = tuple(menus.setdefault(menu.id, menu) for menu in switched if len(menu.options) > 1)
        more = {"max": str(_most(source, run_id, chart, share))} if "layer" in chart.menus else {}
        panels += _panels(source, f"{place}-{chart.key}", placed, run_id, more, mine)
    kept = [panel for panel in panels if not panel.empty]
    used = {menu.id for panel in kept for menu in panel.menus}
    return [menu for menu in menus.values() if menu.id in used], kept


def _panels(
    source: Source,
    id: str,
    placed: PlacedChart,
    run_id: str,
    more: Mapping[str, str],
    menus: tuple[Menu, ...],
) -> list[Panel]:
    """One panel, or one for each estimator where no menu chooses among them."""
    if not placed.chart.per_estimator or "estimator" in placed.chart.menus:
        return [_panel(source, id, placed, run_id, more, menus)]
    return [
        _panel(source, f"{id}-{at}", placed, run_id, {**more, "estimator": label}, menus)
        for at, label in enumerate(estimators(source.run(run_id)))
    ]


def _panel(
    source: Source,
    id: str,
    placed: PlacedChart,
    runs: str,
    more: Mapping[str, str],
    menus: tuple[Menu, ...],
) -> Panel:
    figures, count = {}, 0
    for choice in product(*(enumerate(menu.options) for menu in menus)):
        chosen = {menu.parameter: value for menu, (_, value) in zip(menus, choice, strict=True)}
        usual = {
            pick.parameter: pick.choices[0]
            for pick in placed.chart.picks
            if pick.choices and not pick.empty
        }
        query = {"runs": runs, **usual, **placed.chart.asks, **more, **chosen}
        drawn = draw(placed.figure, source, query)
        key = ",".join(str(at) for at, _ in choice)
        count += drawn["count"]
        figures[key] = _encoded(drawn)
    return Panel(id, placed, menus, figures, count)


def _encoded(drawn: Mapping[str, Any]) -> str:
    """A drawn figure as the page's script reads it."""
    held = "this file holds " if drawn["selection"] else ""
    note = held + note_text({**drawn, "details": ()})
    return encode.data(
        {
            "figure": drawn["figure"],
            "count": drawn["count"],
            # Links of before hold figures without these.
            "shades": drawn.get("shades", {}),
            "takeaway": drawn.get("takeaway", ""),
            "note": note,
            "details": "; ".join(drawn.get("details", ())),
        }
    )


def _menu(source: Source, run_id: str, place: str, chart: Chart, parameter: str) -> Menu:
    """Charts that offer the same values of a parameter share its menu."""
    words = PARAMETERS[parameter]
    options = _options(source, run_id, parameter, chart.menus[parameter])
    own = "" if parameter != "metric" else f"-{chart.key}"
    return Menu(f"{place}{own}-{parameter}", words.title, parameter, options)


def _options(source: Source, run_id: str, parameter: str, given: Iterable[str]) -> dict[str, str]:
    """Values and their titles."""
    run = source.run(run_id)
    if parameter == "layer":
        stages = layers(source, run, run_id, "cosine", "stage")[:STAGES]
        return {"": "whole network", **{stage: stage for stage in stages}}
    if parameter == "estimator":
        return {label: label for label in estimators(run)}
    if parameter == "metric":
        return {name: metric(name).title for name in given}
    condition = PARAMETERS[parameter].when
    if condition and not condition.holds(run.config):
        return {}
    if offered := PARAMETERS[parameter].values_of:
        figure, key = offered
        return _titled(draw(figure, source, {"runs": run_id})["meta"].get(key, ()))
    titles = {choice.value: choice.title for choice in PARAMETERS[parameter].choices}
    return {value: titles[value] for value in given or titles}


def _titled(offered: Iterable[Any]) -> dict[str, str]:
    """Values that a figure offers, as `{value, title}`, with their titles; the default first."""
    titles = {str(each["value"]): str(each["title"]) for each in offered}
    return {**({"": titles[""]} if "" in titles else {}), **titles}


def _most(source: Source, run_id: str, chart: Chart, share: int) -> int:
    """Shown points of a line, so that all curves with a menu of layers stay within `share`."""
    run = source.run(run_id)
    stages = ("", *layers(source, run, run_id, "cosine", "stage")[:STAGES])
    metrics = {
        placed.chart.asks.get("metric")
        for placed in charts_of(page_of(run.config))
        if "layer" in placed.chart.menus
    }
    series = [s for s in source.series(run_id) if s.metric in metrics and s.layer in stages]
    return min(1000, max(50, share // max(1, len(series))))
