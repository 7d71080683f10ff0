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
const BUDGETS = [
  ["", "as checked"],
  ...[...Array(13).keys()].map((k) => [String(2 ** k), count(2 ** k)]),
];
const BARS =
  "The variance of one draw has two sources: the batch is a sample of the training set (noise of the data, which backprop has too), and the estimator draws at random (noise of the estimator). A larger batch lowers the first, more draws the second. Told apart by several draws at each of several batches; the data's part is what the means of the draws scatter by, less what the draws leave in them.";
const ADVICE =
  "What lowers the variance of a gradient most for the budget: all of it on a larger batch, on more draws of this batch, or both. Then what was predicted for fresh gradients at another batch and number of draws, and what those measured: many standard errors apart, and an assumption does not hold here (noise of the data that falls as 1 / B, noise of the estimator that is a constant and a part that falls as 1 / B).";
const BUDGET =
  "One gradient may cost so many draws at the run's batch size. They can be spent on a batch b times as large or on K draws of it, b K = budget. The curve is what the anatomy predicts for each split; the star is its lowest point, with examples × draws beside it. The mark with bars was measured by fresh gradients at that split and checks the prediction; it is on the curve at the budget “as checked”.";

/** @param {Shared} shared @param {string} id @param {any[]} picks run and layer */
export const anatomy = (shared, id, [run, layers]) => [
  part(
    "anatomy",
    "Anatomy of the variance",
    [run, levelPick(), pick("Show", parts, PARTS)],
    [
      one(
        shared,
        "anatomy",
        "Noise of the data and of the estimator",
        BARS,
        () => ({runs: id, level: level(), parts: parts()}),
        {wide: true},
      ),
    ],
  ),
  part(
    "budget",
    "Larger batch or more draws?",
    [layers, pick("Budget, draws a gradient", budget, BUDGETS)],
    [
      one(
        shared,
        "advice",
        "The answer for this budget",
        ADVICE,
        () => ({runs: id, layer: layer(), budget: budget()}),
        {wide: true, numbers: true},
      ),
      one(
        shared,
        "budget",
        "Variance that a budget leaves",
        BUDGET,
        () => ({runs: id, layer: layer(), budget: budget()}),
        {wide: true},
      ),
    ],
  ),
];
