"""Lines that grow: past the largest int16 step, to twice their budget, and never twice."""

from person import enter, sees
from playwright.sync_api import Page
from served import ServedLab

SET_UP = """async (from) => {
  const {draw, grower} = await import("/static/plot.js");
  const plot = document.createElement("div");
  plot.style.cssText = "width: 600px; height: 300px";
  document.querySelector("main").prepend(plot);
  const steps = Array.from({length: 20}, (_, i) => from + i);
  const trace = {type: "scatter", x: steps, y: steps.map(() => 1), name: "train", line: {},
                 meta: {series: 7, run: "r", x: "step", positive: false}};
  await draw(plot, {data: [trace], layout: {xaxis: {}, yaxis: {}}});
  window.plot = plot;
  window.refetches = 0;
  window.lines = grower(plot, () => (window.refetches += 1));
}"""
APPEND = """([from, n]) => window.lines.append({
  id: 7, steps: Array.from({length: n}, (_, i) => from + i),
  values: Array.from({length: n}, (_, i) => i),
})"""


def test_appends_cross_step_32768(page: Page, lab: ServedLab) -> None:
    enter(page, lab.start_url)
    page.evaluate(SET_UP, 32_740)
    for first in range(32_755, 32_855, 10):
        # Five of the first ten are in the figure already: they must not come twice.
        page.evaluate(APPEND, [first, 10])
    sees(page, "() => window.plot.data[0].x.at(-1) === 32854")
    x = page.evaluate("() => window.plot.data[0].x")
    assert x == list(range(32_740, 32_855))
    drawn = page.evaluate("() => window.plot._fullData[0]._length")
    assert drawn == len(x)


def test_a_trace_at_twice_its_budget_is_fetched_anew(page: Page, lab: ServedLab) -> None:
    enter(page, lab.start_url)
    page.evaluate(SET_UP, 0)
    page.evaluate(APPEND, [20, 1979])
    sees(page, "() => window.plot.data[0].x.length === 1999")
    assert page.evaluate("() => window.refetches") == 0
    page.evaluate(APPEND, [1999, 1])
    sees(page, "() => window.refetches === 1")


def test_what_no_line_can_show_is_fetched_anew(page: Page, lab: ServedLab) -> None:
    enter(page, lab.start_url)
    page.evaluate(SET_UP, 0)
    page.evaluate("() => window.lines.append({id: 7, steps: [20], values: ['NaN']})")
    sees(page, "() => window.refetches === 1")
    page.evaluate("() => window.lines.append({id: 8, steps: [20], values: [1]})")
    sees(page, "() => window.refetches === 2")
    page.evaluate("() => { window.plot.data[0].meta.span = [0, 2]; }")
    page.evaluate("() => window.lines.append({id: 7, steps: [20], values: [2.5]})")
    sees(page, "() => window.refetches === 3")
    assert page.evaluate("() => window.plot.data[0].x.length") == 20


def test_points_wait_while_a_figure_is_fetched(page: Page, lab: ServedLab) -> None:
    enter(page, lab.start_url)
    page.evaluate(SET_UP, 0)
    page.evaluate("() => window.lines.hold()")
    page.evaluate(APPEND, [20, 5])
    page.evaluate("() => window.lines.release()")
    sees(page, "() => window.plot.data[0].x.length === 25")


SLOW_AND_OUT_OF_VIEW = """async () => {
  const {chart} = await import("/static/charts/chart.js");
  const {signal} = await import("/static/lib/signal.js");
  window.reads = [];
  window.ask = signal({runs: "r1", layer: ""});
  const spacer = document.createElement("div");
  spacer.style.height = "9000px";
  const element = chart({
    key: "slow", title: "Slow", help: "", runs: () => [], dataUrl: null, size: "wide", eager: true,
    figure: "curve", concerns: () => true, ask: window.ask,
    fetch: (name, ask, signal) => new Promise((answer) => {
      window.reads.push({layer: ask.layer, signal, answer: () => answer({
        figure: {data: [{type: "scatter", x: [0, 1], y: [0, 1], name: ask.layer}], layout: {}},
        note: [], details: [], points: 2, drawn: 2,
      })});
    }),
  });
  document.querySelector("main").append(spacer, element);
  scrollTo(0, 0);
}"""


POLLED = """async () => {
  const {polled} = await import("/static/lib/polled.js");
  const {on} = await import("/static/stream.js");
  const answers = [{n: 1}, {n: 1}, {n: 2}];
  let [asked, told] = [0, 0];
  on("refresh", () => (told += 1));
  const {value, read} = polled(async () => answers[Math.min(asked++, 2)], () => false);
  while (asked < answers.length) await read();
  return [told, value().n];
}"""


def test_charts_hear_of_each_new_answer_once(page: Page, lab: ServedLab) -> None:
    enter(page, lab.start_url)
    assert page.evaluate(POLLED) == [2, 2]


def test_a_live_page_leaves_a_slow_figure_its_time_and_draws_what_is_out_of_view(
    page: Page, lab: ServedLab
) -> None:
    enter(page, lab.start_url)
    page.evaluate(SLOW_AND_OUT_OF_VIEW)
    sees(page, "() => window.reads.length === 1")
    page.evaluate("""async () => (await import("/static/stream.js")).announce("refresh", {})""")
    assert not page.evaluate("() => window.reads[0].signal.aborted")
    page.evaluate("() => window.reads[0].answer()")
    sees(page, "() => document.querySelector('[data-chart=slow]').data?.length")

    page.evaluate("() => window.ask.set({runs: 'r1', layer: 'head'})")
    sees(page, "() => window.reads.at(-1).layer === 'head'")
    page.evaluate("() => window.reads.at(-1).answer()")
    sees(page, "() => document.querySelector('[data-chart=slow]').data?.[0].name === 'head'")
    assert page.evaluate("() => window.reads.length") == 2
