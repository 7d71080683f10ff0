// @ts-check
/** The runs of a user who comes back: the last five, those that have not ended on top. */
import {count} from "../lib/format.js";
import {each, h} from "../lib/h.js";

/** @typedef {import("../types.js").Run} Run */

const COUNT = 5;
const ROW_HEIGHT = 38;
const ACTIVE = ["running", "paused", "queued"];

/** @param {Run[]} runs newest first */
export const lastRuns = (runs) =>
  runs
    .toSorted((a, b) => Number(ACTIVE.includes(b.status)) - Number(ACTIVE.includes(a.status)))
    .slice(0, COUNT);

/**
 * @param {() => Run[]} runs newest first
 * @param {number} expected how many there are: their place is reserved before they are read
 */
export function yourRuns(runs, expected) {
  const list = h(
    "ul",
    null,
    each(
      () => lastRuns(runs()),
      ({id}) => id,
      row,
    ),
  );
  list.style.minHeight = `${ROW_HEIGHT * Math.min(COUNT, expected)}px`;
  return h(
    "section",
    {class: "home-card your-runs", "aria-labelledby": "runs-title"},
    h(
      "div",
      {class: "section-head"},
      h("h1", {id: "runs-title"}, "Your runs"),
      h("a", {href: "/runs"}, "All runs"),
    ),
    list,
  );
}

/** @param {() => Run} run */
const row = (run) =>
  h(
    "li",
    null,
    h("a", {href: () => `/runs/${run().number}`}, () => run().name || `Run ${run().number}`),
    h("span", {class: "quiet"}, () => run().labels.driver.replaceAll("_", " ")),
    h("span", {class: "quiet"}, () => `${count(run().step)} / ${count(run().steps)} steps`),
    h("span", {class: () => `status ${run().status}`}, () => run().status),
  );
