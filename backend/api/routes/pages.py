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


@routes.get("/", response_class=HTMLResponse)
def index() -> HTMLResponse:
    """The lab's page. It has no data; its scripts fetch them."""
    return shell("index.html")


@routes.get("/studies", response_class=HTMLResponse)
@routes.get("/studies/{study}", response_class=HTMLResponse)
def studies(study: str = "") -> HTMLResponse:
    """The page of studies; its scripts read from the address which one is asked for."""
    return shell("studies.html")


@routes.get("/gallery", response_class=HTMLResponse)
@routes.get("/gallery/{name}", response_class=HTMLResponse)
def gallery(name: str = "") -> HTMLResponse:
    """The page of the gallery; its scripts read from the address which entry is asked for."""
    return shell("gallery.html")


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
