// @ts-check
/**
 * Keys: space pauses and resumes, ? helps. Never while something is being typed, nor where the key
 * has a meaning of its own; and not at all if the reader has switched them off.
 */
import {h} from "./lib/h.js";
import {signal} from "./lib/signal.js";
import {focused, toggle} from "./lab.js";
import {go, parameter} from "./state.js";

const KEYS = [
  ["space", "pause or resume the focused run"],
  ["j, k", "next or previous layer of the measures"],
  ["n", "configure a new run"],
  ["?", "this help"],
];

const SETTING = "gradlab keys";
/** Whether keys do something: a setting of the browser, since a person needs it everywhere. */
const enabled = signal(stored() !== "off");

function stored() {
  try {
    return localStorage.getItem(SETTING);
  } catch {
    return null; // the browser keeps nothing for this page
  }
}

/** @param {boolean} on */
function enable(on) {
  enabled.set(on);
  try {
    localStorage.setItem(SETTING, on ? "on" : "off");
  } catch {
    // It holds until the page is left.
  }
}

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
      "label",
      {class: "keys-switch"},
      h("input", {
        type: "checkbox",
        checked: enabled,
        onchange: (/** @type {Event} */ event) =>
          enable(/** @type {HTMLInputElement} */ (event.target).checked),
      }),
      "Single-key shortcuts in this browser",
    ),
    h(
      "dl",
      {class: "keys", "data-off": () => String(!enabled())},
      KEYS.map(([key, text]) => [h("dt", null, h("kbd", null, key)), h("dd", null, text)]),
    ),
    h("button", {type: "button", class: "plain close", onclick: () => dialog.close()}, "Close"),
  );
  document.addEventListener("keydown", (event) => enabled.peek() && press(event, dialog));
  addEventListener("storage", ({key}) => key === SETTING && enabled.set(stored() !== "off"));
  return dialog;
}

/** @param {KeyboardEvent} event @param {HTMLDialogElement} dialog */
function press(event, dialog) {
  const target = /** @type {Element} */ (event.target);
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]"))
    return;
  if (target.closest("input, select, textarea")) return;
  // On a control the space bar presses it; in a table or a text it scrolls.
  if (event.key === " " && target.closest("button, summary, a, [tabindex='0']")) return;
  if (obey(event.key, dialog)) event.preventDefault();
}

/** @param {string} key @param {HTMLDialogElement} dialog @returns {boolean} whether it did something */
function obey(key, dialog) {
  const run = focused();
  if (key === " ") return run !== undefined && toggle(run);
  if (key === "?") dialog.showModal();
  else if (key === "j" || key === "k") move(run, key === "j" ? 1 : -1);
  else if (key === "n") go("/new");
  else return false;
  return true;
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
