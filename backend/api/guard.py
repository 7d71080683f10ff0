"""`Guard`: ASGI middleware that checks every request before the routes.

It checks Host, Origin, Sec-Fetch-Site, content type, body size and token. Every path needs the
token unless it is listed here as open, so that new routes are protected too.
"""

import asyncio
import hashlib
import hmac
import time
from collections import deque
from collections.abc import Callable
from urllib.parse import urlsplit

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.api.deps import bearer
from backend.api.errors import SECURITY_HEADERS, error_response
from backend.home import Home
from backend.settings import Settings

OPEN_PAGES = ("/", "/new", "/runs", "/studies", "/gallery")
OPEN_ROUTES = {
    *(("GET", page) for page in OPEN_PAGES), ("GET", "/api/health"), ("POST", "/api/session"),
}  # fmt: skip
ANY_ADDRESS = {"", "0.0.0.0", "::"}  # a server can bind to these, but they are no host names
OPEN_PREFIXES = ("/static/", "/s/", "/runs/", "/studies/", "/gallery/")
WORKER, SESSION = "/api/worker/", "/api/session"
UNSAFE = {"POST", "PUT", "PATCH", "DELETE"}
LOOPBACK = {"localhost", "127.0.0.1", "::1"}
MAX_BODY = 2_000_000
MAX_WORKER_BODY = 32_000_000
MAX_SESSION_BODY = 4_000  # small, since it is read without a token
BODY_SECONDS = 30.0  # for a body to arrive whole, from its head
MAX_WRONG_TOKENS, WINDOW_SECONDS = 20, 60.0  # from one address


class RefusedError(Exception):
    """A request that is not allowed, with its HTTP status."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Authenticator:
    """Checks the token and the session cookie, and limits wrong tokens from one address."""

    def __init__(self, home: Home) -> None:
        self._token = home.token
        self.cookie_name = f"gradlab_{home.instance}"
        message = f"session:{home.instance}".encode()
        self.cookie = hmac.new(home.token.encode(), message, hashlib.sha256).hexdigest()
        self._wrong: dict[str, deque[float]] = {}

    def try_token(self, token: str, client: str) -> bool:
        """Whether `token` is right. Raises RefusedError after too many wrong ones from `client`."""
        # The right token always works: somebody who guesses from the same address, such as behind
        # the same proxy, must not lock the owner out. The token is too long to be guessed.
        if hmac.compare_digest(token.encode(), self._token.encode()):
            return True
        now = time.monotonic()
        if self._recent(client, now) >= MAX_WRONG_TOKENS:
            raise RefusedError(
                429, f"more than {MAX_WRONG_TOKENS} wrong tokens in a minute; wait a minute"
            )
        if len(self._wrong) > 10_000:
            self._wrong.clear()
        self._wrong.setdefault(client, deque(maxlen=MAX_WRONG_TOKENS)).append(now)
        return False

    def _recent(self, client: str, now: float) -> int:
        return sum(t > now - WINDOW_SECONDS for t in self._wrong.get(client, ()))

    def admits(self, headers: Headers, client: str) -> bool:
        """Whether a request has the token or the cookie."""
        token = bearer(headers.get("authorization"))
        if token is not None:
            return self.try_token(token, client)
        cookie = cookie_parser(headers.get("cookie", "")).get(self.cookie_name, "")
        return hmac.compare_digest(cookie.encode(), self.cookie.encode())


class Guard:
    """ASGI middleware in front of the app.

    `authenticator` checks the token, `settings` has the host names of this lab, and `is_worker`,
    which may block, checks the tokens of runs.
    """

    def __init__(
        self,
        app: ASGIApp,
        authenticator: Authenticator,
        settings: Settings,
        is_worker: Callable[[str], bool],
    ) -> None:
        self._app, self._authenticator = app, authenticator
        self._settings, self._is_worker = settings, is_worker
        bound = {settings.host.strip("[]").lower()} - ANY_ADDRESS
        self._hosts = LOOPBACK | bound | ({settings.public_host} if settings.public_host else set())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] == "http":
            await self._http(scope, receive, _with_headers(send))
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            limit = self._check(scope)
            # Before the body is read, which may be large.
            if scope["path"].startswith(WORKER):
                await self._check_worker(Headers(scope=scope))
        except RefusedError as error:
            await error_response(error.status, str(error))(scope, receive, send)
            return
        await self._app(scope, _capped(receive, limit), send)

    def _check(self, scope: Scope) -> int:
        """Check the request; returns the largest body that it may have. Raises RefusedError."""
        headers, path, method = Headers(scope=scope), scope["path"], scope["method"]
        host = self._check_host(headers)
        if path.startswith("/api/") and path != "/api/health":
            _check_site(headers)
        if method in UNSAFE:
            self._check_origin(headers, host)
            _check_type(headers)
        self._check_token(headers, method, path, scope)
        return _check_length(headers, _limit(path))

    async def _check_worker(self, headers: Headers) -> None:
        token = bearer(headers.get("authorization"))
        if token is None or not await asyncio.to_thread(self._is_worker, token):
            raise RefusedError(401, "a worker reports with its run's token")

    def _check_host(self, headers: Headers) -> str:
        given = headers.getlist("host")
        host = given[0] if len(given) == 1 else ""
        if hostname(host) not in self._hosts:
            raise RefusedError(
                400,
                f"the Host header is {host[:80]!r}; this lab answers to "
                f"{', '.join(sorted(self._hosts))} (GRADLAB_PUBLIC_URL adds one)",
            )
        return host

    def _check_origin(self, headers: Headers, host: str) -> None:
        origin = headers.get("origin")
        if origin is None:
            return
        parts = urlsplit(origin)
        public = self._settings.public_url and urlsplit(self._settings.public_url)
        same = parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower()
        is_public = public and (parts.scheme, parts.netloc) == (public.scheme, public.netloc)
        if not (same or is_public):
            raise RefusedError(
                403, f"the Origin is {origin[:80]!r}; only this lab's own pages may ask"
            )

    def _check_token(self, headers: Headers, method: str, path: str, scope: Scope) -> None:
        method = "GET" if method == "HEAD" else method
        if (method, path) in OPEN_ROUTES or path.startswith((*OPEN_PREFIXES, WORKER)):
            return
        client = scope["client"][0] if scope.get("client") else ""
        if not self._authenticator.admits(headers, client):
            raise RefusedError(
                401,
                "this needs the lab's token: open the URL that `gradlab serve` printed, or send "
                "'Authorization: Bearer TOKEN'",
            )


def _limit(path: str) -> int:
    if path == SESSION:
        return MAX_SESSION_BODY
    return MAX_WORKER_BODY if path.startswith(WORKER) else MAX_BODY


def hostname(host: str) -> str:
    """The host name in a Host header, lower case and without the port; "" if it is not valid."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return ""
    plain = parts.netloc == host and not (parts.path or parts.query or "@" in host)
    plain = plain and "[" not in host[1:]
    return (parts.hostname or "") if plain else ""


