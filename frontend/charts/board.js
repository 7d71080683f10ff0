// @ts-check
/**
 * The charts of the shown runs: a section for each heading of the page, in the order of the
 * catalogue of figures. The catalogue says which charts there are, where they stand and what they
 * ask; a new figure needs nothing here. The lab and a shared page both draw boards.
 */
import {icon} from "../icons.js";
import {h} from "../lib/h.js";
import {computed, effect, onEnd, signal, untracked} from "../lib/signal.js";
import {on} from "../stream.js";
import {called} from "../runs/swept-words.js";
import {chart} from "./chart.js";
import {layerTable} from "./layer-table.js";
import {legend, newLines} from "./legend.js";
import {control} from "./picks.js";
import {concerns, holds, query} from "./query.js";
import {why} from "./why.js";

/** @typedef {import("../types.js").Run} Run */
/** @typedef {import("../types.js").FigureCatalogue} FigureCatalogue */
/** @typedef {import("../types.js").FigureEntry} FigureEntry */
/** @typedef {import("../types.js").ChartEntry} ChartEntry */
/** @typedef {import("../types.js").SectionEntry} SectionEntry */
/** @typedef {import("./chart.js").Options} Options */
/** @typedef {Map<string, () => string>} Values of parameters, by name */

/**
 * @typedef {object} Context where a board finds its runs and figures
 * @property {() => Run[]} runs
 * @property {() => Run | undefined} focused
 * @property {() => FigureCatalogue | null} figures null until it is read
 * @property {Options["fetch"]} fetch
 * @property {Options["dataUrl"]} dataUrl
 * @property {(run: string, estimator: string, stage?: string) => Promise<import("../types.js").Diagnosis>} [diagnose]
 * @property {(run: Run) => any} [forkFrom] asks what a fork from a microscope's checkpoint begins with
 */

/**
 * @typedef {object} Board a context with what all of its charts share
 * @property {Context} context
 * @property {FigureCatalogue} catalogue
 * @property {Values} values of the parameters that the sections' controls offer
 * @property {() => string} focusedId
 * @property {() => string[]} labels the focused run's estimators
 */

/** Lines of a section's legend before the rest is folded away. */
const MANY = 12;

/** @param {Run | undefined} run */
const isMicroscope = (run) => run?.kind === "microscope";

/** A microscope's board while one is in focus, else that of the training runs. @param {Context} context */
export function boards(context) {
  const microscope = computed(() => {
    const run = context.focused();
    return run && isMicroscope(run) ? run.id : "";
  });
  const trained = () => context.runs().filter((run) => !isMicroscope(run));
  const focused = () => {
    const run = context.focused();
    return isMicroscope(run) ? trained()[0] : run;
  };
  return () => {
    const [catalogue, id] = [context.figures(), microscope()];
    if (!catalogue) return null;
    if (!id) return board({...context, runs: trained, focused}, catalogue, "run");
    const runs = () => context.runs().filter((run) => run.id === id);
    // A microscope's kind never changes: its reports must not make its charts anew.
    const [run] = untracked(runs);
    return (
      run && board({...context, runs, focused: () => runs()[0]}, catalogue, pageOf(run), context)
    );
  };
}

/** @param {Run} run a microscope's */
function pageOf(run) {
  const {sweep, anatomy, what_if: whatIf} = run.config.microscope;
  return sweep ? "sweep" : anatomy ? "anatomy" : whatIf ? "one_step" : "draws";
}

/**
 * @param {Context} context
 * @param {FigureCatalogue} catalogue
 * @param {string} page
 * @param {Context} all of all shown runs, among which the reader chooses one
 */
function board(context, catalogue, page, all = context) {
  const sections = catalogue.sections.filter((section) => section.page === page);
  // As text, so that a report of the run that says the same again redraws nothing.
  const labels = computed(() => {
    const {driver, shadows} = context.focused()?.labels ?? {driver: "", shadows: []};
    return JSON.stringify([driver, ...shadows]);
  });
  /** @type {Board} */
  const whole = {
    context,
    catalogue,
    values: new Map(),
    focusedId: computed(() => context.focused()?.id ?? ""),
    labels: () => JSON.parse(labels()),
  };
  const controls = sections.map(({picks}) =>
    picks.map((pick) => control(pick, whole, whole.values, all)),
  );
  return h(
    "div",
    {class: "board"},
    sections.map((section, i) => sectionOf(whole, section, controls[i])),
  );
}

