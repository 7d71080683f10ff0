// @ts-check
/** <gl-chart>: one figure of the lab: fetched when in view, growing while its runs do. */
import {define, h} from "../lib/h.js";
import {effect, onEnd, signal, untracked} from "../lib/signal.js";
import {Silence} from "../api.js";
import {
  applyTheme,
  discard,
  draw,
  entries,
  entryOf,
  grower,
  onDrawn,
  onZoom,
  resize,
  setHidden,
} from "../plot.js";
import {learnLines} from "../runs/colour.js";
import {learnShades} from "../shades.js";
import {on} from "../stream.js";
import {printing, shade} from "../theme.js";
import {joinCrosshair, leaveCrosshair} from "./crosshair.js";
import {areLines, placeNames, roomFor} from "./end-labels.js";
import {legend, newLines} from "./legend.js";
import {follow as followLinks} from "./links.js";
import {NOTHING, noteOf, textOf} from "./note.js";
import {whenIdle} from "./prefetch.js";
import {refresher} from "./refresher.js";
import {tableView} from "./table.js";
import {toolbar} from "./toolbar.js";
import {zoomMemory} from "./zoom.js";

/** @typedef {import("../types.js").FigureQuery} FigureQuery */
/** @typedef {import("../types.js").FigureAnswer} FigureAnswer */
/** @typedef {import("../types.js").Run} Run */
/** @typedef {import("../plot.js").Plot} Plot */

/**
 * @typedef {object} Options
 * @property {string} key stable name, for the address and for tests
 * @property {string} figure name of the figure in the lab
 * @property {string} title
 * @property {string} help
 * @property {() => FigureQuery} ask read again when its signals change
 * @property {(name: string, ask: FigureQuery, signal: AbortSignal) => Promise<FigureAnswer>} fetch
 * @property {() => Run[]} runs whose data the chart shows
 * @property {((run: Run, kind: "csv" | "parquet") => string) | null} dataUrl
 * @property {(metric: string, layer: string) => boolean} concerns whether a series belongs here
 * @property {import("./legend.js").Lines} [lines] shared with other charts, and their legend with it
 * @property {any[]} [controls] what can be chosen of this chart alone
 * @property {boolean} [tucked] whether these controls are in the chart's menu, to leave it its room
 * @property {"small" | "tall" | "wide" | "table"} size small: shares a row, of one height; tall:
 *   shares a row, with the figure's height; wide: a row for itself; table: a row for itself, in
 *   which a table stands in the plot's place
 * @property {boolean} [refines] whether the figure can be asked for the visible range alone
 * @property {boolean} [eager] whether it is drawn, when the page is idle, before it is in view
 * @property {import("./links.js").Links} [links] how its cells and points lead to runs
 * @property {boolean} [coloursRuns] whether its lines are the samples in the list of runs
 */

/**
 * @template T
 * @typedef {import("../lib/signal.js").Signal<T>} Signal
 */
/**
 * @typedef {object} State
 * @property {Signal<string>} takeaway what the figure's numbers say
 * @property {Signal<import("./note.js").Note>} note
 * @property {Signal<string>} problem
 * @property {Signal<boolean>} busy until something is drawn
 * @property {Signal<boolean>} table whether the table stands in the plot's place
 * @property {Signal<number>} drawn how many times
 * @property {import("./legend.js").Lines} lines
 * @property {Signal<number>} grown points drawn since the figure was read
 * @property {Signal<boolean>} named whether the lines have their names at their ends
 * @property {ReturnType<typeof zoomMemory>} zoom
 */

/** @type {WeakMap<Element, Options>} */
const given = new WeakMap();

/** @param {Options} options */
export function chart(options) {
  const element = document.createElement("gl-chart");
  given.set(element, options);
  element.classList.toggle("wide", options.size === "wide" || options.size === "table");
  element.classList.toggle("numbers", options.size === "table");
  return element;
}

define("gl-chart", (element) => {
  const options = given.get(element);
  if (options) setUp(element, options);
});

/** @param {Run} run */
const hasEnded = (run) => !["queued", "running", "paused"].includes(run.status);

