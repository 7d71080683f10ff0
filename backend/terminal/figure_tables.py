"""`gradlab probe --anatomy` and `--what-if`: the lab's table figures as text."""

from html import unescape
from typing import Any

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from backend.figures import note_text
from backend.terminal.client import Client
from backend.terminal.probe import without_rounding

FIGURES = {"anatomy": "advice", "what_if": "best_rates"}
"""The table figure of each kind of measurement."""
PARTS = ("data", "estimator", "fixed")


def tabulate(client: Client, run: dict[str, Any], console: Console) -> None:
    """Print the results for the whole network, a row for each estimator, and the figure's note."""
    kind = next(name for name in FIGURES if run["config"]["microscope"].get(name))
    if kind == "anatomy":
        _print_parts(client, run, console)
    figure = client.figure(FIGURES[kind], {"runs": run["id"]})
    for table in figure["figure"]["data"]:
        columns = [Column(head, overflow="fold") for head in table["header"]["values"]]
        names = table["cells"]["values"][0]
        longest = max((len(unescape(name)) for name in names), default=0)
        columns[0].min_width = min(longest, console.width // 3)
        printed = Table(*columns, box=None, pad_edge=False)
        for row in zip(*table["cells"]["values"], strict=True):
            printed.add_row(*(Text(unescape(cell)) for cell in row))
        console.print(printed)
    console.print(Text(note_text(figure)))


def _print_parts(client: Client, run: dict[str, Any], console: Console) -> None:
    """Print the variances."""
    measures = client.measures(run["id"])
    head = ("tr Var of one draw", "of the data", "of the estimator", "of it at any batch")
    table = Table(*(Column(text, overflow="fold") for text in head), box=None, pad_edge=False)
    for label in [run["labels"]["driver"], *run["labels"]["shadows"]]:
        measured = measures.get(label, {})
        table.add_row(Text(label), *(_cell(measured, f"anatomy/{part}") for part in PARTS))
    console.print(table)
    console.print("± is one standard error over the batches", style="dim", highlight=False)


def _cell(measured: dict[str, float], metric: str) -> str:
    if metric not in measured:
        return ""
    error = measured.get(f"{metric}_se")
    scale = max(abs(measured.get(f"anatomy/{part}", 0.0)) for part in PARTS)
    value = f"{without_rounding(measured[metric], scale):.4g}"
    return value + ("" if error is None else f" ± {without_rounding(error, scale):.2g}")
