// @ts-check
/** What a chart asks its figure, which new points concern it, and conditions on runs. */

/** @typedef {import("../types.js").FigureQuery} FigureQuery */
/** @typedef {import("../types.js").Condition} Condition */
/** @typedef {import("./placed-charts.js").Placed} Placed */
/** @typedef {import("./board.js").Values} Values */

/** A `*` at the end of a pattern stands for any ending. @param {string} pattern @param {string} text */
const matches = (pattern, text) =>
  pattern.endsWith("*") ? text.startsWith(pattern.slice(0, -1)) : text === pattern;

/** Whether a run's configuration fulfils a condition. @param {Condition} condition @param {any} config */
export function holds({path, pattern}, config) {
  const value = path.split(".").reduce((node, name) => node?.[name], config);
  return value != null && matches(pattern, String(value));
}

/**
 * The question of a chart: its own values, and those of its own and its page's controls for the
 * other parameters of its figure.
 * @param {Placed} placed
 * @param {string} runs
 * @param {Values} values
 * @returns {FigureQuery}
 */
export function query({figure, entry}, runs, values) {
  /** @type {FigureQuery} */
  const asked = {runs};
  for (const name of figure.parameters) {
    const value = entry.asks[name] ?? values.get(name)?.();
    if (name !== "runs" && value) asked[name] = value;
  }
  if (isOfTheRun(entry, asked.metric)) delete asked.layer;
  return asked;
}

/** Whether a metric is of a whole run, and has no layers. @param {Placed["entry"]} entry @param {string} [metric] */
const isOfTheRun = ({picks}, metric) =>
  picks.some(({choices}) => choices.some(({value, whole_run: whole}) => whole && value === metric));

/**
 * Whether a series that has new points changes a chart.
 * @param {Placed} placed
 * @param {FigureQuery} asked
 * @param {string} metric
 * @param {string} layer
 */
export function concerns({figure, entry}, asked, metric, layer) {
  if (entry.follows.length === 0) return true;
  const metrics = (asked.metric ?? "").split(",");
  const followed = entry.follows.some((pattern) =>
    metrics.some((name) => matches(pattern.replace("{metric}", name), metric)),
  );
  return followed && (!figure.parameters.includes("layer") || layer === (asked.layer ?? ""));
}
