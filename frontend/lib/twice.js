// @ts-check
/** A button for what cannot be undone: the first press arms it, the second one acts. */
import {icon} from "../icons.js";
import {h} from "./h.js";
import {signal} from "./signal.js";
import {say} from "./take.js";

/**
 * When and where the pointer last acted. The next button of its kind may come to stand there, and
 * presses that were meant for the first must not arm it.
 */
let acted = {at: -Infinity, x: 0, y: 0};
const AGAIN_MS = 1500;
const SAME_PX = 4;

/** Whether a press goes on with presses of a button that has acted. @param {MouseEvent} event */
function isLeftOver({detail, clientX, clientY}) {
  const isKey = detail === 0;
  const isSamePlace = Math.hypot(clientX - acted.x, clientY - acted.y) < SAME_PX;
  return !isKey && isSamePlace && performance.now() - acted.at < AGAIN_MS;
}

/** @param {MouseEvent} event */
const remember = ({clientX: x, clientY: y}) => (acted = {at: performance.now(), x, y});

/**
 * Act; presses at this place are left over until some time after it is done, however long the
 * server takes.
 * @param {MouseEvent} event @param {() => any} act
 */
async function acting(event, act) {
  remember(event);
  acted.at = Infinity;
  try {
    await act();
  } finally {
    acted.at = performance.now();
  }
}

/**
 * @param {object} words
 * @param {string} words.text
 * @param {string} words.final what the second press does
 * @param {(armed: boolean) => string} words.label for screen readers, with what it is about
 * @param {() => any} act
 */
export function twice({text, final, label}, act) {
  const armed = signal(false);

  /** @param {MouseEvent} event */
  function press(event) {
    if (isLeftOver(event)) {
      acted.at = Math.max(acted.at, performance.now());
      return say("This press was not counted: it came right after the last one.");
    }
    if (!armed.peek()) return armed.set(true);
    return acting(event, act);
  }

  return h(
    "button",
    {
      type: "button",
      class: () => (armed() ? "act danger" : "act"),
      "aria-label": () => label(armed()),
      onclick: press,
      onblur: () => armed.set(false),
    },
    icon("bin"),
    () => (armed() ? final : text),
  );
}
