// @ts-check
/** A button that opens a small panel beside it. Going elsewhere closes it, and so does Escape. */
import {h} from "./h.js";
import {effect, onEnd, signal} from "./signal.js";

/**
 * @param {object} options
 * @param {string} options.name of the button's class
 * @param {string} [options.label] for screen readers, where the button's text does not say it
 * @param {any} options.button what stands on the button
 * @param {(close: () => void) => any} options.panel made when it is opened
 */
export function menu({name, label, button, panel}) {
  const isOpen = signal(false);
  const summary = h("summary", {class: name, "aria-label": label, title: label}, button);
  /** @type {HTMLDetailsElement} */
  const details = h(
    "details",
    {
      class: "menu",
      ontoggle: () => isOpen.set(details.open),
      onfocusout: (/** @type {FocusEvent} */ {relatedTarget}) => {
        if (relatedTarget && !details.contains(/** @type {Node} */ (relatedTarget))) close();
      },
      onkeydown: (/** @type {KeyboardEvent} */ event) => {
        if (event.key !== "Escape" || !details.open) return;
        event.stopPropagation();
        close();
      },
    },
    summary,
    () => isOpen() && h("div", {class: "menu-items"}, panel(close)),
  );
  effect(() => {
    if (!isOpen()) return;
    const press = (/** @type {Event} */ {target}) => {
      if (!details.contains(/** @type {Node} */ (target))) details.open = false;
    };
    document.addEventListener("pointerdown", press);
    onEnd(() => document.removeEventListener("pointerdown", press));
  });
  function close() {
    const hadFocus = details.contains(document.activeElement);
    details.open = false;
    if (hadFocus) summary.focus();
  }
  return details;
}
