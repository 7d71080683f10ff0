"""`gradlab probe --anatomy`, `--what-if` and `--adjoint-map`: the lab's figures as text."""

from html import unescape
from typing import Any

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from backend.figures import note_text
from backend.terminal.client import Client
from backend.terminal.probe import without_rounding

FIGURES = {"anatomy": "advice", "what_if": "best_rates", "adjoint_map": "adjoint_cost_table"}
"""The table figure of each kind of measurement."""
MAPS = ("npg", "upg")
PARTS = ("data", "estimator", "fixed")


def tabulate(client: Client, run: dict[str, Any], console: Console) -> None:
    """Print the results for the whole network, a row for each estimator, and the figure's note."""
    kind = next(name for name in FIGURES if run["config"]["microscope"].get(name))
    if kind == "anatomy":
        _print_parts(client, run, console)
    if kind == "adjoint_map":
        _print_maps(client, run, console)
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


def _print_maps(client: Client, run: dict[str, Any], console: Console) -> None:
    """Print the cosines of the network as it is over (k, λ), a table for each phantom gradient."""
    for adjoint in MAPS:
        figure = client.figure("adjoint_map", {"runs": run["id"], "adjoint": adjoint})
        cells = next((t for t in figure["figure"]["data"] if t["type"] == "heatmap"), None)
        if cells is None:
            continue
        axes = figure["figure"]["layout"]
        columns = [f"λ = {share}" for share in axes["xaxis"]["ticktext"]]
        printed = Table(f"{adjoint}: cosine, k", *columns, box=None, pad_edge=False)
        for k, row in zip(axes["yaxis"]["ticktext"], cells["text"], strict=True):
            printed.add_row(k, *map(Text, row))
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