def _check_site(headers: Headers) -> None:
    site = headers.get("sec-fetch-site", "none")
    if site not in ("same-origin", "none"):
        raise RefusedError(
            403, f"Sec-Fetch-Site is {site[:40]!r}; only this lab's own pages may ask"
        )


def _check_type(headers: Headers) -> None:
    has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if (has_body or kind) and kind != "application/json":
        raise RefusedError(415, f"the content type is {kind[:80]!r}; it must be application/json")


def _check_length(headers: Headers, limit: int) -> int:
    length = headers.get("content-length", "0")
    if not length.isascii() or not length.isdigit() or int(length[:20]) > limit:
        raise RefusedError(413, _too_large(limit))
    return limit


def _too_large(limit: int) -> str:
    return f"the body is too large; at most {limit:,} bytes are allowed here"


def _capped(receive: Receive, limit: int) -> Receive:
    """Count the bytes that arrive, since the Content-Length header may be wrong, and the time."""
    received, complete = 0, False
    deadline = asyncio.get_running_loop().time() + BODY_SECONDS

    async def capped() -> Message:
        nonlocal received, complete
        if complete:  # what follows is the end of the connection, which may be hours away
            return await receive()
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError:
            raise HTTPException(408, _TOO_SLOW, {"connection": "close"}) from None
        received += len(message.get("body", b""))
        complete = not message.get("more_body", False)
        if received > limit:
            raise HTTPException(413, _too_large(limit))
        return message

    return capped


_TOO_SLOW = f"the body of the request did not arrive in {BODY_SECONDS:g} s"


def _with_headers(send: Send) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers[name] = value
            headers.setdefault("cache-control", "no-store")
        await send(message)

    return guarded
