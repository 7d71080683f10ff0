"""Which lab a training loop reports to, and the connection to it."""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from backend.attach.registration import ROUTE, Registration
from backend.home import Home, HomeError, open_home, serving
from backend.jobs.worker.server_connection import GoneError, ServerConnection, UnreachableError
from backend.settings import SettingsError, settings

_REFUSALS = (401, 403)
_UNKNOWN = (401, 404, 410)
"""Answers to a report whose run the lab does not have: its token is gone with it."""


class AttachError(Exception):
    """The training loop cannot report to this lab; the message says why and what to do."""


@dataclass(frozen=True)
class Lab:
    """A lab that a loop reports to: one of this machine by its home, or one elsewhere by its
    URL."""

    home: Home
    """The home; for a lab elsewhere, the one on this machine in which reports wait."""
    url: str | None = None
    token: str | None = None

    @property
    def place(self) -> str:
        """In words."""
        return f"the lab at {self.url}" if self.url else f"the lab of {self.home.path}"


def find_lab(home: Path | str | None, url: str | None, token: str | None) -> Lab:
    """The lab that the arguments name, else GRADLAB_URL and GRADLAB_TOKEN, else that of the home
    (GRADLAB_HOME, ~/.gradlab).

    Raises AttachError for arguments that are not valid.
    """
    url = url or (None if home else os.environ.get("GRADLAB_URL")) or None
    token = (token or os.environ.get("GRADLAB_TOKEN") or "").strip() or None
    try:
        chosen = settings(**({"home": Path(home)} if home else {}))
        own = open_home(chosen.home)
    except (SettingsError, HomeError) as error:
        raise AttachError(str(error)) from error
    if url is None:
        return Lab(own)
    _check_url(url)
    if not token:
        raise AttachError(
            f"url is {url!r} and there is no token; give token= or GRADLAB_TOKEN, which is in "
            "HOME/token on the lab's machine"
        )
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise AttachError("the token has a space or a character that no token of a lab has")
    return Lab(own, url.rstrip("/"), token)


def _check_url(url: str) -> None:
    """Raise AttachError unless it is the address of a server; secrets in it are not repeated."""
    shape = "it must look like https://lab.example.org"
    if re.fullmatch(r"[\w.-]+(:\d+)?/?", url):
        raise AttachError(f"url is {url!r}, without http:// or https://; write 'http://{url}'")
    try:
        parts = urlsplit(url)
        is_server = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError as error:
        raise AttachError(f"url is {url.rpartition('@')[2]!r} ({error}); {shape}") from None
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise AttachError(f"url has more than a server's address; {shape}, and the token is token=")
    if not is_server or parts.path.strip("/"):
        raise AttachError(f"url is {url!r}; {shape}")


class LabConnection(ServerConnection):
    """A connection that registers its run with every server before it sends reports there."""

    def __init__(self, lab: Lab, registration: Registration) -> None:
        self._lab, self._body = lab, registration.model_dump_json().encode()
        self._registered_at = ""
        self.number: int | None = None
        """The run's number in the lab, once it is registered."""
        self.deleted = False
        """Whether a GoneError said that the lab has this run no more."""
        super().__init__(lab.home.path, registration.token)

    def send(self, report: bytes) -> dict[str, Any]:
        if self._registered_at != self._url or not self._url:
            try:
                self.register()
            except AttachError as refusal:
                # Another lab may serve this home in the next moment; nothing is lost until then.
                raise UnreachableError(str(refusal)) from refusal
        return super().send(report)

    def _orders(self, status: int, body: bytes) -> dict[str, Any]:
        self.deleted = (
            status in _UNKNOWN
        )  # otherwise, the lab has the run and takes no report of it
        return super()._orders(status, body)

    def register(self) -> None:
        """Make the run known to the lab, which changes nothing if it is.

        Raises UnreachableError, GoneError if the run was deleted, or AttachError, whose message
        says why the lab refuses.
        """
        token = self._lab.token or self._local_token()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        status, body = self._post(ROUTE, self._body, headers)
        if status == 201:
            self.number, self._registered_at = json.loads(body)["number"], self._url
            return
        detail = _detail(body)
        if status >= 500 or status == 429:
            raise UnreachableError(f"the server answered {status}: {detail}")
        if status == 409:
            self.deleted = True
            raise GoneError(detail)
        raise AttachError(self._why(status, detail))

    def _why(self, status: int, detail: str) -> str:
        place = self._lab.place
        if status in _REFUSALS:
            return (
                f"{place} refuses the token; give token= or GRADLAB_TOKEN, which is in HOME/token "
                f"on the lab's machine ({detail})"
            )
        if status in (404, 405):
            return f"{place} does not take attached runs: it is of an older version, update it"
        if status == 422:
            return f"{place} does not understand this version of gradlab, update it: {detail}"
        return f"{place} answered {status}: {detail}"

    def _local_token(self) -> str:
        try:
            return (self._lab.home.path / "token").read_text().strip()
        except OSError:
            return self._lab.home.token

    def _current_url(self) -> str:
        return self._lab.url or super()._current_url()

    def _reconnect(self) -> bool:
        return super()._reconnect() and not self._lab.url


def is_served(lab: Lab) -> bool:
    """Whether the lab is elsewhere, or serves its home at this moment."""
    return lab.url is not None or serving(lab.home.path) is not None


def _detail(body: bytes) -> str:
    try:
        detail = json.loads(body)["detail"]
    except (ValueError, KeyError, TypeError):
        return body[:300].decode(errors="replace")
    return detail if isinstance(detail, str) else json.dumps(detail)[:500]
