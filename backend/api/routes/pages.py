"""The HTML pages and their JavaScript: the files of frontend/, and plotly.js."""

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
ALWAYS_REVALIDATE = "no-cache"

routes = APIRouter(include_in_schema=False)


class Modules(StaticFiles):
    """Static files that browsers revalidate, so that an upgrade takes effect at once."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file, with its cache header."""
        response = await super().get_response(path, scope)
        response.headers["cache-control"] = ALWAYS_REVALIDATE
        return response


def shell(name: str) -> HTMLResponse:
    """An HTML page of frontend/."""
    try:
        text = (FRONTEND / name).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise HTTPException(404, f"the page {name} is not installed") from None
    return HTMLResponse(text, headers={"cache-control": ALWAYS_REVALIDATE})


@routes.get("/", response_class=HTMLResponse, response_model=None)
def index(request: Request) -> Response:
    """The home page. Addresses of earlier versions, which showed runs here, lead to the runs."""
    if {"runs", "study"} & request.query_params.keys():
        return RedirectResponse(f"/runs?{request.url.query}", 308)
    return shell("index.html")


@routes.get("/new", response_class=HTMLResponse)
@routes.get("/runs", response_class=HTMLResponse)
@routes.get("/runs/{rest:path}", response_class=HTMLResponse)
@routes.get("/studies", response_class=HTMLResponse)
@routes.get("/studies/{rest:path}", response_class=HTMLResponse)
@routes.get("/gallery", response_class=HTMLResponse)
@routes.get("/gallery/{rest:path}", response_class=HTMLResponse)
def page() -> HTMLResponse:
    """Every other page. They are one document, whose scripts read from the address what to show."""
    return shell("index.html")


@routes.get("/{name}", response_class=HTMLResponse)
def no_page(request: Request) -> HTMLResponse:
    """An address without a page: the document says so to a reader, to all else the error does."""
    if "text/html" not in request.headers.get("accept", ""):
        raise HTTPException(404)
    document = shell("index.html")
    document.status_code = 404
    return document


@cache
def _plotly() -> tuple[bytes, bytes, str]:
    """plotly.js, the same compressed, and its strong ETag."""
    plain = (Path(plotly.__file__).parent / "package_data/plotly.min.js").read_bytes()
    return plain, gzip.compress(plain, 6, mtime=0), f'"{hashlib.sha256(plain).hexdigest()[:32]}"'


@routes.get(PLOTLY)
def plotly_js(request: Request) -> Response:
    """plotly.js of the installed plotly package."""
    plain, zipped, etag = _plotly()
    if request.query_params.get("v") != plotly.__version__:
        # The URL with the version can be cached forever, so redirect to it.
        return RedirectResponse(
            f"{PLOTLY}?v={plotly.__version__}", headers={"cache-control": ALWAYS_REVALIDATE}
        )
    small = "gzip" in request.headers.get("accept-encoding", "")
    headers = {
        "cache-control": FOREVER,
        # Two encodings are two representations with different strong ETags.
        "etag": etag.replace('"', '"gz-', 1) if small else etag,
        "vary": "accept-encoding",
        **({"content-encoding": "gzip"} if small else {}),
    }
    if headers["etag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(zipped if small else plain, headers=headers, media_type="text/javascript")
