// @ts-check
/** What a microscope sees: how its draws fall, where they lie, what averaging buys, and the laws. */
import {h} from "../lib/h.js";
import {untracked} from "../lib/signal.js";
import {layer, level} from "../state.js";
import {anatomy} from "./anatomy.js";
import {layerPick, levelPick, runPick} from "./picks.js";
import {lamps} from "./lamps.js";
import {paired} from "./paired.js";
import {one, part} from "./parts.js";
import {plane} from "./plane.js";
import {swept} from "./swept.js";
import {whatIf} from "./what-if.js";

/** @typedef {import("./board.js").Context} Context */
/** @typedef {import("./board.js").Shared} Shared */
/** @typedef {import("../types.js").Run} Run */

const COSINES =
  "The cosine of every draw with the exact gradient, a panel an estimator with an axis of its own. Solid: the mean of the draws; dashed: the mean by the law, where one is known.";
const NORMS =
  "How much longer every draw is than the exact gradient, a panel an estimator with an axis of its own.";
const CLOUD =
  "Each point is a draw: how far it reaches along the exact gradient, and how far across it, in the direction in which the draws scatter most (of 256 random ones). The star is the exact gradient. A cloud whose middle lies off the star is biased.";
const MEAN =
  "K draws averaged: how far their mean is from the exact gradient, squared. Noise falls like 1 / K, a straight line of slope −1; a bias stays, and the line bends into it. Dashed: predicted from one draw, by the law where one is known.";
const TABLE =
  "Every measure at the newest draw with its standard error, and the value by the law beside it. Off by many standard errors: the implementation or an assumption of the law is wrong.";
const VERDICT =
  "Is the mean of the draws what is estimated? Looked at are the mean error along the gradient and along 8 random directions in each tensor, and the squared bias; one threshold serves all layers. A ring: no bias found, and the bound that the relative bias along the gradient is below. A cross: biased.";

/** @param {Context} context @param {string} id */
export function draws(context, id) {
  // A run's estimators never change: its reports must not make its charts anew.
  const run = untracked(context.runs).find((one) => one.id === id);
  if (!run) return null;
  const shared = {
    fetch: context.fetch,
    dataUrl: context.dataUrl,
    runs: () => context.runs().filter((one) => one.id === id),
  };
  const picks = [runPick(context), layerPick({...context, runs: shared.runs})];
  const {sweep, anatomy: dissected, what_if: stepped} = run.config.microscope;
  if (sweep) return h("div", {class: "board"}, ofSweep(shared, run, picks));
  if (dissected) return h("div", {class: "board"}, anatomy(shared, id, picks));
  if (stepped) return h("div", {class: "board"}, whatIf(shared, run, picks, context.forkFrom));
  return h(
    "div",
    {class: "board"},
    part("draws", "Draws", picks, [
      histogram(shared, id, "cosine", "Cosine of the draws", COSINES),
      histogram(shared, id, "norm_ratio", "Norm of the draws", NORMS),
      ...[run.labels.driver, ...run.labels.shadows].map((label, i) => cloud(shared, id, label, i)),
    ]),
    part("read", "Measures and laws", null, [
      one(
        shared,
        "convergence",
        "Error of the mean against K",
        MEAN,
        () => ({runs: id, layer: layer()}),
        {wide: true},
      ),
      one(shared, "reading", "Measures and laws", TABLE, () => ({runs: id, layer: layer()}), {
        wide: true,
        numbers: true,
      }),
      plane(shared, () => id),
      paired(shared, () => id),
    ]),
    part("layers", "Layer by layer", levelPick(), [
      one(shared, "verdict", "Verdict on bias", VERDICT, () => ({runs: id, level: level()}), {
        wide: true,
        concerns: (name) => name.startsWith("verdict/"),
      }),
      lamps(shared, () => id),
    ]),
  );
}

/** A sweep keeps the measures at each value, not the draws. @param {Shared} shared @param {Run} run @param {any[]} picks */
function ofSweep(shared, run, picks) {
  const {
    title,
    picks: more,
    charts,
  } = swept(run, (key, name, help, ask, options) =>
    one(shared, "against", name, help, ask, {key, ...options}),
  );
  return part("sweep", title, [...picks, ...more], charts);
}

/** @param {Shared} shared @param {string} id @param {string} metric @param {string} title @param {string} help */
const histogram = (shared, id, metric, title, help) =>
  one(
    shared,
    "histogram",
    title,
    help,
    () => ({runs: id, metric: `draw/${metric}`, layer: layer()}),
    {
      key: `histogram-${metric}`,
      concerns: (name, where) =>
        where === layer() && [`draw/${metric}`, `law/${metric}`].includes(name),
    },
  );

/** @param {Shared} shared @param {string} id @param {string} label @param {number} i */
const cloud = (shared, id, label, i) =>
  one(shared, "cloud", label, CLOUD, () => ({runs: id, estimator: label}), {
    key: `cloud-${i}`,
    concerns: (name) => ["draw/along", "draw/across"].includes(name),
  });
