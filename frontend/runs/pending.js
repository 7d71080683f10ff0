// @ts-check
/** Orders to runs whose effect has not arrived yet. */
import {signal} from "../lib/signal.js";

/** @typedef {import("../types.js").Run} Run */
/** @typedef {"pause" | "resume" | "cancel" | "step" | "delete"} Kind */
/** @typedef {{kind: Kind, status: string, step: number}} Order what the run was like when it came */

const orders = signal(/** @type {Record<string, Order>} */ ({}));

/** The order that a run has yet to follow. @param {string} id */
export const pending = (id) => orders()[id]?.kind;

/** @param {Run} run @param {Kind} kind */
export function expectOrder({id, status, step}, kind) {
  orders.update((all) => ({...all, [id]: {kind, status, step}}));
}

/** @param {string} id */
export function settled(id) {
  orders.update(({[id]: _done, ...rest}) => rest);
}

/** Take in what a run is like now. @param {Run} run */
export function compare(run) {
  const order = orders.peek()[run.id];
  if (order && isDone(order, run)) settled(run.id);
}

/** Forget every order: the state of the runs is read anew. */
export const forgetOrders = () => orders.set({});

/** @param {Order} order @param {Run} run */
function isDone({kind, status, step}, run) {
  if (kind === "cancel") return !["queued", "running", "paused"].includes(run.status);
  return run.status !== status || (kind === "step" && run.step > step);
}
