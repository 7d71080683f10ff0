// @ts-check
/** Taking things out of the page: the clipboard, files, and a word that it worked. */
import {h} from "./h.js";
import {signal} from "./signal.js";

/** The last thing that was done, for the page's status line. */
export const announcement = signal("");
/** What takes it back, as long as that is possible. */
export const undoing = signal(/** @type {(() => void) | null} */ (null));

const UNDO_MS = 10_000;

/** @type {ReturnType<typeof setTimeout> | undefined} */
let fading;

/** @param {string} text */
export function say(text) {
  clearTimeout(fading);
  announcement.set(text);
  undoing.set(null);
  fading = setTimeout(() => announcement.set(""), 4000);
}

/**
 * Do what cannot be taken back, unless the reader does not want it within ten seconds. It is done
 * at once when the page is left. What was done just before is taken back with it, so that a press
 * too many costs nothing.
 * @param {string} text what was done, as the reader sees it
 * @param {() => any} act
 * @param {() => void} undo
 */
export function later(text, act, undo) {
  const before = undoing.peek();
  say(text);
  clearTimeout(fading);
  let isPending = true;
  const timer = setTimeout(finish, UNDO_MS);
  addEventListener("pagehide", finish);
  const cancel = () => {
    if (isPending) {
      end();
      undo();
    }
    before?.();
  };
  undoing.set(cancel);
  function end() {
    isPending = false;
    clearTimeout(timer);
    removeEventListener("pagehide", finish);
    // Something else may be said in the meantime.
    if (undoing.peek() !== cancel) return;
    undoing.set(null);
    announcement.set("");
  }
  function finish() {
    end();
    act();
  }
}

/** The status line, with a button that takes the last thing back where that is possible. */
export const statusLine = () =>
  h("div", {class: "said"}, h("span", {role: "status"}, announcement), () => {
    const undo = undoing();
    return undo && h("button", {type: "button", class: "act", onclick: undo}, "Undo");
  });

/** @param {string} text */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    say("Copied.");
  } catch {
    // No clipboard without a secure context or a permission: hand the text over to be copied.
    prompt("Copy this:", text);
  }
}

/** @param {Blob} blob @param {string} name */
export function saveBlob(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  say(`Saved ${name}.`);
}