/** A section, unless no chart stands in it. @param {Board} whole @param {SectionEntry} section @param {any[]} controls */
function sectionOf(whole, section, controls) {
  const charts = chartsOf(whole.catalogue, section);
  if (charts.length === 0) return null;
  const lines = newLines();
  const id = section.name;
  return h(
    "section",
    {id, "aria-labelledby": `${id}-title`},
    h(
      "div",
      {class: "section-head"},
      h("h2", {id: `${id}-title`}, titleOf(whole, section)),
      h("div", {class: "picks"}, controls, actionOf(whole, section)),
    ),
    section.legend && h("div", {class: "legend-place"}, legend(section.title, lines, MANY)),
    blocks(charts).map((block) => blockOf(whole, block, lines)),
    () => furtherOf(whole, section),
  );
}

/** @typedef {{figure: FigureEntry, entry: ChartEntry}} Placed */

/** @param {FigureCatalogue} catalogue @param {SectionEntry} section @returns {Placed[]} */
function chartsOf({figures}, {page, name}) {
  const placed = figures.flatMap((figure) =>
    figure.charts.flatMap((entry) =>
      entry.places
        .filter((place) => place.page === page && place.section === name)
        .map(({order}) => ({figure, entry, order})),
    ),
  );
  return placed.sort((a, b) => a.order - b.order);
}

/** @param {Board} whole @param {SectionEntry} section */
function titleOf({context}, {title}) {
  const sweep = untracked(context.runs)[0]?.config.microscope?.sweep;
  return title.replace("{field}", sweep ? called(sweep.field) : "");
}

/** @param {Board} whole @param {SectionEntry} section */
function actionOf({context}, {action}) {
  const [run] = untracked(context.runs);
  if (action !== "fork" || !context.forkFrom || !run) return null;
  return h(
    "button",
    {type: "button", class: "plain", onclick: () => context.forkFrom?.(run)},
    icon("copy"),
    "Fork the run from here…",
  );
}

/** What a training run has below the charts of a section besides figures. @param {Board} whole @param {SectionEntry} section */
function furtherOf({context}, {page, name}) {
  if (page !== "run") return null;
  if (name === "measures") return context.diagnose && why(context, context.diagnose);
  if (name !== "layers") return null;
  const layers = computed(() => JSON.stringify(context.focused()?.facts?.layers ?? []));
  return () => layerTable(JSON.parse(layers()));
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

/** @param {Board} whole @param {Placed[]} block @param {import("./legend.js").Lines} lines */
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

/** One chart, or one for each estimator. @param {Board} whole @param {Placed} placed @param {import("./legend.js").Lines} lines */
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
 * @param {import("./legend.js").Lines} lines of the section's legend
 * @param {{label: string, key: string}} [estimator]
 */
function chartOf(whole, placed, lines, estimator) {
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
    help: `${entry.help} ${entry.takeaway}`,
    size: entry.size,
    lines: entry.shares_legend ? lines : undefined,
    controls: controls.length > 0 ? controls : undefined,
    coloursRuns: entry.colours_runs,
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
 * Whether a figure has points: it is asked once, and then its series tell.
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
    // A failure is told by the charts beside it, which ask the same server.
    fetch(placed.figure.name, {runs}, gone.signal).then(
      ({count}) => !gone.signal.aborted && count > 0 && hasPoints.set(true),
      () => undefined,
    );
    onEnd(
      on("points", ({run, series}) => {
        const concerned = series.some((/** @type {import("../types.js").Delta} */ delta) =>
          concerns(placed, {runs}, delta.metric, delta.layer),
        );
        if (concerned && runs.split(",").includes(run)) hasPoints.set(true);
      }),
    );
  });
  return hasPoints;
}
