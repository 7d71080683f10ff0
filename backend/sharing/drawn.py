"""The charts of a microscope in an export, and the plane of errors with its switches."""

from itertools import product

from backend.figures import draw
from backend.figures.data.query import AGAINST, PARTS, UNITS
from backend.figures.data.select import estimators
from backend.figures.data.source import Source
from backend.sharing.panel import Menu, Panel, one

AVERAGED = ("1", "8", "64", "512", "4096")
NETWORK = "network."
BUDGETS = ("8", "1", "64", "512")
SWEPT = ("relative_variance", "scaled_error", "cosine")


def plane(source: Source, run_id: str, place: str) -> tuple[list[Menu], Panel]:
    """The plane of bias and variance, in either units, of several numbers of draws averaged."""
    units = Menu(f"{place}-units", "Units of the plane", UNITS)
    k = Menu(f"{place}-k", "Draws averaged in the plane", AVERAGED)
    figures = {
        f"{i},{j}": draw("bias_variance", source, {"runs": run_id, "units": unit, "k": many})
        for (i, unit), (j, many) in product(enumerate(UNITS), enumerate(AVERAGED))
    }
    return [units, k], Panel(f"{place}-plane", (units.id, k.id), figures)


def of_microscope(source: Source, run_id: str, place: str) -> tuple[list[Menu], list[Panel]]:
    """Everything that a microscope saw, the clouds of all its estimators included."""
    menus, errors = plane(source, run_id, place)
    clouds = [
        one(source, f"{place}-cloud-{at}", "cloud", runs=run_id, estimator=label)
        for at, label in enumerate(estimators(source.run(run_id)))
    ]
    against, swept = _swept(source, run_id, place)
    panels = [
        one(source, f"{place}-cosine", "histogram", runs=run_id, metric="draw/cosine"),
        one(source, f"{place}-norm", "histogram", runs=run_id, metric="draw/norm_ratio"),
        *clouds,
        one(source, f"{place}-mean", "convergence", runs=run_id),
        errors,
        one(source, f"{place}-reading", "reading", runs=run_id),
        one(source, f"{place}-paired", "paired", runs=run_id),
        one(source, f"{place}-verdict", "verdict", runs=run_id),
        *swept,
    ]
    looks, others = _dissected(source, run_id, place)
    panels += [*others, *_stepped(source, run_id, place)]
    kept = [panel for panel in panels if not panel.empty]
    return [*(menus if errors in kept else []), *against, *looks], kept


def _dissected(source: Source, run_id: str, place: str) -> tuple[list[Menu], list[Panel]]:
    """An anatomy, as shares and as variances, and what budgets leave."""
    if not source.run(run_id).config["microscope"].get("anatomy"):
        return [], []
    parts = Menu(f"{place}-parts", "Anatomy as", PARTS)
    budgets = Menu(f"{place}-budget", "Budget, draws a gradient", BUDGETS)
    bars = {
        str(at): draw("anatomy", source, {"runs": run_id, "parts": one})
        for at, one in enumerate(PARTS)
    }
    curves = {
        str(at): draw("budget", source, {"runs": run_id, "budget": one})
        for at, one in enumerate(BUDGETS)
    }
    answers = {
        str(at): draw("advice", source, {"runs": run_id, "budget": one})
        for at, one in enumerate(BUDGETS)
    }
    return [parts, budgets], [
        Panel(f"{place}-anatomy", (parts.id,), bars),
        Panel(f"{place}-advice", (budgets.id,), answers),
        Panel(f"{place}-budget-chart", (budgets.id,), curves),
    ]


def _stepped(source: Source, run_id: str, place: str) -> list[Panel]:
    """One-step lotteries."""
    if not source.run(run_id).config["microscope"].get("what_if"):
        return []
    return [
        one(source, f"{place}-{name}", name, runs=run_id)
        for name in ("decrease", "what_if", "lottery")
    ]


def _swept(source: Source, run_id: str, place: str) -> tuple[list[Menu], list[Panel]]:
    """A sweep's charts; one over the network stands against its field or its parameters."""
    sweep = source.run(run_id).config["microscope"].get("sweep")
    if not sweep or not sweep["field"].startswith(NETWORK):
        names = SWEPT if sweep else ()
        return [], [
            one(source, f"{place}-sweep-{name}", "against", runs=run_id, metric=name)
            for name in names
        ]
    axis = Menu(f"{place}-against", "Sweep against", AGAINST)
    return [axis], [
        Panel(
            f"{place}-sweep-{name}",
            (axis.id,),
            {
                str(at): draw("against", source, {"runs": run_id, "metric": name, "against": what})
                for at, what in enumerate(AGAINST)
            },
        )
        for name in SWEPT
    ]
