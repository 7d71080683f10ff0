"""Renew the pictures of the page in docs/images/page/, and docs/images/lab.png.

`python -m docs.page_pictures` starts a lab in an empty home, lets a run of the greeting finish,
looks at it with the microscope, and takes the pictures in Chromium: about two minutes.
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.lab import ServedLab, serving
from tests.browser.chromium import ARGS, executable

IMAGES = Path(__file__).parent / "images"
DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 360, "height": 780}
LOOKS = (("", DESKTOP, "light"), ("-dark", DESKTOP, "dark"), ("-phone", PHONE, "light"))
READY_MS = 60_000
STEPS = 5_000
SETTLE_MS = 2500
"""For what is drawn after the first chart; a picture may wait, a test may not."""

FRESH: Mapping[str, tuple[str, str]] = {
    "home": ("/", ".dial-cell"),
    "new": ("/new", "form.run-form"),
}
USED: Mapping[str, tuple[str, str]] = {
    "run": ("/runs/1", ".scoreboard tbody tr"),
    "layers": ("/runs/1/layers", "#layers h2"),
    "microscope": ("/runs/1/microscope?look=2", "#draws h2"),
}
"""Pictures of a fresh lab, and of one with runs: the address, and what must be there before."""


def main() -> None:
    """Take all pictures on a desktop; those of Home and of a run also in dark, and on a phone."""
    (IMAGES / "page").mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=ARGS)
        for places in (USED, FRESH):
            with tempfile.TemporaryDirectory() as folder, serving(Path(folder), slots=2) as lab:
                if places is USED:
                    _prepare(lab)
                _take(browser, lab, places)
        browser.close()
    (IMAGES / "lab.png").write_bytes((IMAGES / "page" / "run.png").read_bytes())


def _take(browser: Browser, lab: ServedLab, places: Mapping[str, tuple[str, str]]) -> None:
    for name, (address, ready) in places.items():
        for look, viewport, scheme in LOOKS if name in ("home", "run") else LOOKS[:1]:
            with _page(browser, viewport, scheme) as page:
                page.goto(lab.start_url.replace("/#", f"{address}#"))
                page.locator(ready).first.wait_for(timeout=READY_MS, state="attached")
                page.wait_for_timeout(SETTLE_MS)
                page.screenshot(path=IMAGES / "page" / f"{name}{look}.png")


@contextmanager
def _page(browser: Browser, viewport: Any, scheme: Any) -> Iterator[Page]:
    context = browser.new_context(viewport=viewport, color_scheme=scheme, reduced_motion="reduce")
    yield context.new_page()
    context.close()


def _prepare(lab: ServedLab) -> None:
    """A finished run with number 1, and draws at its newest checkpoint with number 2."""
    headers = {"Authorization": f"Bearer {lab.token}"}
    with httpx.Client(base_url=f"{lab.url}/api", headers=headers, trust_env=False) as client:
        greeting = client.get("/catalogue", timeout=READY_MS / 1000).json()["greeting"]
        run = client.post("/runs", json={**greeting, "steps": STEPS}, timeout=60).json()["id"]
        _finished(client, run)
        look = client.post("/probes", json={"run": run}, timeout=60).json()["id"]
        _finished(client, look)


def _finished(client: httpx.Client, run: str) -> None:
    while client.get(f"/runs/{run}").json()["status"] in ("queued", "running"):
        pass


if __name__ == "__main__":
    main()
