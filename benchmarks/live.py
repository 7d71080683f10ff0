"""From Run to the first point, from a training step to a pixel, and what drawing costs"""

import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import httpx
import numpy as np
from playwright.sync_api import Page, sync_playwright

from benchmarks.lab import ServedLab, serving
from benchmarks.table import Row
from tests.browser.chromium import ARGS, executable

LAUNCHES = 7
WATCH_SECONDS = 8
POLL = """(arg) => new Promise((seen, gaveUp) => {
  const end = performance.now() + 60000;
  const look = () => {
    const value = (%s)(arg);
    if (value) seen(value);
    else if (performance.now() > end) gaveUp(new Error("not seen in a minute"));
    else requestAnimationFrame(look);
  };
  look();
})"""

# Backprop that says when each step was made, slowed to a pace like a real network's.
CLOCK = '''
import time
from dataclasses import dataclass
import torch
from estimators import Backprop, Claim, Cost, Estimator, Objective

@dataclass(frozen=True)
class Clock(Estimator[Objective, None]):
    """Backprop that reports the time of day, at about 250 steps a second."""
    def claim(self, objective):
        return Claim.EXACT
    def cost(self, objective):
        return Cost(forwards=1, vjps=1)
    def estimate(self, objective, params, state, rng):
        time.sleep(0.004)
        now = torch.tensor(time.time(), dtype=torch.float64)
        return Backprop().estimate(objective, params, state, rng)._replace(info={"clock": now})
'''


def rows() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder, _browser() as page:
        home = Path(folder)
        (home / "plugins").mkdir()
        (home / "plugins" / "clock.py").write_text(CLOCK)
        with serving(home, slots=3) as lab:
            page.goto(lab.start_url.replace("/#", "/new#"))
            page.locator(RUN).wait_for()
            return [_launch(page, lab), *_latency(page, lab), *_drawing(page)]


@contextmanager
def _browser() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=ARGS)
        yield browser.new_page(viewport={"width": 1440, "height": 1000})
        browser.close()


def _launch(page: Page, lab: ServedLab) -> Row:
    """Milliseconds from the click to a point of the new run in the chart of the loss."""
    seconds = []
    with _api(lab) as api:
        for _ in range(LAUNCHES + 1):
            before = api.get("/runs").json()["total"]
            page.goto(f"{lab.url}/new")
            page.locator(RUN).wait_for()
            seconds.append(page.evaluate(LAUNCH, before + 1))
            for run in api.get("/runs").json()["runs"]:
                api.post(f"/runs/{run['id']}/cancel", json={})
    warm = seconds[1:]
    note = f"median of {LAUNCHES}, worst {max(warm):.0f} ms, the first one {seconds[0]:.0f} ms"
    return Row("Run pressed to first point on the screen, warm", statistics.median(warm), 1000,
               "ms", note=note)  # fmt: skip


RUN = "form.run-form button[type=submit]"
LAUNCH = (
    f"""async (number) => {{
  const start = performance.now();
  document.querySelector("{RUN}").click();
  await ("""
    + POLL
    % """(number) => location.pathname === `/runs/${number}`
      && (document.querySelector('[data-chart="loss"]')?.data ?? [])
        .some((trace) => trace.x?.length > 0)"""
    + """)(number);
  return performance.now() - start;
}"""
)


@contextmanager
def _api(lab: ServedLab) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {lab.token}"}
    with httpx.Client(base_url=f"{lab.url}/api", headers=headers, timeout=30) as client:
        yield client


def _latency(page: Page, lab: ServedLab) -> Iterator[Row]:
    with _api(lab) as api:
        for count, budget in ((1, 500), (3, 1000)):
            runs = [api.post("/runs", json=_config(i)).json()["id"] for i in range(count)]
            page.goto(f"{lab.url}/runs?runs={','.join(runs)}")
            seen = page.evaluate(SHOWN, [WATCH_SECONDS * 1000, count])
            pairs = zip(runs, seen, strict=True)
            late = np.concatenate([_late(api, run, shown) for run, shown in pairs])
            for run in runs:
                api.post(f"/runs/{run}/cancel", json={})
            note = f"median {np.median(late):.0f} ms over {len(late):,} steps"
            yield Row(f"step to pixel, p95, {count} run(s)", float(np.quantile(late, 0.95)), budget,
                      "ms", note=note)  # fmt: skip


