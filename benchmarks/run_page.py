"""The page of a run: how it settles, what its controls cost, and what streaming costs"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Page, sync_playwright

from benchmarks.lab import ServedLab, serving
from benchmarks.table import Row
from tests.browser.chromium import ARGS, executable

RUNS = 10
STREAM_SECONDS = 60
WATCH = """
window.shifts = 0;
window.tasks = [];
window.answers = [];
const watch = (type, read, more) =>
  new PerformanceObserver((list) => list.getEntries().forEach(read))
    .observe({type, buffered: true, ...more});
watch("layout-shift", (e) => { if (!e.hadRecentInput) window.shifts += e.value; });
watch("longtask", (e) => window.tasks.push(e.duration));
watch("event", (e) => { if (e.interactionId) window.answers.push(e.duration); },
      {durationThreshold: 16});
"""
DRAWN = """(keys) => keys.every((key) =>
  document.querySelector(`[data-chart="${key}"]`)?.data?.length > 0)"""
OVERVIEW = ["cosine", "loss", "carpets", "accuracy", "bias-variance"]


def rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder), slots=2) as lab:
        headers = {"authorization": f"Bearer {lab.token}"}
        with (
            httpx.Client(base_url=f"{lab.url}/api", headers=headers, timeout=60) as api,
            sync_playwright() as playwright,
        ):
            runs = [_finished(api, seed) for seed in range(RUNS)]
            browser = playwright.chromium.launch(executable_path=executable(), args=ARGS)
            page = browser.new_page(viewport={"width": 1440, "height": 1400})
            page.add_init_script(WATCH)
            yield from _settling(page, lab)
            yield _controls(page, lab, runs)
            yield from _streaming(page, lab, api)
            browser.close()


def _finished(api: httpx.Client, seed: int) -> str:
    greeting = api.get("/catalogue").json()["greeting"]
    config = {**greeting, "steps": 600, "seed": seed, "probe": {"every": 50}}
    run = api.post("/runs", json=config).json()["id"]
    while api.get(f"/runs/{run}").json()["status"] in ("queued", "running"):
        pass
    return run


def _settling(page: Page, lab: ServedLab) -> Iterator[Row]:
    """The overview from its address to all charts, in a browser that has the files."""
    for address in ("/new#", "/runs/1#"):
        page.goto(lab.start_url.replace("/#", address))
        page.locator("#main h1").wait_for()
    page.wait_for_function(DRAWN, arg=OVERVIEW, timeout=60_000)
    first = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    yield Row("the run's page, warm, first paint", first, 1000, "ms")
    page.wait_for_timeout(1000)
    yield Row("layout shift until all charts are drawn", page.evaluate("shifts"), 0.02, "")
    tasks = sorted(page.evaluate("tasks"), reverse=True)
    note = f"plotly.js is evaluated in the longest one, {tasks[0]:.0f} ms" if tasks else ""
    yield Row("second longest task while it loads", tasks[1] if tasks[1:] else 0, 200, "ms",
              note=note)  # fmt: skip


def _controls(page: Page, lab: ServedLab, runs: list[str]) -> Row:
    """The longest time from a press or a choice to its frame, with ten runs shown."""
    page.goto(lab.start_url.replace("/#", f"/runs?runs={','.join(runs)}#"))
    page.wait_for_function(DRAWN, arg=["loss", "accuracy"], timeout=60_000)
    page.evaluate("answers.length = 0")
    page.locator(".run input[type=checkbox]").first.click()
    page.locator(".run input[type=checkbox]").first.click()
    page.locator(".legend button").first.click()
    page.keyboard.press("j")
    page.keyboard.press("x")
    page.keyboard.press("/")
    page.keyboard.type("seed")
    page.keyboard.press("Escape")
    page.wait_for_timeout(1000)
    answers = page.evaluate("answers")
    return Row(f"longest answer of a control, {RUNS} runs shown", max(answers, default=0), 200,
               "ms", note=f"of {len(answers)} that took a frame or more")  # fmt: skip


def _streaming(page: Page, lab: ServedLab, api: httpx.Client) -> Iterator[Row]:
    """The heap and the tasks while a run streams at full speed, in view."""
    greeting = api.get("/catalogue").json()["greeting"]
    made = api.post("/runs", json={**greeting, "steps": 10_000_000}).json()
    page.goto(lab.start_url.replace("/#", f"/runs/{made['number']}#"))
    page.wait_for_function(DRAWN, arg=["cosine", "loss"], timeout=60_000)
    page.wait_for_timeout(5000)
    page.evaluate("tasks.length = 0")
    session = page.context.new_cdp_session(page)
    heaps = []
    for _ in range(2):
        session.send("HeapProfiler.collectGarbage")
        heaps.append(_heap(session))
        if len(heaps) < 2:
            page.wait_for_timeout(1000 * STREAM_SECONDS)
    api.post(f"/runs/{made['id']}/cancel", json={})
    yield Row(f"heap after {STREAM_SECONDS} s of streaming, to that before", heaps[1] / heaps[0],
              1.2, note=f"{heaps[1] / 2**20:.0f} MiB")  # fmt: skip
    yield Row("longest task while streaming", max(page.evaluate("tasks"), default=0), 200, "ms")


def _heap(session: Any) -> float:
    metrics = session.send("Runtime.getHeapUsage")
    return float(metrics["usedSize"])
