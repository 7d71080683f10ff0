// @ts-check
/** A row for each estimator of a run: how it points, in each layer, and what it costs. */

/** @param {() => import("../types.js").Run} run */
export const scoreboard = (run) => [run().id && null];