def _config(seed: int) -> dict:
    return {
        "name": "clock",
        "dataset": {"name": "digits"},
        "network": {"name": "mlp", "width": 32, "depth": 1},
        "estimator": {"name": "clock"},
        "optimizer": {"name": "sgd", "lr": 0.01},
        "steps": 100_000,
        "seed": seed,
        "probe": {"budget": 0},
    }


# For each training line in the chart: [time of day in ms, last step shown] at every frame
# in which it had grown.
SHOWN = (
    """async ([ms, count]) => {
  const lines = () => (document.querySelector('[data-chart="loss"]')?.data ?? [])
    .filter((trace) => trace.name?.startsWith("train"));
  await ("""
    + POLL % "([count, lines]) => lines().length === count && lines().every((t) => t.x.length > 50)"
    + """)([count, lines]);
  const seen = lines().map(() => []);
  const end = performance.now() + ms;
  while (performance.now() < end) {
    await new Promise(requestAnimationFrame);
    lines().forEach((trace, i) => {
      const last = trace.x.at(-1);
      if (last !== seen[i].at(-1)?.[1]) seen[i].push([Date.now(), last]);
    });
  }
  return seen;
}"""
)


def _late(api: httpx.Client, run: str, shown: list[list[float]]) -> np.ndarray:
    """Milliseconds from each step to the frame that first showed it."""
    listed = api.get(f"/runs/{run}/series").json()
    (series,) = [s["id"] for s in listed if s["metric"] == "estimator/clock"]
    points = api.get(f"/runs/{run}/points", params={"series": series, "max": 10_000}).json()
    made = dict(zip(points["steps"], points["values"], strict=True))
    late = []
    for (_, before), (at, last) in pairwise(shown):
        steps = range(int(before) + 1, int(last) + 1)
        late += [at - 1000 * made[step] for step in steps if step in made]
    return np.array(late)


# 20 lines of 1,000 points, as the page draws them: SVG, by software.
DRAW = """async () => {
  const {loadPlotly} = await import("/static/plot.js");
  const Plotly = await loadPlotly();
  const box = document.createElement("div");
  box.style.cssText = "position: fixed; inset: 0; background: white";
  document.body.append(box);
  const line = (i) => ({type: "scatter", mode: "lines", y: wave(i, 0, 1000), x: range(0, 1000)});
  const range = (from, to) => Array.from({length: to - from}, (_, k) => from + k);
  const wave = (i, from, to) => range(from, to).map((k) => Math.sin(k / 40 + i) + Math.random());
  await Plotly.newPlot(box, range(0, 20).map(line), {width: 900, height: 500});
  const all = range(0, 20);
  const appends = [], pans = [];
  for (let k = 0; k < 12; k++) {
    const [from, to] = [1000 + 25 * k, 1025 + 25 * k];
    let start = performance.now();
    await Plotly.extendTraces(
      box, {x: all.map(() => range(from, to)), y: all.map((i) => wave(i, from, to))}, all, 1000);
    appends.push(performance.now() - start);
    start = performance.now();
    await Plotly.relayout(box, {"xaxis.range": [k * 10, 800 + k * 10]});
    pans.push(performance.now() - start);
    await Plotly.relayout(box, {"xaxis.autorange": true});
  }
  box.remove();
  return [appends, pans];
}"""


def _drawing(page: Page) -> list[Row]:
    appends, pans = page.evaluate(DRAW)
    return [
        Row("append to 20 lines × 1,000 points", statistics.median(appends), 100, "ms"),
        Row("a pan frame of them", statistics.median(pans), 100, "ms"),
    ]
