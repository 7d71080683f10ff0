"""`gradlab probe --sweep`: a field with its values as a word of a command, the curve as a table."""

import re
from typing import Any

import yaml
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from backend.config import Sweep
from backend.terminal.client import Client
from backend.terminal.probe import sources

_SLOPES = re.compile(r"slope of .*?\(± 1 standard error\)")
SHOWN = ("relative_variance", "scaled_error", "cosine")
"""The columns of an estimator, each with its standard error and its law."""


def asked(text: str) -> dict[str, Any]:
    """`network.width=16,32,64` as a sweep. Raises ValueError, in words."""
    field, equals, listed = (part.strip() for part in text.partition("="))
    values = [yaml.safe_load(one) if one else "" for one in map(str.strip, listed.split(","))]
    if not field or not equals or len(values) < 2 or not all(map(_told, values)):
        raise ValueError(
            f"{text!r} is no sweep; write a field and at least two values, as tangents=1,4,16 or "
            "network.width=16,32,64"
        )
    return {"field": field, "values": values}


def _told(value: Any) -> bool:
    return isinstance(value, bool | int | float | str) and value != ""


def tabulate(client: Client, run: dict[str, Any], console: Console) -> None:
    """Print the measures of the whole network, a row a value, then what the figure says of them."""
    sweep = Sweep.model_validate(run["config"]["microscope"]["sweep"])
    found = client.curves(run["id"], "sweep/")
    d = found.get(("parameters", ""), {})
    for label in [run["labels"]["driver"], *run["labels"]["shadows"]]:
        head = (sweep.field, *(["d"] if d else []), *(m.replace("_", " ") for m in SHOWN))
        table = Table(*head, title=escape(label), title_justify="left", box=None, pad_edge=False)
        for value, step in zip(sweep.values, sweep.steps, strict=True):
            cells = [_cell(found, metric, label, step) for metric in SHOWN]
            table.add_row(escape(str(value)), *([f"{d[step]:,.0f}"] if step in d else []), *cells)
        console.print(table)
    against = {"against": "parameters"} if d else {}
    note = client.note("sweep", {"runs": run["id"], "metric": SHOWN[0], **against})
    console.print(f"{sources(note)}; ± standard error", style="dim", highlight=False, markup=False)
    if said := _SLOPES.search(note):
        axis = " against d" if d else ""
        console.print(f"{SHOWN[0].replace('_', ' ')}{axis}, {escape(said[0])}")


def _cell(found: dict[tuple[str, str], dict[int, float]], metric: str, label: str, at: int) -> str:
    value, error, law = (
        found.get((name, label), {}).get(at) for name in (metric, f"{metric}_se", f"law/{metric}")
    )
    if value is None:
        return ""
    spread = "" if not error else f" ± {float(f'{error:.2g}'):g}"
    return f"{value + 0.0:.4g}{spread}" + ("" if law is None else f" (law {law:.4g})")
