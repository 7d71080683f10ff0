// @ts-check
/** The charts of a section: which of them are shown, of which runs, and what they ask. */
import {h} from "../lib/h.js";
import {computed, effect, onEnd, signal} from "../lib/signal.js";
import {on} from "../stream.js";
import {chart} from "./chart.js";
import {control} from "./picks.js";
import {concerns, holds, query} from "./query.js";

/** @typedef {import("../types.js").FigureCatalogue} FigureCatalogue */
/** @typedef {import("../types.js").FigureEntry} FigureEntry */
/** @typedef {import("../types.js").ChartEntry} ChartEntry */
/** @typedef {import("../types.js").SectionEntry} SectionEntry */
/** @typedef {import("./board.js").Board} Board */
/** @typedef {import("./board.js").Values} Values */
/** @typedef {import("./legend.js").Lines} Lines */
/** The least time between two questions whether a figure has points by now. */
const ASK_AGAIN_MS = 1000;

/** @typedef {{figure: FigureEntry, entry: ChartEntry, span: number}} Placed */

/** @param {FigureCatalogue} catalogue @param {SectionEntry} section @returns {Placed[]} */
export function chartsOf({figures}, {page, name}) {
  const placed = figures.flatMap((figure) =>
    figure.charts.flatMap((entry) =>
      entry.places
        .filter((place) => place.page === page && place.section === name)
        .map(({order, span}) => ({figure, entry, order, span})),
    ),
  );
  return placed.sort((a, b) => a.order - b.order);
}

/** All charts of a section. @param {Board} whole @param {Placed[]} charts @param {Lines} lines of its legend */
export const blocksOf = (whole, charts, lines) =>
  blocks(charts).map((block) => blockOf(whole, block, lines));

/** A chart of a grid, in as many columns as it asks. @param {Board} whole @param {Placed} placed @param {Lines} lines */
export function cell(whole, placed, lines) {
  const {only, with_points: withPoints} = placed.entry;
  const {runs} = whole.context;
  const isWanted = computed(() => !only || runs().some((run) => holds(only, run.config)));
  const points = withPoints ? pointsIn(whole, placed) : () => true;
  const make = () => {
    // In the grid each chart names its own lines.
    const entry = {...placed.entry, shares_legend: false};
    const made = chartOf(whole, {...placed, entry}, lines, undefined, true);
    made.dataset.span = String(placed.span);
    return made;
  };
  return () => isWanted() && points() && presence(whole, placed, make);
}

/** Charts that come and go together stand in rows of their own. @param {Placed[]} charts */
function blocks(charts) {
  const keyOf = (/** @type {Placed} */ {entry}) =>
    JSON.stringify([entry.only, entry.with_points && entry.key]);
  /** @type {Placed[][]} */
  const groups = [];
  for (const placed of charts) {
    const last = groups.at(-1);
    if (last && keyOf(last[0]) === keyOf(placed)) last.push(placed);
    else groups.push([placed]);
  }
  return groups;
}

/** @param {Board} whole @param {Placed[]} block @param {Lines} lines */
function blockOf(whole, block, lines) {
  const {context} = whole;
  const {only, with_points: withPoints} = block[0].entry;
  const charts = () =>
    h(
      "div",
      {class: "charts"},
      block.map((placed) => presence(whole, placed, () => estimatorsOf(whole, placed, lines))),
    );
  if (only) {
    const shown = computed(() => context.runs().some((run) => holds(only, run.config)));
    return () => shown() && charts();
  }
  if (!withPoints) return charts();
  const points = pointsIn(whole, block[0]);
  return () => points() && charts();
}

/** A chart that no run on the page needs is left out. @param {Board} whole @param {Placed} placed @param {() => any} make */
function presence({context, focusedId}, {entry}, make) {
  const {unless} = entry;
  if (unless) {
    const bare = computed(
      () => context.runs().length > 0 && context.runs().every((run) => holds(unless, run.config)),
    );
    return () => !bare() && make();
  }
  if (entry.runs !== "focused") return make();
  const focused = computed(() => focusedId() !== "");
  return () => focused() && make();
}

