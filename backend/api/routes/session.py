"""Signing in: the token of the start URL's fragment is exchanged for a cookie."""

from typing import Annotated

from fastapi import HTTPException, Request, Response
from pydantic import BaseModel, ConfigDict, StringConstraints

from backend.api.guard import Refused, hostname
from backend.api.router import router

routes = router("session")
MONTH = 30 * 24 * 3600


class SignIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    token: Annotated[str, StringConstraints(min_length=1, max_length=500)]


@routes.post("/session", status_code=204)
def sign_in(body: SignIn, request: Request, response: Response) -> None:
    """Exchange the token for the session cookie."""
    gate = request.app.state.gate
    try:
        right = gate.try_token(body.token, request.client.host if request.client else "")
    except Refused as error:
        raise HTTPException(error.status, str(error)) from None
    if not right:
        raise HTTPException(
            401, "that is not this lab's token; `gradlab serve` prints the right one"
        )
    response.set_cookie(
        gate.cookie_name,
        gate.cookie,
        max_age=MONTH,
        httponly=True,
        samesite="strict",
        secure=_is_https(request),
    )


def _is_https(request: Request) -> bool:
    """Whether the browser asked by TLS: here, or at the proxy that public_url names.

    The proxy's own word is not taken, since any client could give it. On this machine the same
    lab is also asked by plain HTTP, where a Secure cookie would be lost.
    """
    public = request.app.state.lab.settings
    behind = (public.public_url or "").startswith("https:")
    asked = hostname(request.headers.get("host", ""))
    return request.url.scheme == "https" or (behind and asked == public.public_host)
