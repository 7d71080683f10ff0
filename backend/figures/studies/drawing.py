"""The figures of a study by their names: which it has, their words, and one of them drawn."""

import importlib
from typing import TYPE_CHECKING, Any

from backend.figures import as_json
from backend.figures.info import FigureInfo
from backend.studies.measure import measure_of
from backend.studies.progress import Progress, StudyPlan
from backend.studies.results import shown_of

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

NAMES = ("study_curve", "study_matrix", "study_verdicts", "tuning_curve")


def figures_of(plan: StudyPlan) -> list[dict[str, str]]:
    """`{name, title, help, reading}` of the figures that have something to show of a study."""
    has = {
        "study_curve": _varies_a_number(plan),
        "study_verdicts": len(plan.variants) > 1,
        "tuning_curve": plan.study.tuning is not None,
    }
    return [_words(name) for name in NAMES if has.get(name, True)]


def _varies_a_number(plan: StudyPlan) -> bool:
    """Whether a varied field is a number in every variant, and has at least two values."""
    for name in plan.study.varied:
        values = [each.variant.fields[name] for each in plan.variants]
        numeric = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
        if numeric and len({*values}) > 1:
            return True
    return False


def info(name: str) -> FigureInfo:
    """What one of the figures says of itself; `name` is one of `NAMES`."""
    return _module(name).INFO


def _words(name: str) -> dict[str, str]:
    info = _module(name).INFO
    return {"name": name, "title": info.title, "help": info.help, "reading": info.reading}


def draw(name: str, plan: StudyPlan, found: Progress) -> dict[str, Any]:
    """Draw a figure as `backend.figures.draw` does; `name` is one of `NAMES`."""
    return as_json(_plotted(name, plan, found))


def _plotted(name: str, plan: StudyPlan, found: Progress) -> "Figure":
    if name == "tuning_curve":
        return _module(name).figure(found.choices, measure_of(plan.study.tuning_metric))
    table = shown_of(plan, found).table
    if name == "study_curve":
        method_of = {each.label: each.variant.method for each in plan.variants}
        return _module(name).figure(table, plan.study.varied, method_of)
    if name == "study_matrix":
        return _module(name).figure(table)
    # Against the baseline, or without one, the best mean: as in the table.
    return _module(name).figure([row.verdict for row in table.rows if row.verdict])


def _module(name: str) -> Any:
    # On first use: plotly is not imported with the server.
    return importlib.import_module(f"backend.figures.studies.{name}")
