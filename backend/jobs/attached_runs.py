"""`AttachedRuns`: the runs of users' own training loops, which this lab neither starts nor ends.

A loop reports by itself. What it could not deliver lies in its journal in the home, and is stored
here once the loop has ended. A loop that is silent may still live, so that its run goes on; but
one whose process is gone from this machine has ended, and so has a silent one that was cancelled.
"""

import logging
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy.exc import OperationalError

from backend.attach import journal
from backend.attach.registration import ATTEMPT, Registration
from backend.jobs.report_decoding import store_unsent_reports
from backend.store import Run, Store
from backend.store.base import Commit, ConflictError, FullError, MissingError

DIED = (
    "The training loop ended without a word: its process was killed or its machine stopped. "
    "What it had measured until then is here."
)
UNREAD = "The rest cannot be read, and is left in {}."
TICK = 2.0
"""Seconds between two looks."""
SILENCE = 15.0
"""Seconds without a report after which a loop counts as silent."""

_log = logging.getLogger(__name__)


class AttachedRuns:
    """Looks after the attached runs of a home, in a thread, until `close`."""

    def __init__(self, store: Store, home: Path, tick: float = TICK) -> None:
        self._store, self._home, self._tick = store, home, tick
        self._unreadable: set[Path] = set()
        self._named: set[Path] = set()
        self._started = _before(0.0)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="attached runs", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()

    def _work(self) -> None:
        while not self._closing.is_set():
            try:
                self.look()
            except OperationalError as error:
                _log.warning("the attached runs are looked at again: %s", error.orig)
            except Exception:  # an error with one journal must not end the care for others
                _log.exception("unexpected error with the attached runs")
            self._closing.wait(self._tick)

    def look(self) -> None:
        """Store what loops that have ended left behind; look after those that are silent."""
        for folder, registration in journal.left(self._home, self._named):
            if folder not in self._unreadable and not self._closing.is_set():
                self._take(folder, registration)
        for run in self._store.active():
            if run.kind == "attached":
                self._look_after(run)

    def _take(self, folder: Path, registration: Registration) -> None:
        """Store the rest of the reports of a loop that has ended."""
        try:
            run = self._store.attach(registration.row(), registration.token)
            store_unsent_reports(self._store, folder, ATTEMPT)
            damaged = journal.outbox_of(folder).exists()  # the log says why
            why = f"{DIED} {UNREAD.format(folder)}" if damaged else DIED
            if not self._store.end_if_silent(run.id, _before(-1.0), "failed", why):
                self._store.compact(run.id)
            if damaged:
                self._unreadable.add(folder)
                return
        except FullError as error:
            _log.debug("the journal %s waits: %s", folder, error)
            return
        except (ConflictError, MissingError) as error:  # it was deleted
            _log.info("the journal %s is removed: %s", folder, error)
        journal.remove(folder)

    def _look_after(self, run: Run) -> None:
        """End a silent run that was cancelled; say of others that they are silent."""
        since = max(run.heard or "", self._started)
        if since >= _before(SILENCE):
            return
        if run.cancel:
            self._store.end_if_silent(run.id, _before(SILENCE), "cancelled", None)
        else:
            self._store.announce(Commit("run", run.id))


def _before(seconds: float) -> str:
    """The time so many seconds ago, as the store writes times."""
    at = datetime.now(UTC) - timedelta(seconds=seconds)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
