"""Exports: one HTML page, or every point as CSV or Parquet."""

import tempfile
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

from fastapi.responses import FileResponse, StreamingResponse
from starlette.background import BackgroundTask

from backend import sharing
from backend.api.deps import Lab, LabDep
from backend.api.models import Id
from backend.api.router import router
from backend.store import Store

routes = router("export")


def _as_attachment(name: str) -> dict[str, str]:
    # An attachment, because a page with its own scripts must not run in the lab's origin.
    return {"content-disposition": f'attachment; filename="{name}"'}


@routes.get("/export/runs/{run_id}.csv", response_class=StreamingResponse)
def csv(run_id: Id, lab: LabDep) -> StreamingResponse:
    """Every point of a run as CSV."""
    run = lab.store.run(run_id)
    rows = _begun(_csv_rows(lab.store, run.id))
    return StreamingResponse(
        rows, media_type="text/csv", headers=_as_attachment(f"run-{run.number}.csv")
    )


def _csv_rows(store: Store, run_id: str) -> Iterator[str]:
    with store.snapshot() as snapshot:
        yield from sharing.csv_rows(snapshot, [run_id])


def _begun(pieces: Iterator[str]) -> Iterator[str]:
    """The same pieces, the first two of them made: what fails at once is answered in words."""
    first = list(islice(pieces, 2))
    return chain(first, pieces)


@routes.get("/export/runs/{run_id}.parquet", response_class=FileResponse)
def parquet(run_id: Id, lab: LabDep) -> FileResponse:
    """Every point of a run as Parquet."""
    run = lab.store.run(run_id)
    folder = tempfile.TemporaryDirectory(prefix="gradlab-")
    try:
        path = Path(folder.name) / f"run-{run.number}.parquet"
        with lab.store.snapshot() as snapshot:
            sharing.parquet(snapshot, [run.id], path)
    except BaseException:
        folder.cleanup()
        raise
    return FileResponse(
        path,
        media_type="application/vnd.apache.parquet",
        filename=path.name,
        background=BackgroundTask(folder.cleanup),
    )


@routes.get("/export/runs/{run_id}.html", response_class=StreamingResponse)
def run_page(run_id: Id, lab: LabDep) -> StreamingResponse:
    """A run as one HTML page that works offline."""
    run = lab.store.run(run_id)
    return _page(lab, [run.id], run.name or f"Run {run.number}", "", f"run-{run.number}.html")


@routes.get("/export/dashboards/{dashboard_id}.html", response_class=StreamingResponse)
def dashboard_page(dashboard_id: Id, lab: LabDep) -> StreamingResponse:
    """A dashboard as one HTML page that works offline."""
    dashboard = lab.store.dashboard(dashboard_id)
    return _page(lab, dashboard.runs, dashboard.title, dashboard.text, f"{dashboard.id}.html")


def _page(lab: Lab, runs: Sequence[str], title: str, text: str, name: str) -> StreamingResponse:
    with lab.store.snapshot() as snapshot:
        own = sharing.OwnFigures(lab.supervisor, snapshot)
        pieces = sharing.html_pieces(snapshot, runs, title, text, own=own)
    return StreamingResponse(pieces, media_type="text/html", headers=_as_attachment(name))
