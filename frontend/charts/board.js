// @ts-check
/** The charts of the shown runs, in the order in which one asks: does it learn, how good is each
 * gradient, which is best, and where in the network. The lab and a shared page both draw it. */
import {h} from "../lib/h.js";
import {computed, effect, onEnd, signal} from "../lib/signal.js";
import {on} from "../stream.js";
import {carpet, layer, level, range, scale, xAxis} from "../state.js";
import {chart} from "./chart.js";
import {legend, newLines} from "./legend.js";
import {lamps} from "./lamps.js";
import {layerTable} from "./layers.js";
import {MEASURES, TRAINING, VIEWS, words} from "./measures.js";
import {
  axisPick,
  layerPick,
  levelPick,
  measurePick,
  rangePick,
  runPick,
  scalePick,
} from "./picks.js";
import {paired} from "./paired.js";
import {isStanding, plane} from "./plane.js";
import {why} from "./why.js";

/** @typedef {import("../types.js").Run} Run */
/** @typedef {import("../types.js").FigureQuery} FigureQuery */
/** @typedef {import("./chart.js").Options} Options */

/**
 * @typedef {object} Context where a board finds its runs and figures
 * @property {() => Run[]} runs
 * @property {() => Run | undefined} focused
 * @property {() => import("../types.js").FigureEntry[]} figures what else the lab can draw
 * @property {Options["fetch"]} fetch
 * @property {Options["dataUrl"]} dataUrl
 * @property {(run: string, estimator: string, stage?: string) => Promise<import("../types.js").Diagnosis>} [diagnose]
 * @property {(run: Run) => any} [forkFrom] asks what a fork from a microscope's checkpoint begins with
 */

/** Lines of the shared legend before the rest is folded away. */
const MANY = 12;

/** @param {Context} context */
export function board(context) {
  const ids = computed(() =>
    context
      .runs()
      .map((run) => run.id)
      .join(","),
  );
  const focusedId = computed(() => context.focused()?.id ?? "");
  // As text, so that a report of the run that says the same again redraws nothing.
  const labels = computed(() => {
    const {driver, shadows} = context.focused()?.labels ?? {driver: "", shadows: []};
    return JSON.stringify([driver, ...shadows]);
  });
  const layers = computed(() => JSON.stringify(context.focused()?.facts?.layers ?? []));
  const shared = {fetch: context.fetch, runs: context.runs, dataUrl: context.dataUrl};
  const curve = curves(shared, ids);
  const onSurfaces = computed(() =>
    context.runs().some((run) => run.config.dataset.name === "surface"),
  );
  // A surface has no classes, and so no accuracy.
  const bare = computed(
    () =>
      context.runs().length > 0 &&
      context.runs().every((run) => run.config.dataset.name === "surface"),
  );
  const onViews = computed(() =>
    context.runs().some((run) => run.config.loss?.name === "info_nce"),
  );
  const lines = newLines();
  const reports = reporting(context, ids);
  return h(
    "div",
    {class: "board"},
    part("training", "Training", axisPick(), [
      () =>
        charts(
          TRAINING.filter(({key}) => key !== "accuracy" || !bare()).map((one) =>
            curve(one, () => ""),
          ),
        ),
      () => onViews() && charts(VIEWS.map((one) => curve(one, () => ""))),
      () => onSurfaces() && charts([path(shared, ids)]),
    ]),
    part(
      "measures",
      "Measures",
      [layerPick(context), scalePick()],
      [
        h("div", {class: "legend-place"}, legend("Measures", lines, MANY)),
        charts([
          ...MEASURES.map((one) => curve(one, layer, lines)),
          ranking(shared, ids),
          plane(shared, ids),
          paired(shared, focusedFirst(context, ids), true),
        ]),
        () => reports() && charts([reported(shared, ids)]),
        context.diagnose && why(context, context.diagnose),
      ],
    ),
    part(
      "layers",
      "Layer by layer",
      [runPick(context), measurePick(), levelPick(), rangePick()],
      [
        () => charts(carpets(shared, context, focusedId(), JSON.parse(labels()))),
        () => layerTable(JSON.parse(layers())),
      ],
    ),
    () => others(shared, context, ids),
  );
}

const OWN = "estimator/";

/**
 * Whether a shown run's driver tells something of itself: most do not, and get no chart for it.
 * @param {Context} context
 * @param {() => string} ids
 */
function reporting(context, ids) {
  const found = signal(false);
  effect(() => {
    const runs = ids();
    const gone = new AbortController();
    onEnd(() => gone.abort());
    found.set(false);
    if (!runs) return;
    // A failure is told by the charts beside it, which ask the same server.
    context.fetch("reported", {runs, x: "step"}, gone.signal).then(
      ({count}) => !gone.signal.aborted && count > 0 && found.set(true),
      () => undefined,
    );
    onEnd(
      on("points", ({run, series}) => {
        const tells = series.some((/** @type {any} */ one) => one.metric.startsWith(OWN));
        if (tells && runs.split(",").includes(run)) found.set(true);
      }),
    );
  });
  return found;
}

/**
 * @param {Shared} shared
 * @param {() => string} ids
 */
const reported = (shared, ids) =>
  chart({
    ...shared,
    key: "reported",
    figure: "reported",
    title: "Reported by the driver",
    help: "What the driving estimator tells of itself (angles of its feedback, losses of its blocks, norms): a panel a quantity, a line a layer.",
    wide: true,
    tall: true,
    ask: () => ({runs: ids(), x: xAxis()}),
    concerns: (metric) => metric.startsWith(OWN),
  });

