"""Health and sign-in: the routes that work without the lab's token."""

from importlib.metadata import version
from typing import Annotated

from fastapi import HTTPException, Request, Response
from pydantic import BaseModel, ConfigDict, StringConstraints

from backend.api.deps import LabDep
from backend.api.guard import RefusedError, hostname
from backend.api.router import router

routes = router("session")
MONTH_SECONDS = 30 * 24 * 3600


class Health(BaseModel):
    """That the lab runs, and which one it is."""

    status: str = "ok"
    version: str
    instance: str


@routes.get("/health", tags=["health"])
def health(lab: LabDep) -> Health:
    """Whether the lab runs. Needs no token."""
    return Health(version=version("gradlab"), instance=lab.home.instance)


class SignIn(BaseModel):
    """The token to exchange for a cookie."""

    model_config = ConfigDict(extra="forbid")

    token: Annotated[str, StringConstraints(min_length=1, max_length=500)]


@routes.post("/session", status_code=204)
def sign_in(body: SignIn, request: Request, response: Response) -> None:
    """Exchange the lab's token, which the start URL has in its fragment, for a session cookie."""
    authenticator = request.app.state.authenticator
    try:
        right = authenticator.try_token(body.token, request.client.host if request.client else "")
    except RefusedError as error:
        raise HTTPException(error.status, str(error)) from None
    if not right:
        raise HTTPException(
            401, "that is not this lab's token; `gradlab serve` prints the right one"
        )
    response.set_cookie(
        authenticator.cookie_name,
        authenticator.cookie,
        max_age=MONTH_SECONDS,
        httponly=True,
        samesite="strict",
        secure=_is_https(request),
    )


def _is_https(request: Request) -> bool:
    """Whether the browser uses TLS: to this server, or to the proxy that public_url names.

    A header from the proxy is not trusted, because any client could send it. On this machine the
    same lab may also be used by plain HTTP, where a Secure cookie would be lost.
    """
    settings = request.app.state.lab.settings
    behind_proxy = (settings.public_url or "").startswith("https:")
    host = hostname(request.headers.get("host", ""))
    return request.url.scheme == "https" or (behind_proxy and host == settings.public_host)
