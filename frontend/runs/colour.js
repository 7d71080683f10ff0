// @ts-check
/** How a run is drawn: its line's colour and dash. The figures decide, the list follows. */
import {sample} from "../charts/line-sample.js";
import {signal} from "../lib/signal.js";
import {lookOf} from "../plot.js";

/** @typedef {import("../charts/line-sample.js").Look} Look */

const looks = signal(/** @type {Record<string, Look>} */ ({}));

/** Learn from a figure's traces; the first line of a run stands for it. @param {any[]} traces */
export function learnLines(traces) {
  const found = traces.flatMap((trace) =>
    trace.meta?.run ? [[trace.meta.run, lookOf(trace)]] : [],
  );
  looks.update((known) => ({...known, ...Object.fromEntries(found.reverse())}));
}

/** A sample of a run's line, once there is one. @param {string} run */
export function runSample(run) {
  const look = looks()[run];
  return look ? sample({...look, symbol: ""}) : null;
}
