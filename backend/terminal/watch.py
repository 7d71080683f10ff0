"""`watch`: follow a run in the terminal with a progress bar, then print its outcome."""

import time
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from backend.config import ACTIVE
from backend.terminal.client import Client

REFRESH = 0.25  # seconds
_NAMES = {"what_if/loss": "loss before the step"}
"""Metrics in words, where the name of the series does not tell."""


def watch(client: Client, run: dict[str, Any], console: Console) -> str:
    """Show `run` until it ends; returns its last status."""
    title = escape(run["name"] or f"run {run['number']}")
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=console,
    ) as bar:
        task = bar.add_task(title, total=run["steps"], rate="")
        while run["status"] in ACTIVE:
            time.sleep(REFRESH)
            run = client.run(run["id"])
            rate = f"{run['rate']:.0f} {_unit(run)}/s" if run["rate"] else run["status"]
            bar.update(task, completed=run["step"], total=run["steps"], rate=rate)
    _print_outcome(client, run, console)
    return run["status"]


def _unit(run: dict[str, Any]) -> str:
    """What a run counts."""
    if run["kind"] == "training":
        return "steps"
    return "measurements" if run["config"]["microscope"].get("adjoint_map") else "draws"


def _print_outcome(client: Client, run: dict[str, Any], console: Console) -> None:
    console.print(f"run {run['number']} ({run['id']}): [bold]{run['status']}[/] at {run['step']}")
    if run["error"]:
        console.print(escape(run["error"]), highlight=False)
    for metric, value in sorted(client.latest(run["id"]).items()):
        if metric.split("/")[-1] in ("loss", "accuracy", "readout_accuracy"):
            console.print(f"  {_NAMES.get(metric, metric):22} {value:.4f}")