/** One chart, or one for each estimator. @param {Board} whole @param {Placed} placed @param {Lines} lines */
function estimatorsOf(whole, placed, lines) {
  if (!placed.entry.per_estimator) return chartOf(whole, placed, lines);
  return () =>
    whole
      .labels()
      .map((label, i) => chartOf(whole, placed, lines, {label, key: `${placed.entry.key}-${i}`}));
}

/**
 * @param {Board} whole
 * @param {Placed} placed
 * @param {Lines} lines of the section's legend
 * @param {{label: string, key: string}} [estimator]
 * @param {boolean} [inGrid] whether it has the height of its neighbours, and its controls in its menu
 */
function chartOf(whole, placed, lines, estimator, inGrid = false) {
  const {context, focusedId} = whole;
  const {figure, entry} = placed;
  const runs =
    entry.runs === "focused"
      ? () => context.runs().filter((run) => run.id === focusedId())
      : context.runs;
  /** @type {Values} */
  const values = new Map(whole.values);
  const controls = entry.picks.map((pick) =>
    control(pick, {...whole, context: {...context, runs}}, values),
  );
  if (estimator) values.set("estimator", () => estimator.label);
  // As text, so that a run's reports leave the question, and with it the chart, as it is.
  const question = computed(() => JSON.stringify(query(placed, runsAsked(whole, entry), values)));
  const ask = () => JSON.parse(question());
  return chart({
    fetch: context.fetch,
    dataUrl: context.dataUrl,
    runs,
    ask,
    key: estimator?.key ?? entry.key,
    figure: figure.name,
    title: estimator?.label ?? entry.title,
    help: [entry.help, entry.reading].filter(Boolean).join(" "),
    size: inGrid && entry.size !== "table" ? "small" : entry.size,
    tucked: inGrid,
    eager: context.eager,
    refines: figure.parameters.includes("left"),
    lines: entry.shares_legend ? lines : undefined,
    controls: controls.length > 0 ? controls : undefined,
    coloursRuns: entry.colours_runs,
    links: context.links,
    concerns: (metric, layer) => concerns(placed, ask(), metric, layer),
  });
}

/** The runs that a chart draws, as a figure is asked for them. @param {Board} whole @param {ChartEntry} entry */
function runsAsked({context, focusedId}, {runs}) {
  const ids = context.runs().map((run) => run.id);
  if (runs === "focused") return focusedId();
  if (runs === "shown") return ids.join(",");
  return [...new Set([focusedId(), ...ids].filter(Boolean))].join(",");
}

/**
 * Whether a figure has points: it is asked at once, and at new points until it has some.
 * @param {Board} whole
 * @param {Placed} placed
 */
function pointsIn(whole, placed) {
  const hasPoints = signal(false);
  const {fetch} = whole.context;
  const ids = computed(() => runsAsked(whole, placed.entry));
  effect(() => {
    const runs = ids();
    const gone = new AbortController();
    onEnd(() => gone.abort());
    hasPoints.set(false);
    if (!runs) return;
    let asking = false;
    let again = false;
    // New points may be of estimators that the figure leaves out, so it is asked, not they. A
    // failure is told by the charts beside it, which ask the same server.
    const ask = () => {
      again = asking;
      if (asking || gone.signal.aborted) return;
      asking = true;
      fetch(placed.figure.name, {runs}, gone.signal)
        .then(
          ({count}) => !gone.signal.aborted && count > 0 && hasPoints.set(true),
          () => undefined,
        )
        .finally(() => setTimeout(goOn, ASK_AGAIN_MS));
    };
    function goOn() {
      asking = false;
      if (again && !hasPoints()) ask();
    }
    ask();
    onEnd(
      on("points", ({run, series}) => {
        const concerned = series.some((/** @type {import("../types.js").Delta} */ delta) =>
          concerns(placed, {runs}, delta.metric, delta.layer),
        );
        if (concerned && !hasPoints() && runs.split(",").includes(run)) ask();
      }),
    );
  });
  return hasPoints;
}
