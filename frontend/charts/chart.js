// @ts-check
/** <gl-chart>: one figure of the lab: fetched when in view, growing while its runs do. */
import {define, h} from "../lib/h.js";
import {effect, onEnd, signal, untracked} from "../lib/signal.js";
import {Silence} from "../api.js";
import {discard, draw, entries, grower, redress, resize, setHidden} from "../plot.js";
import {learnLines} from "../runs/colour.js";
import {on} from "../stream.js";
import {shade} from "../theme.js";
import {legend, newLines} from "./legend.js";
import {recounted} from "./tally.js";
import {refresher} from "./refresher.js";
import {legible, tableView} from "./table.js";
import {toolbar} from "./toolbar.js";

/** @typedef {import("../types.js").FigureQuery} FigureQuery */
/** @typedef {import("../types.js").FigureAnswer} FigureAnswer */
/** @typedef {import("../types.js").Run} Run */

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
 * @property {() => any} [controls] what can be chosen of this chart alone
 * @property {boolean} [numbers] is a table, which stands in the plot's place from the start
 * @property {boolean} [wide] has a row for itself
 * @property {boolean} [tall] takes the height that the figure asks for
 */

/**
 * @template T
 * @typedef {import("../lib/signal.js").Signal<T>} Signal
 */
/**
 * @typedef {object} State
 * @property {Signal<string>} note
 * @property {Signal<string>} problem
 * @property {Signal<boolean>} busy until something is drawn
 * @property {Signal<boolean>} table whether the table stands in the plot's place
 * @property {Signal<number>} drawn how many times
 * @property {import("./legend.js").Lines} lines
 * @property {Signal<import("./tally.js").Tally>} tally
 */

/** @type {WeakMap<Element, Options>} */
const given = new WeakMap();

/** @param {Options} options */
export function chart(options) {
  const element = document.createElement("gl-chart");
  given.set(element, options);
  element.classList.toggle("wide", Boolean(options.wide));
  element.classList.toggle("numbers", Boolean(options.numbers));
  return element;
}

define("gl-chart", (element) => {
  const options = given.get(element);
  if (options) setUp(element, options);
});

/** @param {Run} run */
const hasEnded = (run) => !["queued", "running", "paused"].includes(run.status);

/** The lines that a figure has below its title. @param {any} layout @returns {string[]} */
const below = (layout) => (layout.title?.subtitle?.text ?? "").split("<br>").map(legible);

/** @param {HTMLElement} element @param {Options} options */
function setUp(element, options) {
  const plot = h("div", {class: "plot", "data-chart": options.key});
  const state = {
    note: signal(""),
    problem: signal(""),
    busy: signal(true),
    table: signal(Boolean(options.numbers)),
    drawn: signal(0),
    lines: options.lines ?? newLines(),
    tally: signal({shown: 0, count: 0, grown: 0}),
  };
  const frame = h(
    "figure",
    {
      class: options.tall ? "chart" : "chart chart-even",
      id: `chart-${options.key}`,
      "aria-labelledby": `title-${options.key}`,
    },
    h(
      "figcaption",
      null,
      h("h3", {id: `title-${options.key}`}, options.title),
      toolbar(options, plot, state.table),
    ),
    options.controls && h("div", {class: "picks chart-picks"}, options.controls()),
    h(
      "div",
      {class: "plot-box", "aria-busy": () => String(state.busy()), hidden: state.table},
      plot,
      !options.lines && ownLegend(options, state),
    ),
    () => state.table() && tableView(options.title, plot, state.drawn),
    h("p", {class: "problem", role: "status", hidden: () => !state.problem()}, state.problem),
    h("p", {class: "chart-note"}, () => recounted(state.note(), state.tally())),
  );
  element.replaceChildren(frame);
  follow(element, plot, options, state);
}

const FEW = 4;
const MANY = 12;

/** Its room is kept before there is a line. @param {Options} options @param {State} state */
const ownLegend = (options, state) =>
  h(
    "div",
    {
      class: options.tall ? "" : "legend-place",
      "data-many": () => String(options.runs().length > 1),
    },
    legend(options.title, state.lines, options.wide ? MANY : FEW),
  );

/**
 * Read the figure, let it grow, and follow what happens to its runs and to the page.
 * @param {HTMLElement} element
 * @param {HTMLElement} plot
 * @param {Options} options
 * @param {State} state
 */
function follow(element, plot, options, state) {
  const ask = () => untracked(options.ask);
  const reading = refresher(read);
  const lines = grower(plot, reading.again, (points) =>
    state.tally.update((now) => ({...now, grown: now.grown + points})),
  );

  /** @param {AbortSignal} signal */
  async function read(signal) {
    const asked = ask();
    lines.hold();
    const done = await options.fetch(options.figure, asked, signal).then(
      (answer) => signal.aborted || show(plot, answer, JSON.stringify(asked), options, state),
      (error) => signal.aborted || failed(error, state),
    );
    // An aborted reading has a successor, which releases.
    if (!signal.aborted) lines.release();
    return done;
  }

  /** @param {{run: string, series: import("../types.js").Delta[]}} event */
  function points({run, series}) {
    if (!concerns(run)) return;
    const ours = series.filter((one) => options.concerns(one.metric, one.layer));
    if (ours.length > 0 && !reading.isInView()) reading.again();
    else for (const one of ours) lines.append(one);
  }

  const concerns = (/** @type {string} */ run) => ask().runs.split(",").includes(run);
  effect(() => {
    options.ask();
    untracked(reading.anew);
  });
  effect(() => {
    shade();
    untracked(() => redress(plot));
  });
  effect(() => {
    const off = state.lines.hidden();
    untracked(() => setHidden(plot, off));
  });
  onEnd(on("points", points));
  onEnd(on("run", (run) => hasEnded(run) && concerns(run.id) && reading.again()));
  onEnd(on("truncate", ({run}) => concerns(run) && reading.anew()));
  onEnd(on("reset", reading.anew));
  watch(element, plot, reading.seen);
  onEnd(reading.stop);
  onEnd(() => discard(plot));
}

/**
 * @param {HTMLElement} plot
 * @param {FigureAnswer} answer
 * @param {string} revision
 * @param {Options} options
 * @param {State} state
 */
async function show(plot, {figure, note, shown, count}, revision, options, state) {
  if (options.tall) plot.style.height = `${figure.layout.height}px`;
  await draw(plot, figure, revision, state.lines.hidden.peek());
  if (options.key === "loss") learnLines(figure.data);
  state.problem.set("");
  state.note.set([...below(figure.layout), note].filter(Boolean).join(" · "));
  state.tally.set({shown, count, grown: 0});
  state.lines.listed.set(JSON.stringify(entries(plot)));
  state.busy.set(false);
  state.drawn.update((n) => n + 1);
  return count > 0 || "empty";
}

/**
 * A refusal stands until there is news; a silent server, of which the banner tells, is tried again.
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
