"""`Delivery`: takes a loop's records to its lab, by way of its journal."""

import logging
import sys
from collections.abc import Iterable

from backend.attach.journal import Journal
from backend.attach.lab_connection import Lab, LabConnection, is_served
from backend.attach.registration import ATTEMPT
from backend.jobs.worker.reporter import Reporter, ReportTiming
from backend.jobs.worker.reporting import forward
from backend.training.control import Control
from backend.training.records import Record

NO_LIMIT = 2**62
PATIENCE = 30.0
"""Seconds that the end of a loop waits for the lab of its own machine, which stores the rest when
it looks at the journal."""

_log = logging.getLogger("gradlab")


class Delivery:
    """The reports of one loop; the lab's orders come to `control`.

    `buffer` are the bytes on disk at which the loop waits for a lab that it has lost; None: there
    is no lab to wait for yet, so that the disk is the limit.
    """

    def __init__(
        self,
        lab: Lab,
        connection: LabConnection,
        journal: Journal,
        control: Control,
        device: str,
        buffer: int | None,
    ) -> None:
        self._lab, self._control, self._device = lab, control, device
        self._connection, self._journal = connection, journal
        self._refused = False
        self._reporter = Reporter(
            journal.run,
            ATTEMPT,
            connection,
            self._journal.outbox,
            on_orders=lambda orders: control.update(**orders),
            on_gone=self._end,
            timing=ReportTiming(outbox=NO_LIMIT if buffer is None else buffer),
        )
        self._reporter.start()

    def report(self, records: Iterable[Record]) -> None:
        """Write records to the journal, to be sent. The training is worth more than its reports:
        if the lab refuses them, the log says so, and the loop and its journal go on."""
        for record in records:
            try:
                forward([record], self._reporter, self._device)
            except RuntimeError as error:  # behind it, all is written to the journal
                self._refuse(error)

    def end(self, last: Iterable[Record], patience: float | None = None) -> None:
        """Write the last records to the journal, past the buffer if it is full, and wait for the
        lab, at most `patience` seconds (None: however long, for a lab elsewhere); say what stays
        behind if it does not answer, or if the user interrupts the wait."""
        patience = self._patience(patience)
        self._reporter.end_within(patience)
        delivered = False
        try:
            self.report(last)
            delivered = self._reporter.close(patience)
        except RuntimeError as error:
            self._refuse(error)
        except KeyboardInterrupt:
            self._say_where_the_rest_is()
            raise
        else:
            if self._reporter.lost and not delivered:
                self._say_what_is_lost()
            elif not delivered and not self._connection.deleted and self._lab.url is not None:
                self._say_where_the_rest_is()
        finally:
            self._journal.close(delivered=delivered or self._connection.deleted)

    def _patience(self, asked: float | None) -> float | None:
        """Seconds to wait for the lab; None: however long, since nobody else has the reports."""
        if self._lab.url is not None:
            return asked
        return PATIENCE if is_served(self._lab) else 0.0

    def _say_where_the_rest_is(self) -> None:
        print(
            f"{self._lab.place} has not taken every report: the rest is in {self._journal.path}; "
            "copied to HOME/attached of the lab, with null as the url in its run.json, it is "
            "stored there",
            file=sys.stderr,
        )

    def _say_what_is_lost(self) -> None:
        folder = self._journal.path
        print(
            f"the disk of {folder.parent.parent} is full and no lab has taken the last reports of "
            f"this run: what came since the disk was full, and how the run ended, is lost; all "
            f"that came before is in {folder}",
            file=sys.stderr,
        )

    def _end(self) -> None:
        """The lab takes no more reports: the run was deleted there, or it is of an older version,
        in which a run that was cancelled while it was silent has ended."""
        self._control.update(cancel=True)

    def _refuse(self, error: Exception) -> None:
        if self._refused:
            return
        self._refused = True
        _log.error(
            "the lab takes no more reports of this loop, which goes on: %s; what it has not taken "
            "is in %s",
            error,
            self._journal.path,
        )
