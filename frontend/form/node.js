// @ts-check
/**
 * What the form is made of. A node is an element that can be read, can find the node that a
 * problem's `loc` speaks of, and can show the problem beside itself.
 *
 * @typedef {object} FormNode
 * @property {HTMLElement} element
 * @property {() => any} read
 * @property {(name: string | number) => FormNode | undefined} child
 * @property {(message: string) => void} complain "" takes the complaint back
 * @property {() => void} focus
 */
import {h} from "../lib/h.js";
import {prose} from "../lib/prose.js";
import {signal} from "../lib/signal.js";

let counter = 0;
/** A fresh id, for labels and descriptions. @param {string} stem */
export const freshId = (stem) => `${stem}-${++counter}`;

/**
 * The deepest node that `loc` leads to.
 * @param {FormNode} node
 * @param {(string | number)[]} loc
 * @returns {FormNode}
 */
export function locate(node, loc) {
  const child = loc.length ? node.child(loc[0]) : undefined;
  return child ? locate(child, loc.slice(1)) : node;
}

/** A message of the lab with a full stop; names keep their case. @param {string} text */
export const sentence = (text) => text && text + (/[.!?]$/.test(text) ? "" : ".");

/** A place for a problem, empty until there is one. @param {string} id */
export function problemLine(id) {
  const message = signal("");
  const line = h("p", {class: "problem", id, hidden: () => !message()}, message);
  return {line, message};
}

/** The help of a control, which stands below it while it has the focus. @param {string} text @param {string} id */
export const hint = (text, id) => h("p", {class: "hint", id}, prose(text));

/**
 * A button that tells about a control: on hover, on focus and on touch.
 * @param {string} title
 * @param {string} text
 * @param {string} id
 * @param {any} [button] what stands on it
 */
export function help(title, text, id, button = "?") {
  const dismiss = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Escape") /** @type {HTMLElement} */ (event.currentTarget).blur();
  };
  return h(
    "span",
    {class: "help"},
    h(
      "button",
      {type: "button", "aria-label": `About ${title}`, "aria-describedby": id, onkeydown: dismiss},
      button,
    ),
    h("span", {class: "tip", role: "tooltip", id}, prose(text)),
  );
}
