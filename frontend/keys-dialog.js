// @ts-check
/** Help: how the lab is used in three sentences, and the list of keys, with their switch. */
import {COMMANDS} from "./commands.js";
import {enable, enabled} from "./keys.js";
import {h} from "./lib/h.js";

const OTHERS = [
  ["/", "Search or jump to a page, a run or a command"],
  ["← →", "Previous or next checkpoint, at the microscope"],
  ["?", "Show this help"],
];

export function keysDialog() {
  /** @type {HTMLDialogElement} */
  const dialog = h(
    "dialog",
    {class: "dialog", "aria-labelledby": "keys-title"},
    h("h2", {id: "keys-title"}, "Help"),
    h(
      "p",
      null,
      "The driver's gradient trains the network. Shadows are measured at the same weights and batch. Every chart says its answer in a sentence; double-click a chart to undo a zoom.",
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
      [...COMMANDS.filter(({keys}) => keys).map(({keys, title}) => [keys, title]), ...OTHERS].map(
        ([keys, title]) => [h("dt", null, keyCaps(keys)), h("dd", null, title)],
      ),
    ),
    h("button", {type: "button", class: "plain close", onclick: () => dialog.close()}, "Close"),
  );
  return dialog;
}

/** @param {string} keys */
export const keyCaps = (keys) =>
  keys === " "
    ? h("kbd", null, "space")
    : keys.split(" ").map((key, i) => [i > 0 && " then ", h("kbd", null, key)]);
