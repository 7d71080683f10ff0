"""A study as a whole: validated, and carried out in the time of its runs; by a lab on 2 slots"""

import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.lab import ServedLab, serving
from benchmarks.table import Row

SLOTS = 2
METHODS: dict[str, dict[str, Any]] = {
    "backprop": {"name": "backprop"},
    "forward gradient": {"name": "forward_gradient"},
    "activities": {"name": "activity_forward_gradient"},
    "DFA": {"name": "direct_feedback_alignment"},
    "local": {"name": "local_losses", "inner": {"name": "backprop"}},
}
BASE = {"dataset": {"name": "digits"}, "network": {"name": "mlp"}, "probe": {"budget": 0}}


def rows() -> list[Row]:
    with (
        tempfile.TemporaryDirectory() as home,
        serving(Path(home), slots=SLOTS) as lab,
        httpx.Client(base_url=f"{lab.url}/api", timeout=60) as client,
    ):
        client.headers["Authorization"] = f"Bearer {lab.token}"
        client.get("/catalogue").raise_for_status()
        return [*_validated(lab, client), *_carried_out(client)]


def _validated(lab: ServedLab, client: httpx.Client) -> list[Row]:
    """1,000 cells of 100 networks × estimators, and of 100 networks."""
    rates = [0.001 * (i + 1) for i in range(10)]
    pairs = _study([*METHODS], {"network.width": [*range(40, 60)], "optimizer.lr": rates})
    widths = _study(["backprop"], {"network.width": [*range(40, 140)], "optimizer.lr": rates})
    found = []
    for what, study in (("20 networks × 5 estimators", pairs), ("100 networks", widths)):
        processor, wall = _seconds(lab, client, study)
        words = f"1,000 cells of {what}, validated as a whole"
        found.append(Row(words, processor, 1.0, "s", note=f"processor time; {wall:.2f} s passed"))
    return found


def _seconds(lab: ServedLab, client: httpx.Client, study: dict[str, Any]) -> tuple[float, float]:
    """Processor time and time passed, the shorter of two.

    Each is a process of its own, which knows nothing of the other.
    """
    times = []
    for _ in range(2):
        start, used = time.perf_counter(), _processor_time(lab)
        answer = client.post("/studies/validate", json=study)
        answer.raise_for_status()
        assert answer.json()["cells"] == 1000
        passed = time.perf_counter() - start
        times.append((_processor_time(lab) - used, passed))
    return min(times)


def _processor_time(lab: ServedLab) -> float:
    """Of the server and all its processes, those that have ended included."""
    server = psutil.Process(lab.pid)
    return sum(sum(p.cpu_times()[:4]) for p in (server, *server.children(recursive=True)))


def _carried_out(client: httpx.Client) -> list[Row]:
    """3 methods × 3 rates × 3 seeds on digits, 500 steps each."""
    methods = ["backprop", "forward gradient", "activities"]
    study = _study(methods, {"optimizer.lr": [0.003, 0.01, 0.03]}, seeds=[0, 1, 2], steps=500)
    start = time.perf_counter()
    answer = client.post("/studies", json=study)
    answer.raise_for_status()
    place = f"/studies/{answer.json()['id']}"
    while client.get(f"{place}/results").json()["status"] == "running":
        time.sleep(0.1)
    wall = time.perf_counter() - start
    runs = client.get(place).json()["runs"]
    whole = sum(_time(run["finished"]) - _time(run["started"]) for run in runs)
    training = sum(run["seconds"] for run in runs)
    what = f"{len(runs)} runs on digits against"
    note = f"{wall:.1f} s; {len(runs)} runs of"
    return [
        Row(f"{what} their own time, from start to end", wall * SLOTS / whole, 1.3,
            note=f"{note} {whole / len(runs):.2f} s each"),
        Row(f"{what} the time that they train", wall * SLOTS / training, None,
            note=f"{note} {training / len(runs):.2f} s each"),
    ]  # fmt: skip


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _study(
    methods: Sequence[str], grid: dict[str, Any], seeds: Sequence[int] = (0,), steps: int = 100
) -> dict[str, Any]:
    return {
        "name": "bench",
        "base": {**BASE, "steps": steps},
        "methods": [{"label": name, "config": {"estimator": METHODS[name]}} for name in methods],
        "grid": grid,
        "seeds": [*seeds],
    }
