"""`gradlab probe --anatomy` and `--what-if`: the lab's table figures as text."""

from html import unescape
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from backend.figures import note_text
from backend.terminal.client import Client

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
        printed = Table(*table["header"]["values"], box=None, pad_edge=False)
        for row in zip(*table["cells"]["values"], strict=True):
            printed.add_row(*(Text(unescape(cell)) for cell in row))
        console.print(printed)
    console.print(Text(note_text(figure)))


def _print_parts(client: Client, run: dict[str, Any], console: Console) -> None:
    """Print the variances."""
    measures = client.measures(run["id"])
    head = ("tr Var of one draw", "of the data", "of the estimator", "of it at any batch")
    table = Table(*head, box=None, pad_edge=False)
    for label in [run["labels"]["driver"], *run["labels"]["shadows"]]:
        measured = measures.get(label, {})
        table.add_row(Text(label), *(_cell(measured, f"anatomy/{part}") for part in PARTS))
    console.print(table)


def _cell(measured: dict[str, float], metric: str) -> str:
    if metric not in measured:
        return ""
    error = measured.get(f"{metric}_se")
    return f"{measured[metric]:.4g}" + ("" if error is None else f" ± {error:.2g}")
