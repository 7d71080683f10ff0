// @ts-check
/** What one step from the checkpoint would do, by every estimator, and a fork that goes on so. */
import {icon} from "../icons.js";
import {h} from "../lib/h.js";
import {onEnd, signal} from "../lib/signal.js";
import {rate} from "../state.js";
import {on} from "../stream.js";
import {one, part} from "./parts.js";
import {pick} from "./pick.js";

/** @typedef {import("./board.js").Shared} Shared */
/** @typedef {import("../types.js").Run} Run */

const STEPS =
  "Every draw is taken as a step −η ĝ from the checkpoint; the change of the loss on the same batch, against the learning rate η. Line: the mean with its standard error; bands: 5–95 % and 25–75 % of the draws; dashed: the expectation to second order, by one Hessian-vector product a draw. Its lowest point, the star, is the best rate and the expected decrease. Each panel has an axis of its own.";
const FALLS =
  "How the change of the loss falls out over the draws at one learning rate, a panel an estimator; dotted: no change, solid: the mean. At the tried rate that is nearest to the best of each, or to one that is chosen.";
const TABLE =
  "The best learning rate of each estimator, the decrease of the loss expected of it, and what the run's own learning rate does; the largest expected decrease first.";

/**
 * @param {Shared} shared @param {Run} run @param {any[]} picks
 * @param {((run: Run) => any) | undefined} fork opens what a fork begins with
 */
export const whatIf = (shared, run, [runs], fork) => [
  part(
    "what-if",
    "What one step would do",
    [runs, fork && button(run, fork)],
    [
      one(shared, "decrease", "Expected decrease", TABLE, () => ({runs: run.id}), {
        wide: true,
        numbers: true,
      }),
      one(
        shared,
        "what_if",
        "Change of the loss against the learning rate",
        STEPS,
        () => ({runs: run.id}),
        {wide: true},
      ),
    ],
  ),
  part("lottery", "One step as a lottery", ratePick(shared, run.id), [
    one(
      shared,
      "lottery",
      "Changes of the loss at one learning rate",
      FALLS,
      () => ({runs: run.id, rate: rate()}),
      {wide: true},
    ),
  ]),
];

/** @param {Run} run @param {(run: Run) => any} fork */
const button = (run, fork) =>
  h(
    "button",
    {type: "button", class: "plain", onclick: () => fork(run)},
    icon("copy"),
    "Fork the run from here…",
  );

/** The rates at which steps were taken, once there are any. @param {Shared} shared @param {string} id */
function ratePick(shared, id) {
  const found = signal("");
  const gone = new AbortController();
  onEnd(() => gone.abort());
  const read = () =>
    // A failure is told by the charts beside it, which ask the same server.
    shared.fetch("what_if", {runs: id}, gone.signal).then(
      ({figure}) => {
        const means = figure.data.find((/** @type {any} */ one) => one.meta?.role === "means");
        if (!gone.signal.aborted && means) found.set(means.x.join(" "));
      },
      () => undefined,
    );
  read();
  onEnd(on("points", ({run}) => run === id && found.peek() === "" && read()));
  return () =>
    pick("Learning rate η", rate, [
      ["", "nearest to the best of each"],
      ...found()
        .split(" ")
        .filter(Boolean)
        .map((one) => [one, one]),
    ]);
}
