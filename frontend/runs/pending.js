// @ts-check
/** Orders to runs whose effect has not arrived yet. */
import {signal} from "../lib/signal.js";

/** @typedef {import("../types.js").Run} Run */
/** @typedef {"pause" | "resume" | "cancel" | "step"} Kind */
/** @typedef {{kind: Kind, status: string, to: number}} Order `status`: when the order was given */

/** @type {Record<Kind, string>} what a run does that was given an order */
export const FOLLOWING = {
  pause: "pausing…",
  resume: "resuming…",
  step: "stepping…",
  cancel: "cancelling…",
};

const orders = signal(/** @type {Record<string, Order>} */ ({}));

/** @param {string} status */
export const hasEnded = (status) => !["queued", "running", "paused"].includes(status);

/** The order that a run has yet to follow. @param {string} id */
export const pending = (id) => orders()[id]?.kind;

/** After these a run takes no other order. @param {Kind} [kind] */
export const isFinal = (kind) => kind === "cancel";

/** The step that a run goes on to. @param {string} id of one that is stepping */
export const stepTarget = (id) => orders.peek()[id].to;

/** @param {Run} run @param {Kind} kind @param {number} to the step that it goes on to */
export function expectOrder({id, status}, kind, to) {
  orders.update((all) => ({...all, [id]: {kind, status, to}}));
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
function isDone({kind, status, to}, run) {
  if (kind === "cancel" || hasEnded(run.status)) return hasEnded(run.status);
  return kind === "step" ? run.step >= to : run.status !== status;
}