/** @param {Context} context @param {() => string} ids */
const focusedFirst = (context, ids) =>
  computed(() => {
    const first = context.focused()?.id ?? "";
    return [
      first,
      ...ids()
        .split(",")
        .filter((id) => id !== first),
    ]
      .filter(Boolean)
      .join(",");
  });

const PLACED = [
  ...["curve", "ranking", "bias_variance", "carpet", "compare", "path", "reported"],
  ...["histogram", "cloud", "convergence", "against", "reading", "verdict", "paired", "law_checks"],
  ...["anatomy", "budget", "advice", "what_if", "lottery", "decrease"],
];

/**
 * Figures that have no place of their own: a new one needs nothing here.
 * @param {Shared} shared
 * @param {Context} context
 * @param {() => string} ids
 */
function others(shared, context, ids) {
  const list = context.figures().filter(({name}) => !PLACED.includes(name));
  if (list.length === 0) return null;
  const all = {
    runs: focusedFirst(context, ids),
    metric: carpet,
    layer,
    level,
    x: xAxis,
  };
  const made = list.map(({name, title, help, parameters}) =>
    chart({
      ...shared,
      key: `more-${name}`,
      figure: name,
      title,
      help,
      tall: true,
      wide: true,
      ask: () =>
        /** @type {any} */ (
          Object.fromEntries(
            parameters.flatMap((one) =>
              one.name in all
                ? [[one.name, all[/** @type {keyof typeof all} */ (one.name)]()]]
                : [],
            ),
          )
        ),
      concerns: () => true,
    }),
  );
  return part("more", "More figures", null, [charts(made)]);
}

/** @param {Element[]} all */
const charts = (all) => h("div", {class: "charts"}, all);

/** @param {string} id @param {string} title @param {any} controls @param {any} content */
function part(id, title, controls, content) {
  return h(
    "section",
    {id, "aria-labelledby": `${id}-title`},
    h(
      "div",
      {class: "section-head"},
      h("h2", {id: `${id}-title`}, title),
      h("div", {class: "picks"}, controls),
    ),
    content,
  );
}

/** @typedef {Pick<Options, "fetch" | "runs" | "dataUrl">} Shared */

/** @param {Shared} shared @param {() => string} ids */
const curves =
  (shared, ids) =>
  (
    /** @type {import("./measures.js").Measure} */ one,
    /** @type {() => string} */ at,
    /** @type {import("./legend.js").Lines | undefined} */ lines = undefined,
  ) =>
    chart({
      ...shared,
      lines,
      key: one.key,
      figure: "curve",
      title: one.title,
      help: one.help,
      ask: () => ({
        ...{runs: ids(), metric: one.metrics.join(","), layer: at(), x: xAxis()},
        ...(MEASURES.includes(one) && {scale: scale()}),
      }),
      concerns: (metric, where) => one.metrics.includes(metric) && where === at(),
    });

/** @param {Shared} shared @param {() => string} ids */
const standing = (shared, ids) => ({
  ...shared,
  concerns: isStanding,
  ask: () => ({runs: ids(), layer: layer()}),
  tall: true,
});

/** @param {Shared} shared @param {() => string} ids */
const ranking = (shared, ids) =>
  chart({
    ...standing(shared, ids),
    key: "ranking",
    figure: "ranking",
    title: "Ranking by scaled error",
    help: "Scaled error of every estimator, pooled over the latest probes, best first: what is left when the learning rate has absorbed the scale. The fair comparison between estimators of different scale.",
  });

/** @param {Shared} shared @param {() => string} ids */
const path = (shared, ids) =>
  chart({
    ...shared,
    key: "path",
    figure: "path",
    title: "Path on the surface",
    tall: true,
    wide: true,
    help: "The way of the weights over the surface, a line a run, on lines of equal loss (a decade is a few lines). The large mark is where a run stands.",
    ask: () => ({runs: ids()}),
    concerns: (metric) => metric.startsWith("path/"),
  });

/**
 * A carpet for each estimator of the run, then every layer's lines.
 * @param {Shared} shared
 * @param {Context} context
 * @param {string} id
 * @param {string[]} labels
 */
function carpets(shared, context, id, labels) {
  if (!id) return [];
  const one = {...shared, runs: () => context.runs().filter((run) => run.id === id)};
  const concerns = (/** @type {string} */ metric) => metric === carpet();
  return [
    ...labels.map((label, i) =>
      chart({
        ...one,
        key: `carpet-${i}`,
        figure: "carpet",
        title: label,
        tall: true,
        concerns,
        help: `${words(carpet)} of ${label} as colour: a row a layer, in the order of the network, a column a probe. Blue is good, orange bad.`,
        ask: () => ({
          runs: id,
          metric: carpet(),
          estimator: label,
          level: level(),
          x: xAxis(),
          range: range(),
        }),
      }),
    ),
    chart({
      ...one,
      key: "compare",
      figure: "compare",
      title: "Every layer",
      tall: true,
      wide: true,
      concerns,
      help: "A panel a layer, every estimator in each, on one vertical scale.",
      ask: () => ({runs: id, metric: carpet(), level: level(), x: xAxis(), scale: scale()}),
    }),
    lamps(one, () => id),
  ];
}
