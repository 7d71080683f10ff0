"""`gradlab probe --sweep`: parse a sweep from the command line, print its curve as a table."""

import math
import re
from typing import Any

import yaml
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from backend.config import Sweep
from backend.terminal.client import Client
from backend.terminal.probe import FLOOR, NORM, cautions, sources, without_rounding
from estimators.statistics.reference import HATCH, HATCH_NOTE, OF_THE_REFERENCE, is_rounding

_SLOPES = re.compile(r"slope of .*?\(± 1 standard error\)")
SHOWN = ("relative_variance", "scaled_error", "cosine")
"""Measures with a column each, with their standard errors and laws."""


def parse_sweep(text: str) -> dict[str, Any]:
    """`network.width=16,32,64` as a sweep. Raises ValueError."""
    field, equals, listed = (part.strip() for part in text.partition("="))
    values = [yaml.safe_load(v) if v else "" for v in map(str.strip, listed.split(","))]
    if not field or not equals or len(values) < 2 or not all(map(_is_scalar, values)):
        raise ValueError(
            f"{text!r} is not a sweep; write a field and at least two values, as tangents=1,4,16 "
            "or network.width=16,32,64"
        )
    return {"field": field, "values": values}


def _is_scalar(value: Any) -> bool:
    return isinstance(value, bool | int | float | str) and value != ""


def tabulate(client: Client, run: dict[str, Any], console: Console) -> None:
    """Print the measures of the whole network, a row for each value, and the figure's slopes."""
    sweep = Sweep.model_validate(run["config"]["microscope"]["sweep"])
    curves = client.curves(run["id"], "sweep/")
    parameters = curves.get(("parameters", ""), {})
    norms, floors = (curves.get((name, ""), {}) for name in (NORM, FLOOR))
    rounded = {step for step in norms if is_rounding(norms[step], floors.get(step, math.nan))}
    for label in [run["labels"]["driver"], *run["labels"]["shadows"]]:
        head = (sweep.field, *(["d"] if parameters else []), *(m.replace("_", " ") for m in SHOWN))
        table = Table(*head, title=escape(label), title_justify="left", box=None, pad_edge=False)
        for value, step in zip(sweep.values, sweep.steps, strict=True):
            cells = [
                _cell(curves, metric, label, step, rounded=step in rounded) for metric in SHOWN
            ]
            count = [f"{parameters[step]:,.0f}"] if step in parameters else []
            table.add_row(escape(str(value)), *count, *cells)
        console.print(table)
    if rounded:
        console.print(HATCH_NOTE, style="bold", highlight=False, markup=False)
    against = {"against": "parameters"} if parameters else {}
    note = client.note("sweep", {"runs": run["id"], "metric": SHOWN[0], **against})
    console.print(
        f"{sources(note)}; ± is one standard error", style="dim", highlight=False, markup=False
    )
    for caution in cautions(note):
        console.print(caution, style="bold", highlight=False, markup=False)
    if slopes := _SLOPES.search(note):
        axis = " against d" if parameters else ""
        console.print(f"{SHOWN[0].replace('_', ' ')}{axis}, {escape(slopes[0])}")


def _cell(
    curves: dict[tuple[str, str], dict[int, float]],
    metric: str,
    label: str,
    at: int,
    *,
    rounded: bool,
) -> str:
    value, error, law = (
        curves.get((name, label), {}).get(at) for name in (metric, f"{metric}_se", f"law/{metric}")
    )
    if value is None:
        return ""
    if rounded and metric in OF_THE_REFERENCE:
        return f"{HATCH} {without_rounding(value):.4g}"
    error = without_rounding(error or 0.0)
    spread = "" if not error else f" ± {float(f'{error:.2g}'):g}"
    return f"{without_rounding(value):.4g}{spread}" + ("" if law is None else f" (law {law:.4g})")
