// @ts-check
/** The list of runs: what each is doing, what can be done with it, and which are in the charts. */
import {h, each} from "../lib/h.js";
import {computed} from "../lib/signal.js";
import {complaint, listed, readMore, runs, total} from "../lab.js";
import {row} from "./run-row.js";

/** Newest first; the microscopes of a run follow it. */
const nested = computed(() => {
  const all = runs();
  const known = new Set(all.map((run) => run.id));
  const parent = (/** @type {import("../types.js").Run} */ run) =>
    run.kind === "microscope" && run.parent && known.has(run.parent) ? run.parent : "";
  return all
    .filter((run) => parent(run) === "")
    .flatMap((run) => [run, ...all.filter((other) => parent(other) === run.id)]);
});

export function runList() {
  return h(
    "section",
    {class: "runs", "aria-labelledby": "runs-title"},
    h(
      "div",
      {class: "section-head"},
      h("h2", {id: "runs-title"}, "Runs"),
      h("span", {class: "quiet"}, () => (total() ? `${total()} in this lab` : "")),
    ),
    h("div", {role: "alert"}, () => complaint() && h("p", {class: "problem"}, complaint())),
    () =>
      listed() &&
      total() === 0 &&
      h(
        "p",
        {class: "empty"},
        "No runs yet. The form is filled in: press Run, and the first points appear here.",
      ),
    h(
      "ul",
      {class: "run-list"},
      each(nested, (run) => run.id, row),
    ),
    () =>
      runs().length < total() &&
      h(
        "button",
        {type: "button", class: "plain", onclick: readMore},
        `Show older runs (${total() - runs().length})`,
      ),
  );
}
