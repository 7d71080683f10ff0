// @ts-check
/** The race on the page: its head with the controls, the dials, and the charts. */
import {icon} from "../icons.js";
import {count, rate} from "../lib/format.js";
import {h} from "../lib/h.js";
import {computed} from "../lib/signal.js";
import {alignmentChart, lossChart} from "./charts.js";
import {cell} from "./dial.js";
import {reads} from "./reads.js";

/** @typedef {import("./race.js").Race} Race */

/** What is shown, in a word. @param {Race} race */
function word({live, story, run, mode, isActive, isAtEnd}) {
  if (!story()) return "Waiting";
  if (!live()) return "Recording";
  if (mode() === "replay" && !isAtEnd()) return "Replay";
  if (!isActive()) return ENDED[run()?.status ?? ""] ?? "Measured";
  return run()?.status === "paused" ? "Paused" : "Live";
}

/** @type {Record<string, string>} */
const ENDED = {
  finished: "Finished",
  diverged: "Diverged",
  failed: "Failed",
  cancelled: "Stopped",
};

/** What is going on, and on which machine. @param {Race} race */
function origin({live, story, isActive, starting}) {
  if (live())
    return "One small network learns to read digits. Every estimator is measured at the same weights and batch.";
  const isExpected = isActive() || starting();
  if (story())
    return isExpected
      ? "Recorded on another machine, and shown until the run of this one has its first probe."
      : "Recorded on another machine. Let an estimator drive, and this one races too.";
  return isExpected
    ? "Waiting for the first probe of this machine's run: no recording fits this version of the lab."
    : "No recording fits this version of the lab. Let an estimator drive, and this machine races.";
}

/** @param {Race} race */
const isMoving = ({run, mode, playing, isActive, isAtEnd, live}) =>
  live() && mode() === "following" && isActive()
    ? run()?.status === "running"
    : playing() && !isAtEnd();

/** @param {Race} race @param {{heading: "h1" | "h2", charts: boolean}} options */
export function strip(race, {heading, charts}) {
  const below = heading === "h1" ? "h2" : "h3";
  return h(
    "section",
    {class: "race", "aria-labelledby": "race-title"},
    h(
      heading,
      {id: "race-title", class: "hero"},
      "Four ways to avoid backpropagation, and how well each one points",
    ),
    h(
      "div",
      {class: "race-head"},
      h("p", {class: "quiet"}, () => origin(race)),
      controls(race),
    ),
    h("p", {class: "problem", role: "alert"}, race.problem),
    h(
      "div",
      {class: "race-panel"},
      progress(race),
      h(
        "ul",
        {class: "dial-cells", "aria-label": "Estimators"},
        race.answer.estimators.map((racer) => cell(race, racer, below)),
      ),
      charts &&
        h(
          "div",
          {class: "race-figures"},
          alignmentChart(race, below),
          lossChart(race, below),
          race.answer.examples.length > 0 && reads(race, below),
        ),
      h(
        "p",
        {class: "race-key"},
        `Needle: mean angle of ${race.answer.draws} draws to the exact gradient. Band: one standard deviation of them. Bars: each layer.`,
      ),
    ),
  );
}

/** @param {Race} race */
function progress({head, answer}) {
  const fill = h("i", null);
  const share = computed(() => head() / answer.steps);
  return h("div", {class: "race-progress", "aria-hidden": "true"}, () => {
    fill.style.width = `${100 * share()}%`;
    return fill;
  });
}

/** @param {Race} race */
function controls(race) {
  const moving = computed(() => isMoving(race));
  const {run, head, answer, isActive, live, orders} = race;
  const speed = () => (live() && isActive() && run()?.rate ? `, ${rate(run()?.rate)}` : "");
  return h(
    "div",
    {class: "race-controls"},
    h("span", {class: "race-state", role: "status"}, () => word(race)),
    h(
      "span",
      {class: "race-steps quiet"},
      () => `step ${count(head())} of ${count(answer.steps)}${speed()}`,
    ),
    () => button(moving() ? "pause" : "play", moving() ? "Pause" : "Play", orders.toggle),
    button("step", "Step", orders.step, "On to the next probe, and wait there"),
    button("refresh", "Again", orders.again, "Play from step 0"),
    // Its place is reserved, so that nothing moves when there is a run.
    h(
      "a",
      {
        class: () => (run() ? "act" : "act absent"),
        href: () => `/runs/${run()?.number ?? ""}`,
      },
      "Open the run",
    ),
  );
}

/** @param {import("../icons.js").Icon} sign @param {string} text @param {() => void} act @param {string} [title] */
const button = (sign, text, act, title) =>
  h(
    "button",
    {type: "button", class: "act", "aria-label": text, title: title ?? false, onclick: act},
    icon(sign),
    h("span", null, text),
  );