/** @param {HTMLElement} element @param {Options} options */
function setUp(element, options) {
  const state = {
    takeaway: signal(""),
    note: signal(NOTHING),
    problem: signal(""),
    busy: signal(true),
    table: signal(options.size === "table"),
    drawn: signal(0),
    lines: options.lines ?? newLines(),
    grown: signal(0),
    named: signal(false),
    zoom: zoomMemory(),
  };
  const plot = h("div", {
    class: "plot",
    "data-chart": options.key,
    role: "group",
    "aria-label": () => state.takeaway() || options.title,
  });
  const whole = h(
    "button",
    {
      type: "button",
      class: "plain",
      title: "Or double-click the chart",
      hidden: () => !state.zoom.zoomed(),
      onclick: () => reset(),
    },
    "Show the whole range",
  );
  const frame = h(
    "figure",
    {
      class: options.size === "small" ? "chart chart-even" : "chart",
      id: `chart-${options.key}`,
      "aria-labelledby": `title-${options.key}`,
      ontoggletable: () => options.size !== "table" && state.table.update((on) => !on),
    },
    h(
      "figcaption",
      null,
      h("h3", {id: `title-${options.key}`}, options.title),
      toolbar(options, plot, state.table),
    ),
    h("p", {class: "takeaway"}, state.takeaway),
    options.controls && !options.tucked && h("div", {class: "picks chart-picks"}, options.controls),
    h(
      "div",
      {
        class: "plot-box",
        "aria-busy": () => String(state.busy()),
        hidden: () => state.table() || failedAtOnce(state),
      },
      plot,
      !options.lines && ownLegend(options, state),
    ),
    () => state.table() && tableView(options, plot, state.drawn),
    h("p", {class: "problem", role: "status", hidden: () => !state.problem()}, state.problem),
    h("p", {class: "chart-note"}, () => textOf(state.note(), state.grown()), " ", whole),
    h(
      "details",
      {class: "chart-details", hidden: () => state.note().details.length === 0},
      h("summary", null, "More notes"),
      () => state.note().details.map((text) => h("p", null, text)),
    ),
  );
  element.replaceChildren(frame);
  const reset = follow(element, plot, options, state);
}

/** Whether an error stands in the place of a plot that was never drawn. @param {State} state */
const failedAtOnce = (state) => state.problem() !== "" && state.drawn() === 0;

const FEW = 4;
const MANY = 12;

/** The chart's own legend; its height is reserved before there are lines. @param {Options} options @param {State} state */
const ownLegend = (options, state) =>
  h(
    "div",
    {
      class: () =>
        `${options.size === "small" ? "legend-place" : ""} ${state.named() ? "at-ends" : ""}`,
      "data-many": () => String(options.runs().length > 1),
    },
    legend(options.title, state.lines, () =>
      options.size === "wide" || state.named() ? MANY : FEW,
    ),
  );

/**
 * Read the figure, let it grow, and follow what happens to its runs and to the page.
 * @param {HTMLElement} element
 * @param {import("../plot.js").Plot} plot
 * @param {Options} options
 * @param {State} state
 * @returns {() => void} show the whole range
 */
function follow(element, plot, options, state) {
  const ask = () => untracked(options.ask);
  const reading = refresher(read);
  const {zoom} = state;
  const lines = grower(plot, reading.again, (x) => {
    const {left = -Infinity, right = Infinity} = options.refines ? zoom.ends(ask()) : {};
    const visible = x.filter((at) => Number(left) <= at && at <= Number(right));
    state.grown.update((now) => now + visible.length);
  });

  /** @param {AbortSignal} signal */
  async function read(signal) {
    const asked = ask();
    lines.hold();
    const visible = options.refines ? zoom.ends(asked) : {};
    const done = await options.fetch(options.figure, {...asked, ...visible}, signal).then(
      (answer) => signal.aborted || show(plot, answer, asked, options, state),
      (error) => signal.aborted || failed(error, state),
    );
    onZoom(plot, zoomed, reset);
    // After an aborted request another one follows, which releases the lines.
    if (!signal.aborted) lines.release();
    return done;
  }

  /** @param {Record<string, any>} event */
  function zoomed(event) {
    if (zoom.hear(event, plot.layout, ask()) && options.refines) reading.anew();
  }

  function reset() {
    zoom.reset(ask());
    reading.anew();
  }

  /** @param {{run: string, series: import("../types.js").Delta[]}} event */
  function points({run, series}) {
    if (!concerns(run)) return;
    const ours = series.filter((delta) => options.concerns(delta.metric, delta.layer));
    if (ours.length > 0 && !reading.isInView()) reading.again();
    else for (const delta of ours) lines.append(delta);
  }

  const concerns = (/** @type {string} */ run) => ask().runs.split(",").includes(run);
  /** @type {Map<string, number>} events of each run, which its charts mark */
  const events = new Map();
  /** Whether a run has ended, or something has happened to it. @param {Run} run */
  function hasNews(run) {
    const [before, now] = [events.get(run.id) ?? 0, run.events?.length ?? 0];
    events.set(run.id, now);
    return hasEnded(run) || now > before;
  }
  effect(() => {
    options.ask();
    untracked(reading.anew);
    // What is printed answers one question throughout, in charts out of view too.
    if (options.eager) whenIdle(reading.first);
  });
  effect(() => {
    shade();
    printing();
    untracked(() => applyTheme(plot));
  });
  effect(() => {
    const off = state.lines.hidden();
    untracked(() => setHidden(plot, off));
  });
  onEnd(on("points", points));
  onEnd(on("run", (run) => concerns(run.id) && hasNews(run) && reading.again()));
  onEnd(on("truncate", ({run}) => concerns(run) && reading.anew()));
  onEnd(on("reset", reading.anew));
  onEnd(on("refresh", reading.again));
  watch(element, plot, reading.seen);
  onEnd(reading.stop);
  onEnd(() => {
    leaveCrosshair(plot);
    discard(plot);
  });
  return reset;
}

