"""The pages and their modules: frontend/ as written, and plotly.js from its package."""

import gzip
import hashlib
from functools import cache
from pathlib import Path

import plotly
from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FRONTEND = Path(__file__).parents[3] / "frontend"
PLOTLY = "/static/plotly.min.js"
FOREVER = "public, max-age=31536000, immutable"
ASK = "no-cache"

routes = APIRouter(include_in_schema=False)


class Modules(StaticFiles):
    """Static files whose every use is checked with the server: an upgrade is seen at once."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["cache-control"] = ASK
        return response


def shell(name: str) -> HTMLResponse:
    """A page of frontend/."""
    try:
        text = (FRONTEND / name).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise HTTPException(404, f"the page {name} is not installed") from None
    return HTMLResponse(text, headers={"cache-control": ASK})


@routes.get("/", response_class=HTMLResponse)
def index() -> HTMLResponse:
    """The lab. There is no data in it."""
    return shell("index.html")


@cache
def _plotly() -> tuple[bytes, bytes, str]:
    """plotly.js, the same gzipped, and its strong ETag."""
    plain = (Path(plotly.__file__).parent / "package_data/plotly.min.js").read_bytes()
    return plain, gzip.compress(plain, 6, mtime=0), f'"{hashlib.sha256(plain).hexdigest()[:32]}"'


@routes.get(PLOTLY)
def plotly_js(request: Request) -> Response:
    """plotly.js of the installed plotly package: no CDN, and it fits plotly.py."""
    plain, zipped, etag = _plotly()
    if request.query_params.get("v") != plotly.__version__:
        # A URL that names the version can be cached for good; this one only leads to it.
        return RedirectResponse(f"{PLOTLY}?v={plotly.__version__}", headers={"cache-control": ASK})
    small = "gzip" in request.headers.get("accept-encoding", "")
    headers = {
        "cache-control": FOREVER,
        # Two encodings are two representations: a strong ETag must tell them apart.
        "etag": etag.replace('"', '"gz-', 1) if small else etag,
        "vary": "accept-encoding",
        **({"content-encoding": "gzip"} if small else {}),
    }
    if headers["etag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(zipped if small else plain, headers=headers, media_type="text/javascript")
