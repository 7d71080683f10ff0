"""What the routes depend on: the parts of the lab, and the run that a worker reports for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from fastapi import Depends, HTTPException, Request

from backend.api.hub import Hub
from backend.config import Kind
from backend.home import Home
from backend.jobs.downloads import Downloads
from backend.jobs.study_keeper import StudyKeeper
from backend.race.started import StartedRace
from backend.settings import Settings
from backend.sharing.own_figures import Drawer
from backend.store import Run, Store
from backend.store.base import MissingError


class Supervisor(Drawer, Protocol):
    """What the API needs of `backend.jobs.supervisor`. All calls may block."""

    def start(self) -> None:
        """Take over the runs that are active."""
        ...

    def shutdown(self) -> None:
        """Ask the workers to write checkpoints and stop, and wait for them. Safe to repeat."""
        ...

    def fit(self, configs: Sequence[Any], field: str, limit: int) -> list[dict[str, Any]]:
        """`{value, need, problem}`: the largest value of a field with which each fits."""
        ...

    def validate(
        self, configs: Sequence[dict[str, Any]], kind: Kind = "training"
    ) -> list[dict[str, Any]]:
        """`{config, labels, plugins, errors}` of each: normalised, or with {loc, msg} errors.

        Raises TimeoutError if the inspector does not answer in time.
        """
        ...

    def draft(self, configs: Sequence[Any], chosen: str) -> dict[str, Any]:
        """What is to be said of a configuration that is being written, given at each combination
        of its values. Raises TimeoutError."""
        ...

    def unsuited(self, config: Any) -> dict[str, dict[str, str]]:
        """`{list of the catalogue: {name: why it does not suit the configuration}}`. Raises
        TimeoutError."""
        ...

    def catalogue(self, refresh: bool = False) -> dict[str, Any]:
        """The catalogue; rebuilt if `refresh`. Raises TimeoutError."""
        ...

    def diagnose(self, question: dict[str, Any]) -> list[dict[str, Any]]:
        """Findings, as `estimators.statistics.findings` gives them. Raises TimeoutError."""
        ...

    def submit(self, run_id: str) -> None:
        """A run was queued."""
        ...

    def signal(self, run_id: str) -> None:
        """A run's orders (run_until, cancel, stop, changes) changed."""
        ...

    def reported(self, run_id: str, attempt: int, status: str) -> None:
        """A report with this status was stored."""
        ...


@dataclass(frozen=True)
class Lab:
    """The parts of a served lab."""

    settings: Settings
    home: Home
    store: Store
    supervisor: Supervisor
    hub: Hub
    studies: StudyKeeper
    downloads: Downloads
    race: StartedRace


def _lab(request: Request) -> Lab:
    return request.app.state.lab


LabDep = Annotated[Lab, Depends(_lab)]


def bearer(header: str | None) -> str | None:
    """The token in an Authorization header, or None."""
    scheme, _, token = (header or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def _worker_run(request: Request, lab: LabDep) -> Run:
    token = bearer(request.headers.get("authorization"))
    try:
        return lab.store.by_token(token or "")
    except MissingError:
        raise HTTPException(401, "a worker reports with its run's token") from None


WorkerRun = Annotated[Run, Depends(_worker_run)]
"""The run whose token the request has."""