/**
 * @param {HTMLElement} plot
 * @param {FigureAnswer} answer
 * @param {FigureQuery} asked
 * @param {Options} options
 * @param {State} state
 */
async function show(plot, answer, asked, options, state) {
  const {figure} = answer;
  state.problem.set(""); // first: a plot in a hidden box has no width
  if (options.size !== "small") plot.style.height = `${figure.layout.height}px`;
  learnShades(answer.shades);
  const room = options.lines || !areLines(figure.data.filter(isNamed)) ? 0 : roomOf(plot, figure);
  const layout = {...state.zoom.applied(figure.layout, asked), room};
  state.named.set(room > 0);
  await draw(plot, {...figure, layout}, state.lines.hidden.peek());
  if (options.links) followLinks(plot, options.links);
  if (options.coloursRuns) learnLines(figure.data);
  // A link of before the takeaways holds figures without one.
  state.takeaway.set(answer.takeaway ?? "");
  state.note.set(noteOf(answer));
  state.grown.set(0);
  state.lines.listed.set(JSON.stringify(entries(/** @type {Plot} */ (plot))));
  followEnds(plot, state);
  state.busy.set(false);
  state.drawn.update((n) => n + 1);
  return answer.count > 0 || "empty";
}

/** Marks of what happened are no lines. @param {any} trace */
const isNamed = (trace) => trace.name && trace.showlegend !== false && !trace.meta?.role;

/** @param {HTMLElement} plot @param {FigureAnswer["figure"]} figure */
const roomOf = (plot, figure) => roomFor(entries(figure), plot.clientWidth);

/** Names go with the ends of their lines, and the crosshair with the plot. @param {import("../plot.js").Plot} plot @param {State} state */
function followEnds(plot, state) {
  const box = /** @type {HTMLElement} */ (plot.parentElement);
  joinCrosshair(plot, box);
  onDrawn(plot, () => {
    const legend = /** @type {HTMLElement | null} */ (box.querySelector(".at-ends"));
    if (legend && state.named.peek()) placeNames(plot, legend, entryOf);
  });
}

/**
 * A refusal is shown until the next answer; a server that does not answer is tried again, and the
 * banner says so.
 * @param {unknown} error
 * @param {State} state
 */
function failed(error, state) {
  if (error instanceof Silence) return false;
  state.problem.set(error instanceof Error ? error.message : String(error));
  state.busy.set(false);
  return true;
}

/**
 * @param {HTMLElement} element
 * @param {HTMLElement} plot
 * @param {(inView: boolean) => void} seen
 */
function watch(element, plot, seen) {
  const viewed = new IntersectionObserver(
    (entries) => seen(entries[entries.length - 1].isIntersecting),
    {rootMargin: "160px"},
  );
  viewed.observe(element);
  const sized = new ResizeObserver(() => resize(plot));
  sized.observe(plot);
  onEnd(() => {
    viewed.disconnect();
    sized.disconnect();
  });
}
