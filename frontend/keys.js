// @ts-check
/** Keys: space pauses and resumes, ? helps. Never while something is being typed. */
import {h} from "./lib/h.js";
import {focused, toggle} from "./lab.js";
import {parameter} from "./state.js";

const KEYS = [
  ["space", "pause or resume the focused run"],
  ["j, k", "next or previous layer of the measures"],
  ["n", "go to the form of a new run"],
  ["?", "this help"],
];

export function keysDialog() {
  const dialog = h(
    "dialog",
    {class: "dialog", "aria-labelledby": "keys-title"},
    h("h2", {id: "keys-title"}, "Help"),
    h(
      "p",
      null,
      "Choose estimators in the form and press Run. The driver's gradient trains the network; shadows are measured at the same weights and batch. Charts show the runs that are ticked; double-click a chart to undo a zoom.",
    ),
    h(
      "dl",
      {class: "keys"},
      KEYS.map(([key, text]) => [h("dt", null, h("kbd", null, key)), h("dd", null, text)]),
    ),
    h("button", {type: "button", class: "plain close", onclick: () => dialog.close()}, "Close"),
  );
  document.addEventListener("keydown", (event) => press(event, dialog));
  return dialog;
}

/** @param {KeyboardEvent} event @param {HTMLDialogElement} dialog */
function press(event, dialog) {
  const target = /** @type {Element} */ (event.target);
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]"))
    return;
  if (target.closest("input, select, textarea")) return;
  // On a button or a summary the space bar belongs to that control.
  if (event.key === " " && target.closest("button, summary, a")) return;
  const run = focused();
  if (event.key === "?") dialog.showModal();
  else if (event.key === " " && run) toggle(run);
  else if (event.key === "j" || event.key === "k") move(run, event.key === "j" ? 1 : -1);
  else if (event.key === "n")
    /** @type {HTMLElement | null} */ (document.querySelector("#new-run input"))?.focus();
  else return;
  event.preventDefault();
}

/** @param {import("./types.js").Run | undefined} run @param {number} by */
function move(run, by) {
  const stages = [
    "",
    ...new Set((run?.facts?.layers ?? []).map((/** @type {any} */ row) => row.stage)),
  ];
  const layer = parameter("layer");
  const at = Math.max(0, stages.indexOf(layer()));
  layer.set(stages[(at + by + stages.length) % stages.length]);
}
