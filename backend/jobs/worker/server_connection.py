"""`ServerConnection`: sends reports to the server, which may restart at another port."""

import http.client
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_REFUSED = {401, 403, 404, 409, 410}
_TIMEOUT = 20.0
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""The address to use for a server that is bound to every address."""


class UnreachableError(Exception):
    """The server cannot be reached or has an internal error: try again later."""


class GoneError(Exception):
    """The server takes no more reports of this attempt."""


class ServerConnection:
    """A connection to the server whose URL is in `HOME/lock`.

    It uses http.client because ten requests a second share the GIL with the training loop; a
    request takes a fifth of a millisecond.
    """

    def __init__(self, home: Path, token: str) -> None:
        self._lock = home / "lock"
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._url = ""
        self._connection = self._connect(self._current_url())

    def send(self, report: bytes) -> dict[str, Any]:
        """Send a report; returns the orders in the answer.

        Raises UnreachableError, GoneError, or RuntimeError for an answer that is unexpected.
        """
        return self._orders(*self._post("/api/worker/report", report, self._headers))

    def _post(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        """The status and the body of the answer. Raises UnreachableError."""
        if not self._url and not self._reconnect():
            raise UnreachableError("no server has been started yet")
        try:
            self._connection.request("POST", path, body, headers)
            response = self._connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            self._reconnect()
            raise UnreachableError(str(error)) from error

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _orders(self, status: int, body: bytes) -> dict[str, Any]:
        if status == 200:
            return json.loads(body)
        if status >= 500 or status == 429:
            raise UnreachableError(f"the server answered {status}")
        # Another program may have taken the port of a server that moved.
        if status in _REFUSED and self._reconnect():
            raise UnreachableError(f"{status} from a server at the former address")
        if status in _REFUSED:
            raise GoneError(f"the server answered {status}: {body[:500].decode(errors='replace')}")
        raise RuntimeError(f"the server answered {status}: {body[:500].decode(errors='replace')}")

    def _reconnect(self) -> bool:
        """Connect to the server's present address; returns whether it has changed."""
        self._connection.close()
        before = self._url
        self._connection = self._connect(self._current_url())
        return self._url != before

    def _current_url(self) -> str:
        try:
            return json.loads(self._lock.read_text())["url"]
        except (OSError, ValueError, KeyError):
            return self._url  # no server now: keep the address and look again next time

    def _connect(self, url: str) -> http.client.HTTPConnection:
        self._url, address = url, urlsplit(url)
        host = _LOOPBACK.get(address.hostname or "", address.hostname or "127.0.0.1")
        if address.scheme == "https":
            return http.client.HTTPSConnection(host, address.port, timeout=_TIMEOUT)
        return http.client.HTTPConnection(host, address.port or 80, timeout=_TIMEOUT)
