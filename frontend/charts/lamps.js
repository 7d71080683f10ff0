// @ts-check
/** A law check for each layer: whether a measure agrees with its law. */
import {signal} from "../lib/signal.js";
import {level} from "../state.js";
import {chart} from "./chart.js";
import {pick} from "./pick.js";

const HELP =
  "Where theory gives a measure in closed form, it is held against the draws, layer by layer. A dot: they agree. A cross: they are further apart than chance explains, so the implementation or an assumption of the law is wrong. A dash: no law is known.";
const PREDICTED = [
  ["relative_variance", "Relative variance"],
  ["relative_squared_bias", "Relative squared bias"],
  ["relative_mse", "Relative squared error"],
  ["scaled_error", "Scaled error"],
  ["snr", "Signal to noise"],
];

/** @param {import("./board.js").Shared} shared @param {() => string} id of the run */
export function lamps(shared, id) {
  const metric = signal("relative_variance");
  return chart({
    ...shared,
    key: "lamps",
    figure: "law_checks",
    title: "Law checks, layer by layer",
    help: HELP,
    wide: true,
    tall: true,
    controls: () => pick("Measure", metric, PREDICTED),
    concerns: (name) => [metric(), `law/${metric()}`].includes(name),
    ask: () => ({runs: id(), metric: metric(), level: level()}),
  });
}
