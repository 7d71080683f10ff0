"""A chart on the lab's page whose figures come from a source in the test's memory."""

import json
from typing import Any

from person import sees
from playwright.sync_api import Page

from backend.figures import Memory, draw

PLACE = """async ([options, asked]) => {
  const {chart} = await import("/static/charts/chart.js");
  const {signal} = await import("/static/lib/signal.js");
  window.ask = signal(asked);
  window.asked = [];
  document.querySelector("main").prepend(chart({
    key: "tried", title: "Tried", help: "", runs: () => [], dataUrl: null, size: "wide",
    concerns: () => true, ask: window.ask,
    fetch: async (name, ask) => {
      window.asked.push(ask);
      return JSON.parse(await window.drawn(name, ask));
    },
    ...options,
  }));
  scrollTo(0, 0);
}"""
PLOT = "document.querySelector('[data-chart=tried]')"


def place(page: Page, source: Memory, figure: str, **asked: str) -> None:
    """Put a chart of a figure at the top of the page, and wait until it is drawn."""
    page.expose_function("drawn", lambda name, ask: json.dumps(draw(name, source, ask)))
    options = {"figure": figure, "refines": True}
    page.evaluate(PLACE, [options, {"runs": "r1", **asked}])
    sees(page, f"() => {PLOT}?._fullData?.length > 0")


def redrawn(page: Page, action: str, arg: Any = None) -> None:
    """Do something in the page, and wait until the chart is drawn anew."""
    page.evaluate(f"() => {PLOT}.once('plotly_afterplot', () => (window.again = true))")
    page.evaluate("() => { window.again = false; }")
    page.evaluate(action, arg)
    sees(page, "() => window.again")


def ask(page: Page, **asked: str) -> None:
    """Ask the chart for something else."""
    redrawn(page, "(asked) => window.ask.set(asked)", {"runs": "r1", **asked})


def axis(page: Page, name: str = "xaxis") -> list[float]:
    """The range of an axis as it is drawn."""
    return page.evaluate(f"(name) => [...{PLOT}._fullLayout[name].range]", name)
