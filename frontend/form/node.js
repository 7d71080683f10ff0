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

/**
 * Show the help of the control that has the focus. While a pointer is pressed it stays, so that
 * what the press is about to hit does not move away.
 */
export function followHelp() {
  let isPressed = false;
  const update = () => {
    if (isPressed) return;
    const owner = helped(document.activeElement);
    for (const other of document.querySelectorAll(".helped"))
      if (other !== owner) other.classList.remove("helped");
    owner?.classList.add("helped");
  };
  const press = (/** @type {Event} */ {type}) => {
    isPressed = type === "pointerdown";
    // The click that a press ends with comes before.
    if (!isPressed) setTimeout(update);
  };
  for (const type of ["pointerdown", "pointerup", "pointercancel"])
    addEventListener(type, press, true);
  addEventListener("focusin", update);
  addEventListener("focusout", () => setTimeout(update));
}

/** What the help of a control stands in. @param {Element | null} control */
const helped = (control) =>
  control?.matches(".shadows > select") ? control.parentElement : control?.closest(".field");
