"""The Home page: its first paint, its moving dials, its layout, and how soon a driver takes over"""

import statistics
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.lab import ServedLab, serving
from benchmarks.table import Row
from tests.browser.chromium import ARGS, executable

VISITS = 5
WATCH = """
window.shifted = 0;
new PerformanceObserver((list) => {
  for (const each of list.getEntries()) if (!each.hadRecentInput) window.shifted += each.value;
}).observe({type: "layout-shift", buffered: true});
const needle = () => document.querySelector("[data-estimator=fdfa] .needle")?.style.transform;
const look = () => {
  if (!window.painted && needle()) {
    window.painted = performance.now();
    window.first = needle();
  }
  if (window.painted && needle() !== window.first) window.moved ??= performance.now();
  if (!window.moved) requestAnimationFrame(look);
};
requestAnimationFrame(look);
"""
"""Milliseconds from the navigation to the first dials and to their first move; layout shifts."""
PLOTLY = """() => performance.getEntriesByType("resource")
  .some((each) => each.name.includes("plotly") && each.startTime < window.painted)"""
TAKEN_OVER = """() => new Promise((seen) => {
  const before = document.querySelectorAll(".race-loss .line").length;
  const start = performance.now();
  document.querySelector("[data-estimator=fdfa] button").click();
  const look = () => document.querySelectorAll(".race-loss .line").length > before
    ? seen(performance.now() - start) : requestAnimationFrame(look);
  look();
})"""
WAIT = 60_000


def rows() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=ARGS)
        with serving(Path(folder), race=True) as lab:
            found = [*_cold(browser, lab), *_warm(browser, lab)]
        browser.close()
    return found


def _cold(browser: Browser, lab: ServedLab) -> list[Row]:
    """The first visit of a lab that has just started, on an empty home, and its race."""
    page = _visit(browser, lab)
    painted, moved = page.evaluate("[window.painted, window.moved]")
    page.locator(".race-state", has_text="Live").wait_for(timeout=WAIT)
    page.locator(".race-loss .line").wait_for(state="attached", timeout=WAIT)
    taken = page.evaluate(TAKEN_OVER)
    page.locator(".race-state", has_text="Finished").wait_for(timeout=WAIT)
    shifted = page.evaluate("window.shifted")
    page.context.close()
    return [
        Row("first dials, cold lab and browser", painted, 1000, "ms"),
        Row("moving dials, cold lab and browser", moved, 3000, "ms"),
        Row("Let it drive to another colour of the loss", taken, 1000, "ms"),
        Row("layout shift until the race has ended", shifted, 0.02, ""),
    ]


def _warm(browser: Browser, lab: ServedLab) -> list[Row]:
    """Later visits, each with a browser that has nothing of the lab."""
    times, before = [], 0
    for _ in range(VISITS):
        page = _visit(browser, lab)
        times.append(page.evaluate("window.painted"))
        before += page.evaluate(PLOTLY)
        page.context.close()
    note = f"median of {VISITS}, worst {max(times):.0f} ms"
    return [
        Row("first dials, warm lab", statistics.median(times), 1000, "ms", note=note),
        Row("visits in which plotly.js was asked for before the dials", before, 0, ""),
    ]


def _visit(browser: Browser, lab: ServedLab) -> Page:
    """Home in a new context, once its dials have moved."""
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.add_init_script(WATCH)
    page.goto(lab.start_url)
    page.wait_for_function("() => window.moved", timeout=WAIT)
    return page
