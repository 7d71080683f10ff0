// @ts-check
/**
 * Keys: each does what the open page, or the lab as a whole, binds to it. Never while something is
 * being typed, nor where the key has a meaning of its own; and not at all if the reader has
 * switched them off.
 */
import {onEnd, signal} from "./lib/signal.js";

/** @typedef {() => boolean | void} Act false: it did nothing, and the key keeps its usual meaning */

const SETTING = "gradlab keys";
/** Between the two keys of a pair, such as g and h. */
const PAIR_MS = 1500;

/** Whether keys do something: a setting of the browser, since a person needs it everywhere. */
export const enabled = signal(stored() !== "off");

/** @type {Map<string, Act[]>} key, or pair of keys with a space between → acts; the last one counts */
const bindings = new Map();

/** @type {{key: string, at: number} | null} the first key of a pair */
let first = null;

function stored() {
  try {
    return localStorage.getItem(SETTING);
  } catch {
    return null; // the browser keeps nothing for this page
  }
}

/** @param {boolean} on */
export function enable(on) {
  enabled.set(on);
  try {
    localStorage.setItem(SETTING, on ? "on" : "off");
  } catch {
    // It holds until the page is left.
  }
}

/** Let a key do something until the surrounding scope ends. @param {string} key or two: "g h" @param {Act} act */
export function bindKey(key, act) {
  const acts = bindings.get(key) ?? [];
  bindings.set(key, [...acts, act]);
  onEnd(() =>
    bindings.set(
      key,
      (bindings.get(key) ?? []).filter((other) => other !== act),
    ),
  );
}

export function followKeys() {
  document.addEventListener("keydown", (event) => enabled.peek() && press(event));
  addEventListener("storage", ({key}) => key === SETTING && enabled.set(stored() !== "off"));
}

/** @param {KeyboardEvent} event */
function press(event) {
  const {key, ctrlKey, metaKey, altKey} = event;
  const target = /** @type {Element} */ (event.target);
  if (ctrlKey || metaKey || altKey || document.querySelector("dialog[open]")) return;
  if (target.closest("input, select, textarea")) return;
  // On a control the space bar presses it; in a table or a text it scrolls, as arrows do.
  const scrolls = [" ", "ArrowLeft", "ArrowRight"].includes(key);
  if (scrolls && target.closest("summary, a, [tabindex='0'], [contenteditable]")) return;
  if (key === " " && target.closest("button")) return;
  const before = first && performance.now() - first.at < PAIR_MS ? `${first.key} ` : "";
  first = null;
  const act = bindings.get(before + key)?.at(-1);
  if (act) {
    if (act() !== false) event.preventDefault();
  } else if (isFirst(key)) first = {key, at: performance.now()};
}

/** Whether a pair begins with a key. @param {string} key */
const isFirst = (key) => [...bindings.keys()].some((pair) => pair.startsWith(`${key} `));
