// @ts-check
/** The list of runs: what each is doing, what can be done with it, and which are in the charts. */
import {complaint} from "../lab.js";
import {count} from "../lib/format.js";
import {h, each} from "../lib/h.js";
import {computed} from "../lib/signal.js";
import {gone, listed, matching, readMore, search, sought, total, unread} from "./known-runs.js";
import {row} from "./run-row.js";

/** Newest first; the microscopes of a run follow it. */
const nested = computed(() => {
  const all = matching();
  const known = new Set(all.map((run) => run.id));
  const parent = (/** @type {import("../types.js").Run} */ run) =>
    run.kind === "microscope" && run.parent && known.has(run.parent) ? run.parent : "";
  return all
    .filter((run) => parent(run) === "")
    .flatMap((run) => [run, ...all.filter((other) => parent(other) === run.id)]);
});

/** @param {any} tools what can be done with the shown runs */
export function runList(tools) {
  return h(
    "section",
    {class: "runs", "aria-labelledby": "runs-title"},
    h(
      "div",
      {class: "section-head"},
      h("h1", {id: "runs-title", tabindex: "-1"}, "Runs"),
      h("span", {class: "quiet"}, () => (total() ? `${count(total())} in this lab` : "")),
      h("div", {class: "picks"}, () => total() > 0 && searchField(), tools),
    ),
    h("div", {role: "alert"}, () => complaint() && h("p", {class: "problem"}, complaint())),
    h("div", {role: "status"}, () => gone().length > 0 && departed(gone())),
    () =>
      listed() &&
      total() === 0 &&
      h(
        "p",
        {class: "empty"},
        "No run yet. ",
        h("a", {href: "/new"}, "Start one"),
        ": what it trains is filled in.",
      ),
    () =>
      sought() !== "" &&
      matching().length === 0 &&
      h(
        "p",
        {class: "empty", role: "status"},
        `No run has “${sought()}” in its name, id or driver.`,
      ),
    h(
      "ul",
      {class: "run-list"},
      each(nested, (run) => run.id, row, keepFocus),
    ),
    () =>
      unread() > 0 &&
      h(
        "button",
        {type: "button", class: "plain", onclick: () => asked(readMore())},
        `Show older runs (${count(unread())})`,
      ),
  );
}

/** What became of runs that were in the charts. @param {string[]} sentences */
const departed = (sentences) =>
  h(
    "div",
    {class: "note warning departed"},
    h(
      "div",
      null,
      sentences.map((sentence) => h("p", null, sentence)),
    ),
    h("button", {type: "button", class: "plain", onclick: () => gone.set([])}, "Dismiss"),
  );

const TYPED_MS = 200;

function searchField() {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let typing;
  const input = h("input", {
    type: "search",
    class: "run-search",
    "aria-label": "Search runs",
    placeholder: "Name, driver or number",
    maxlength: "200",
    autocomplete: "off",
    value: sought.peek(),
    oninput: () => {
      clearTimeout(typing);
      typing = setTimeout(() => asked(search(input.value.trim())), TYPED_MS);
    },
  });
  return input;
}

/** A reading that the reader asked for: if it fails, the complaint says so. @param {Promise<any>} reading */
function asked(reading) {
  reading.then(
    () => complaint.set(""),
    (error) => complaint.set(error instanceof Error ? error.message : String(error)),
  );
}

/** The focus of a run that leaves the list goes to its neighbour. @param {Element} row */
function keepFocus(row) {
  if (!row.contains(document.activeElement)) return;
  const neighbour = (row.nextElementSibling ?? row.previousElementSibling)?.querySelector(
    ".run-name",
  );
  /** @type {HTMLElement | null} */ (neighbour ?? document.querySelector("#runs-title"))?.focus();
}
