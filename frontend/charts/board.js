// @ts-check
/**
 * The charts of the shown runs: a section for each heading of the page, in the order of the
 * catalogue of figures. The catalogue says which charts there are, where they stand and what they
 * ask; a new figure needs nothing here. The lab and a shared page both draw boards.
 */
import {icon} from "../icons.js";
import {h} from "../lib/h.js";
import {computed, untracked} from "../lib/signal.js";
import {called} from "../microscope/swept-words.js";
import {layerTable} from "./layer-table.js";
import {legend, newLines} from "./legend.js";
import {control} from "./picks.js";
import {blocksOf, cell, chartsOf} from "./placed-charts.js";
import {why} from "./why.js";

/** @typedef {import("../types.js").Run} Run */
/** @typedef {import("../types.js").FigureCatalogue} FigureCatalogue */
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
 * @property {boolean} [eager] whether charts are drawn before they are in view, for print
 * @property {(run: Run) => any} [forkFrom] asks what a fork from a microscope's checkpoint begins with
 * @property {import("./links.js").Links} [links] how a figure's cells and points lead to their runs
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
    if (!id) return board({...context, runs: trained, focused}, catalogue, isOn("run"));
    const runs = () => context.runs().filter((run) => run.id === id);
    // A microscope's kind never changes: its reports must not make its charts anew.
    const [run] = untracked(runs);
    return (
      run &&
      board({...context, runs, focused: () => runs()[0]}, catalogue, isOn(pageOf(run)), context)
    );
  };
}

/** The charts of a whole study. @param {Context} context of its runs */
export const studyBoard = (context) => () => {
  const catalogue = context.figures();
  return catalogue && board(context, catalogue, isOn("study"));
};

/** The sections of one tab of a run's page. @param {Context} context of that run @param {string} tab */
export const tabBoard = (context, tab) => () => {
  const catalogue = context.figures();
  return catalogue && board(context, catalogue, (section) => section.tab === tab);
};

/**
 * What the first tab of a run's page shows: charts in a grid of twelve columns, then the sections
 * of the tab, without the charts that stand in the grid.
 * @param {Context} context of the run
 * @param {any} controls where the controls that all of its charts follow go
 * @param {any} findings what stands beside the first charts
 */
export const overviewBoard = (context, controls, findings) => () => {
  const catalogue = context.figures();
  if (!catalogue) return null;
  const [section] = catalogue.sections.filter(isOn("overview"));
  const whole = wholeOf(context, catalogue);
  controls.set(section.picks.map((pick) => control(pick, whole, whole.values)));
  const lines = newLines();
  const first = chartsOf(catalogue, section);
  const keys = new Set(first.map(({entry}) => entry.key));
  const figures = catalogue.figures.map((figure) => ({
    ...figure,
    charts: figure.charts.filter(({key}) => !keys.has(key)),
  }));
  const sections = catalogue.sections.map((section) => ({...section, optional: true}));
  return [
    h(
      "div",
      {class: "grid"},
      // The titles of the charts are one level below it.
      h("h2", {class: "sr"}, section.title),
      first.slice(0, BESIDE_FINDINGS).map((placed) => cell(whole, placed, lines)),
      findings,
      first.slice(BESIDE_FINDINGS).map((placed) => cell(whole, placed, lines)),
    ),
    board(context, {...catalogue, figures, sections}, ({tab}) => tab === "overview"),
  ];
};

/** Charts in the same row as the findings. */
const BESIDE_FINDINGS = 2;

/** @param {string} page @returns {(section: SectionEntry) => boolean} */
const isOn = (page) => (section) => section.page === page;

/** @param {Run} run a microscope's */
function pageOf(run) {
  const {sweep, anatomy, what_if: whatIf, adjoint_map: adjoints} = run.config.microscope;
  if (adjoints) return "adjoint_map";
  return sweep ? "sweep" : anatomy ? "anatomy" : whatIf ? "one_step" : "draws";
}

/** @param {Context} context @param {FigureCatalogue} catalogue @returns {Board} */
function wholeOf(context, catalogue) {
  // As text, so that a report of the run that says the same again redraws nothing.
  const labels = computed(() => {
    const {driver, shadows} = context.focused()?.labels ?? {driver: "", shadows: []};
    return JSON.stringify([driver, ...shadows].filter(Boolean));
  });
  return {
    context,
    catalogue,
    values: new Map(),
    focusedId: computed(() => context.focused()?.id ?? ""),
    labels: () => JSON.parse(labels()),
  };
}

/**
 * @param {Context} context
 * @param {FigureCatalogue} catalogue
 * @param {(section: SectionEntry) => boolean} belongs whether a section is on the board
 * @param {Context} all of all shown runs, among which the reader chooses one
 */
function board(context, catalogue, belongs, all = context) {
  const sections = catalogue.sections.filter(belongs);
  const whole = wholeOf(context, catalogue);
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
    {id, "aria-labelledby": `${id}-title`, class: section.optional && "optional"},
    h(
      "div",
      {class: "section-head"},
      h("h2", {id: `${id}-title`}, titleOf(whole, section)),
      h("div", {class: "picks"}, controls, actionOf(whole, section)),
    ),
    section.legend &&
      h(
        "div",
        {class: "legend-place"},
        legend(section.title, lines, () => MANY),
      ),
    blocksOf(whole, charts, lines),
    () => furtherOf(whole, section),
  );
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
