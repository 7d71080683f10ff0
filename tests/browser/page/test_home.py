"""The Home page: alive without a click, first by its recording, then by this machine's own run."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from axe import LOOKS, violations, wear
from person import SECONDS, enter, sees
from playwright.sync_api import Page, Route, expect
from served import ServedLab

from backend.figures.words.numbers import percent

WAIT = SECONDS * 1000
HOSTILE = "<img src=x onerror=alert(1)> " + "long " * 30
TURNED = """(before) => {
  const now = document.querySelector("[data-estimator=fdfa] .needle").style.transform;
  return now !== before && now;
}"""
LINES = """() => [...document.querySelectorAll(".race-loss .line")]
  .map((line) => getComputedStyle(line).stroke)"""

FORMATTED = """async (cosines) => {
  const {alignment} = await import("/static/lib/format.js");
  return cosines.map(alignment);
}"""


@pytest.fixture
def racing(tmp_path: Path) -> Iterator[ServedLab]:
    """A lab with an empty home, whose Home page starts the race."""
    served = ServedLab(tmp_path, slots=1, race=True)
    served.start()
    yield served
    served.stop()


@pytest.mark.timeout(180)
def test_the_race_from_a_cold_start_to_a_user_who_comes_back(racing: ServedLab, page: Page) -> None:
    # Its start is held back, so that the recording is seen on a fast machine too.
    held: list[Route] = []
    page.route("**/api/race", lambda r: held.append(r) if _posts(r) else r.continue_())
    enter(page, racing.start_url, "/")
    state = page.locator(".race-state")
    expect(state).to_have_text("Recording")
    sees(page, TURNED, sees(page, TURNED, "", seconds=5), seconds=5)
    fdfa = page.locator("[data-estimator=fdfa]")
    label = re.compile(r"^FDFA, [\d.]+ percent along$")
    expect(fdfa.get_by_role("img")).to_have_attribute("aria-label", label)
    titles = page.locator(".paper-card h3")
    expect(titles).to_have_count(5)
    for title in titles.all():
        box = title.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= 900, "above the fold"
    assert violations(page) == []

    for each in held:
        each.continue_()
    expect(state).to_have_text("Live", timeout=WAIT)
    assert sees(page, "() => document.querySelectorAll('.race-loss .line').length") == 1
    page.get_by_role("button", name="Let FDFA drive").click()
    expect(fdfa).to_contain_text("Drives now", timeout=WAIT)
    first, second = sees(
        page, f"() => {{ const all = ({LINES})(); return all.length === 2 && all }}"
    )
    assert first != second
    page.get_by_role("button", name="Pause").click()
    expect(state).to_have_text("Paused", timeout=WAIT)
    with racing.client() as client:
        (run,) = client.get("/runs").json()["runs"]
        assert run["facts"]["drives"][-1][1] == "fdfa"
        page.get_by_role("button", name="Step").click()
        sees(page, "(step) => Number(/step ([\\d,]+)/.exec(document.querySelector("
             "'.race-steps').textContent)[1].replace(',', '')) > step", run["step"])  # fmt: skip
        client.post(f"/runs/{run['id']}/cancel")
        expect(state).to_have_text("Stopped", timeout=WAIT)
        page.get_by_role("button", name="Again").click()
        expect(state).to_have_text("Replay")
        client.post("/runs", json=_other())

    page.reload()
    mine = page.get_by_role("region", name="Your runs")
    expect(mine.get_by_role("link", name="<img src=x")).to_be_visible(timeout=WAIT)
    expect(page.locator(".race-figure")).to_have_count(0)
    for look in LOOKS:
        width = wear(page, look)
        assert violations(page) == [], look
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    mine.get_by_role("link", name="<img src=x").click()
    sees(page, "() => location.pathname === '/runs/2'")


def test_a_recording_that_does_not_fit_is_not_shown(page: Page, lab: ServedLab) -> None:
    def unfit(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=json.dumps({**answer.json(), "recording": None}))

    page.route("**/api/race", lambda r: r.continue_() if _posts(r) else unfit(r))
    enter(page, lab.start_url, "/")
    expect(page.locator(".race-state")).to_have_text("Waiting")
    expect(page.locator(".race-head")).to_contain_text("No recording fits this version of the lab.")
    expect(page.locator("[data-estimator=fdfa] .dial-number")).to_have_text("– %")
    cosines = [-0.0342, 0, 0.000123, 0.00464, 0.0996, 0.5149, 0.98, 0.9912, 0.9996, 1]
    shown = page.evaluate(FORMATTED, cosines)
    assert [f"{text} %" for text in shown] == [percent(cosine) for cosine in cosines]


def _posts(route: Route) -> bool:
    assert urlsplit(route.request.url).path == "/api/race"
    return route.request.method == "POST"


def _other() -> dict:
    return {
        "name": HOSTILE,
        "dataset": {"name": "two_moons"},
        "network": {"name": "mlp", "width": 8, "depth": 1},
        "estimator": {"name": "backprop"},
        "steps": 20,
        "probe": {"budget": 0},
    }
