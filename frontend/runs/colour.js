// @ts-check
/** How a run is drawn: the colour and dash of its line. The list of runs takes both from the figures. */
import {sample} from "../charts/line-sample.js";
import {signal} from "../lib/signal.js";
import {lookOf} from "../plot.js";

/** @typedef {import("../charts/line-sample.js").Look} Look */

const lineSamples = signal(/** @type {Record<string, Look>} */ ({}));

/** Take the samples from a figure's traces: of each run its first line. @param {any[]} traces */
export function learnLines(traces) {
  const lines = traces.flatMap((trace) =>
    trace.meta?.run ? [[trace.meta.run, lookOf(trace)]] : [],
  );
  lineSamples.update((known) => ({...known, ...Object.fromEntries(lines.reverse())}));
}

/** A sample of a run's line, once there is one. @param {string} run */
export function runSample(run) {
  const look = lineSamples()[run];
  return look ? sample({...look, symbol: ""}) : null;
}
