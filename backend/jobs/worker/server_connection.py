"""One worker's connection to the server, which may vanish and come back at another port."""

import http.client
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_REFUSED = {401, 403, 404, 409, 410}
_TIMEOUT = 20.0
_REACHED_AT = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""A server that is bound to every address is asked on the loopback."""


class UnreachableError(Exception):
    """The server is away, or in trouble: try again later."""


class GoneError(Exception):
    """The server wants no more reports of this attempt."""


class Post:
    """Sends reports to the server that `HOME/lock` names.

    http.client rather than a client library: ten requests a second share the training
    loop's GIL, and this one costs a fifth of a millisecond each.
    """

    def __init__(self, home: Path, token: str) -> None:
        self._lock = home / "lock"
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._url = ""
        self._connection = self._connect(self._current())

    def __call__(self, report: bytes) -> dict[str, Any]:
        """The answer. Raises UnreachableError, GoneError, RuntimeError if it makes no sense."""
        if not self._url and not self._lost():
            raise UnreachableError("no server has been here yet")
        try:
            self._connection.request("POST", "/api/worker/report", report, self._headers)
            response = self._connection.getresponse()
            status, body = response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            self._lost()
            raise UnreachableError(str(error)) from error
        return self._understood(status, body)

    def close(self) -> None:
        self._connection.close()

    def _understood(self, status: int, body: bytes) -> dict[str, Any]:
        if status == 200:
            return json.loads(body)
        if status >= 500 or status == 429:
            raise UnreachableError(f"the server answered {status}")
        # A stranger may have taken the port of a server that moved.
        if status in _REFUSED and self._lost():
            raise UnreachableError(f"{status} from a server that is not ours any more")
        if status in _REFUSED:
            raise GoneError(f"the server answered {status}: {body[:500].decode(errors='replace')}")
        raise RuntimeError(f"the server answered {status}: {body[:500].decode(errors='replace')}")

    def _lost(self) -> bool:
        """Close the connection; whether the server has moved."""
        self._connection.close()
        before = self._url
        self._connection = self._connect(self._current())
        return self._url != before

    def _current(self) -> str:
        try:
            return json.loads(self._lock.read_text())["url"]
        except (OSError, ValueError, KeyError):
            return self._url  # no server now: stay, and look again next time

    def _connect(self, url: str) -> http.client.HTTPConnection:
        self._url, address = url, urlsplit(url)
        host = _REACHED_AT.get(address.hostname or "", address.hostname or "127.0.0.1")
        return http.client.HTTPConnection(host, address.port or 80, timeout=_TIMEOUT)
