// @ts-check
/** A button for what cannot be undone: the first press arms it, the second one acts. */
import {icon} from "../icons.js";
import {h} from "./h.js";
import {signal} from "./signal.js";

/**
 * @param {object} words
 * @param {string} words.text
 * @param {string} words.final what the second press does
 * @param {(armed: boolean) => string} words.label for screen readers, with what it is about
 * @param {() => any} act
 */
export function twice({text, final, label}, act) {
  const armed = signal(false);
  return h(
    "button",
    {
      type: "button",
      class: () => (armed() ? "act danger" : "act"),
      "aria-label": () => label(armed()),
      onclick: () => (armed.peek() ? act() : armed.set(true)),
      onblur: () => armed.set(false),
    },
    icon("bin"),
    () => (armed() ? final : text),
  );
}
