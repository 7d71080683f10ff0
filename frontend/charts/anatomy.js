// @ts-check
/** Where the variance comes from, and whether a larger batch or more draws would lower it. */
import {count} from "../lib/format.js";
import {budget, layer, level, parts} from "../state.js";
import {one, part} from "./parts.js";
import {pick} from "./pick.js";
import {levelPick} from "./picks.js";

/** @typedef {import("./board.js").Shared} Shared */

const PARTS = [
  ["share", "share of the variance"],
  ["variance", "variance, log axis"],
];
const BUDGETS = [["", "as checked"], ...[...Array(13).keys()].map((k) => [String(2 ** k), count(2 ** k)])];
const BARS =
  "The variance of one draw has two sources: the batch is a sample of the training set (noise of the data, which backprop has too), and the estimator draws at random (noise of the estimator). A larger batch lowers the first, more draws the second. Told apart by several draws at each of several batches; the data's part is what the means of the draws scatter by, less what the draws leave in them.";
const BUDGET =
  "One gradient may cost so many draws at the run's batch size. They can be spent on a batch b times as large or on K draws of it, b K = budget. The curve is what the anatomy predicts for each split; the star is its lowest point, with examples × draws beside it. The mark with bars was measured by fresh gradients at that split and checks the prediction; it is on the curve at the budget “as checked”.";

/** @param {Shared} shared @param {string} id @param {any[]} picks run and layer */
export const anatomy = (shared, id, [run, layers]) => [
  part("anatomy", "Anatomy of the variance", [run, levelPick(), pick("Show", parts, PARTS)], [
    one(shared, "anatomy", "Noise of the data and of the estimator", BARS, () => ({runs: id, level: level(), parts: parts()}), {wide: true}),
  ]),
  part("budget", "Larger batch or more draws?", [layers, pick("Budget, draws a gradient", budget, BUDGETS)], [
    one(shared, "budget", "Variance that a budget leaves", BUDGET, () => ({runs: id, layer: layer(), budget: budget()}), {wide: true}),
  ]),
];
