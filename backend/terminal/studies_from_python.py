"""`study`: a study from a notebook or a script, carried out by the lab of this machine."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from backend.documents import DocumentError, read
from backend.home import serving
from backend.serve import ServeError, running_lab
from backend.settings import settings
from backend.studies.study_file import StudyFile, StudyFileError, parse
from backend.studies.table import terminal
from backend.terminal import study as command
from backend.terminal.client import RefusedError

Order = Literal["pause", "resume", "cancel", "retry"]


class StudyError(Exception):
    """The study cannot be carried out; the message says why and what to do."""


class Study:
    """A study in a lab: what it shows, and orders to it. Printed, it is its table."""

    def __init__(self, results: dict[str, Any], home: Path | str | None = None) -> None:
        self.results, self._home = results, home
        """As `GET /api/studies/{id}/results` answers."""

    def refresh(self) -> "Study":
        """Read from the lab how far the study is now. Raises StudyError if no lab is open."""
        return self._ask(lambda lab: None)

    def order(self, order: Order) -> "Study":
        """Pause, resume, cancel or retry all of its runs as one. Raises StudyError."""
        return self._ask(lambda lab: lab.order_study(self.results["id"], order))

    def _ask(self, asked: Callable[[command.Lab], object]) -> "Study":
        _require_served(self._home)
        try:
            with running_lab(_given(self._home)) as lab:
                asked(lab)
                self.results = lab.study_results(self.results["id"])
        except (RefusedError, ServeError) as error:
            raise StudyError(str(error)) from None
        return self

    def __str__(self) -> str:
        console = Console(width=120, no_color=True)
        with console.capture() as text:
            console.print(terminal(self.results["results"]["words"]))
        return text.get()

    __repr__ = __str__


def study(
    document: Mapping[str, Any] | Path | str,
    *,
    home: Path | str | None = None,
    wait: bool = True,
) -> Study:
    """Carry out a study, or take it up where it was interrupted.

    Args:
        document: a study, or the path of a YAML or JSON file with one (docs/studies.md).
        home: of the lab. None: GRADLAB_HOME, else ~/.gradlab. Without a server, one is started for
            the duration.
        wait: show its table until it is finished. False: start it in the lab that is open and
            return at once.

    Returns:
        The study with what it shows.

    Raises:
        StudyError: the document is not valid, or runs failed; and with `wait=False`, no lab is
            open.

    >>> print(study({"name": "two", "base": base, "seeds": [0, 1]}))  # doctest: +SKIP
    """
    if not wait:
        _require_served(home)
    try:
        parsed = parse(document if isinstance(document, Mapping) else read(Path(document)))
        with running_lab(_given(home)) as lab:
            return Study(_carried_out(lab, parsed, wait=wait), home)
    except (
        DocumentError, StudyFileError, RefusedError, ServeError, command.StudyEndedError,
    ) as error:  # fmt: skip
        raise StudyError(str(error)) from None


def _carried_out(lab: command.Lab, parsed: StudyFile, *, wait: bool) -> dict[str, Any]:
    console = Console()
    if wait:
        return command.carry_out(lab, parsed, console)
    return lab.study_results(command.begin(lab, parsed, console))


def _given(home: Path | str | None) -> dict[str, Any]:
    return {"home": Path(home)} if home else {}


def _require_served(home: Path | str | None) -> None:
    """Raise StudyError if no lab of this home is open, which would go on with the study."""
    chosen = settings(**_given(home)).home
    if serving(chosen) is None:
        raise StudyError(f"no lab of {chosen} is open; start one with gradlab serve")
