"""The points store: written, read, and its size; small reports as a worker sends them; figures and
the export of a run of 200 layers × 1,000,000 points"""

import base64
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np

from backend.store import Store, open_engine
from backend.store.points import SeriesPoints
from backend.store.reports import WorkerReport
from benchmarks.lab import serving
from benchmarks.table import Row

SERIES = 60
MILLION = 1_000_000


def rows() -> list[Row]:
    with _store() as (store, path):
        written = _written(store)
        size, one, twenty = _read(store, path)
    return [
        Row("written in-process, 60 series × 256 a report", written, 1e6, "points/s", False),
        *_posted(),
        Row("bytes a point, merged", size, 20, "bytes"),
        Row("1,000,000 points to 1,000 shown", one, 20, "ms"),
        Row("twenty of them", twenty, 300, "ms"),
        *_large(),
    ]


@contextmanager
def _store() -> Iterator[tuple[Store, Path]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lab.db"
        engine = open_engine(f"sqlite:///{path}")
        yield Store(engine), path
        engine.dispose()


LAYERS = 200
_MEASURED = """
import json, sys, time
from backend.figures import draw
from backend.sharing import html_pieces
from backend.store import Store, open_engine
from backend.figures.data.source import Memory, MemoryRun

store = Store(open_engine(sys.argv[1]))
run, small, results = store.find("1").id, Memory(), {}
small.add_run("r", MemoryRun(1))
draw("carpet", small, {"runs": "r"})  # loads what every figure needs

def peak():  # in MB; getrusage would count what the parent had before this program began
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))

for name in ("carpet", "layers", "zoom", "html"):
    before, start = peak(), time.perf_counter()
    if name == "html":
        sum(map(len, html_pieces(store, [run])))
    else:
        zoom = {"first": "1000", "last": "500000"} if name == "zoom" else {}
        draw("carpet" if name == "zoom" else name, store, {"runs": run, **zoom})
    results[name] = time.perf_counter() - start, peak() - before
print(json.dumps(results))
"""


def _large() -> list[Row]:
    """A run of 200 layers × 1,000,000 points, in a process of its own for its peak memory."""
    with _store() as (store, path):
        run = _run(store)
        rng = np.random.default_rng(0)
        for i in range(20):
            at = np.arange(50_000 * i, 50_000 * (i + 1))
            flushes = [
                SeriesPoints("cosine", f"s{k}", "b", "", at, rng.normal(size=50_000))
                for k in range(LAYERS)
            ]
            store.report(WorkerReport(run, 1, i, "running", flushes))
        store.report(WorkerReport(run, 1, 20, "finished", facts={"labels": _LABELS}))
        command = [sys.executable, "-c", _MEASURED, f"sqlite:///{path}"]
        measured = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    called = f"{LAYERS} layers × 1,000,000 points"
    carpet, layers, zoom, html = (measured[n] for n in ("carpet", "layers", "zoom", "html"))
    return [
        Row(f"carpet of {called}", 1e3 * carpet[0], 500, "ms"),
        Row("more memory for it", carpet[1], 100, "MB"),
        Row("lines by layer of it", 1e3 * layers[0], 500, "ms"),
        Row("half of the carpet", 1e3 * zoom[0], 500, "ms"),
        Row("HTML export of it", html[0], 10, "s"),
        Row("more memory for it", html[1], 300, "MB"),
    ]


_LABELS = {"driver": "b", "shadows": []}


def _written(store: Store) -> float:
    run = _run(store)
    rng = np.random.default_rng(0)
    reports = [
        WorkerReport(run, 1, i, "running", _flushes(SERIES, 256 * i, rng.normal(size=256)))
        for i in range(100)
    ]
    start = time.perf_counter()
    for report in reports:
        store.report(report)
    return 100 * SERIES * 256 / (time.perf_counter() - start)


def _run(store: Store) -> str:
    run = store.create_run({"config": {"name": "bench"}, "labels": {}}, {})
    store.begin_attempt(run.id)
    return run.id


def _flushes(series: int, first: int, values: np.ndarray) -> list[SeriesPoints]:
    steps = np.arange(first, first + len(values))
    return [SeriesPoints(f"m{i}", "", "", "", steps, values) for i in range(series)]


def _read(store: Store, path: Path) -> tuple[float, float, float]:
    """Bytes a point, milliseconds for one series and for twenty."""
    run = _run(store)
    before = _size(store, path)
    rng = np.random.default_rng(0)
    for i in range(100):
        flushes = _flushes(20, 10_000 * i, rng.normal(size=10_000))
        store.report(WorkerReport(run, 1, i, "running", flushes))
    store.report(WorkerReport(run, 1, 100, "finished"))
    size = (_size(store, path) - before) / (20 * MILLION)
    ids = [s.id for s in store.series(run)]
    times = []
    for id in ids:
        start = time.perf_counter()
        store.points(id, max=1000)
        times.append(1e3 * (time.perf_counter() - start))
    return size, float(np.median(times)), sum(times)


def _size(store: Store, path: Path) -> int:
    """Bytes in use: free pages do not count."""
    with store.reading() as session:
        ask = session.connection().exec_driver_sql
        pages, free, page = (
            ask(f"PRAGMA {name}").scalar_one()
            for name in ("page_count", "freelist_count", "page_size")
        )
    return (pages - free) * page


def _posted() -> list[Row]:
    """Over HTTP to a served lab, from the worker's side: encoded, posted, committed."""
    return [
        Row(f"worker to committed row, 60 × {size} a report", rate, budget, "points/s", False)
        for size, budget in ((256, 1e5), (30, 1e5))
        for rate in [_post(size)]
    ]


def _post(size: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        engine = open_engine(f"sqlite:///{home / 'lab.db'}")
        store = Store(engine)
        run = store.create_run({"config": {"name": "bench"}, "labels": {}}, {})
        _, token = store.begin_attempt(run.id)
        engine.dispose()
        # A worker whose run nobody minds: the supervisor would take it for dead and resume it.
        with serving(home, slots=1) as lab, httpx.Client(base_url=lab.url) as client:
            reports = [_report(run.id, i, size) for i in range(40)]
            headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
            start = time.perf_counter()
            for report in reports:
                answer = client.post("/api/worker/report", json=report, headers=headers)
                answer.raise_for_status()
            return 40 * SERIES * size / (time.perf_counter() - start)


def _report(run: str, i: int, size: int) -> dict:
    steps = np.arange(size * i, size * (i + 1), dtype="<i8")
    values = np.random.default_rng(i).normal(size=size)
    series = [
        {"metric": f"m{k}", "layer": "", "estimator": "", "unit": "", "steps": _b64(steps),
         "values": _b64(values)}
        for k in range(SERIES)
    ]  # fmt: skip
    return {"run": run, "attempt": 1, "sequence": i, "series": series, "status": "running",
            "progress": None, "error": None, "events": [], "facts": None}  # fmt: skip


def _b64(array: np.ndarray) -> str:
    return base64.b64encode(array.tobytes()).decode()
