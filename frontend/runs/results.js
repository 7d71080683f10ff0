// @ts-check
/** Test accuracy and test loss of finished runs, read from their curves, several runs at a time. */
import {Refusal, Silence} from "../api.js";
import {signal} from "../lib/signal.js";

/** @typedef {import("../types.js").Run} Run */
/** @typedef {import("../charts/chart.js").Options["fetch"]} Fetch */
/** @typedef {Record<string, number>} Values by run */

const AT_ONCE = 8;
const GATHER_MS = 50;

/**
 * A reader of results: it fetches a result when it is first asked for it.
 * @param {Fetch} fetch
 * @returns {(run: Run) => {accuracy?: number, loss?: number}}
 */
export function results(fetch) {
  const accuracy = signal(/** @type {Values} */ ({}));
  const loss = signal(/** @type {Values} */ ({}));
  /** @type {Set<string>} */
  const asked = new Set();
  /** @type {string[]} */
  let waiting = [];

  /** @param {string} id */
  function want(id) {
    if (asked.has(id)) return;
    asked.add(id);
    if (waiting.push(id) === 1) setTimeout(readAll, GATHER_MS);
  }

  function readAll() {
    const ids = waiting;
    waiting = [];
    for (let i = 0; i < ids.length; i += AT_ONCE) readSome(ids.slice(i, i + AT_ONCE));
  }

  /** @param {string[]} ids */
  async function readSome(ids) {
    try {
      const values = await Promise.all([last(fetch, "accuracy", ids), last(fetch, "loss", ids)]);
      accuracy.update((known) => ({...known, ...values[0]}));
      loss.update((known) => ({...known, ...values[1]}));
    } catch (error) {
      if (error instanceof Silence) ids.forEach((id) => asked.delete(id));
      else if (!(error instanceof Refusal)) throw error;
      // One that was deleted in the meantime must not hide the others.
      else if (ids.length > 1) ids.forEach((id) => readSome([id]));
    }
  }

  return ({id, status}) => {
    if (status !== "finished") return {};
    want(id);
    return {accuracy: accuracy()[id], loss: loss()[id]};
  };
}

/** The last test value of each run. @param {Fetch} fetch @param {string} kind @param {string[]} ids */
async function last(fetch, kind, ids) {
  const ask = {runs: ids.join(","), metric: `test/${kind}`};
  const {figure} = await fetch("curve", ask, new AbortController().signal);
  const tests = figure.data.flatMap(({meta, x, y}) =>
    meta?.run && x.length ? [[meta.run, y.at(-1)]] : [],
  );
  return /** @type {Values} */ (Object.fromEntries(tests));
}

/** @param {number | undefined} accuracy a fraction */
export const percent = (accuracy) => (accuracy == null ? "" : `${(100 * accuracy).toFixed(1)} %`);
/** @param {number | undefined} loss in nats */
export const nats = (loss) => (loss == null ? "" : String(Number(loss.toPrecision(4))));
