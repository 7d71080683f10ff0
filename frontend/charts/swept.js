// @ts-check
/** What a sweep shows: variance and scaled error first, then any other measure. */
import {signal} from "../lib/signal.js";
import {against, layer} from "../state.js";
import {MEASURES} from "./measures.js";
import {pick} from "./pick.js";

/** @typedef {import("../types.js").Run} Run */

const FIRST = ["relative_variance", "scaled_error"];
const OTHERS = [
  ...MEASURES.map((one) => [one.metrics[0], one.title]).filter(([name]) => !FIRST.includes(name)),
  ["relative_mse", "Relative squared error"],
  ["snr", "Signal to noise"],
];
const AXES = [
  ["field", "the field"],
  ["parameters", "number of parameters, d"],
];
const HELP =
  "At each value, with a 95 % interval; dashed: the law. On log axes a power law is a straight line: its slope is said below with its standard error, beside the one that is predicted.";

/**
 * The picks of a sweep's section and its charts, whose makers `draws` gives.
 * @param {Run} run
 * @param {(key: string, title: string, help: string, ask: () => any, more: any) => Element} one
 */
export function swept(run, one) {
  const {field} = run.config.microscope.sweep;
  const ofNetwork = field.startsWith("network.");
  const other = signal("relative_squared_bias");
  const query = (/** @type {() => string} */ metric) => () => ({
    runs: run.id,
    metric: metric(),
    layer: layer(),
    ...(ofNetwork && {against: against()}),
  });
  const concerns = (/** @type {() => string} */ metric) => (/** @type {string} */ name) =>
    [`sweep/${metric()}`, `sweep/law/${metric()}`].includes(name);
  const chart = (
    /** @type {string} */ key,
    /** @type {string} */ title,
    /** @type {() => string} */ metric,
    more = {},
  ) => one(key, title, HELP, query(metric), {concerns: concerns(metric), ...more});
  return {
    title: `Sweep of ${field.replace("network.", "network: ").replace("batch_size", "batch size")}`,
    picks: ofNetwork ? [pick("Against", against, AXES)] : [],
    charts: [
      chart("against-variance", "Relative variance", () => FIRST[0]),
      chart("against-error", "Scaled error", () => FIRST[1]),
      chart("against", "Another measure", other, {
        wide: true,
        controls: () => [pick("Measure", other, OTHERS)],
      }),
    ],
  };
}
