// @ts-check
/** Taking things out of the page: the clipboard, files, and a word that it worked. */
import {h} from "./h.js";
import {signal} from "./signal.js";

/** The last thing that was done, for the page's status line. */
const announcement = signal("");

/** @typedef {{text: string, takeBack: () => void}} Undo */

/** What was done and can still be taken back, and how. */
const undo = signal(/** @type {Undo | null} */ (null));

const UNDO_MS = 10_000;
const SAID_MS = 4000;

/** @type {ReturnType<typeof setTimeout> | undefined} */
let fading;

/** @param {string} text */
export function say(text) {
  clearTimeout(fading);
  announcement.set(text);
  fading = setTimeout(() => announcement.set(""), SAID_MS);
}

/**
 * Do what cannot be taken back, unless the reader does not want it within ten seconds. It is done
 * at once when the page is left. What was done just before is taken back with it, so that a press
 * too many costs nothing.
 * @param {string} text what was done, as the reader sees it
 * @param {() => any} act
 * @param {() => void} bringBack
 */
export function later(text, act, bringBack) {
  const before = undo.peek();
  let isPending = true;
  const timer = setTimeout(finish, UNDO_MS);
  addEventListener("pagehide", finish);
  /** @type {Undo} */
  const mine = {
    text,
    takeBack() {
      if (isPending) {
        end();
        bringBack();
      }
      before?.takeBack();
    },
  };
  undo.set(mine);
  function end() {
    isPending = false;
    clearTimeout(timer);
    removeEventListener("pagehide", finish);
    if (undo.peek() === mine) undo.set(null);
  }
  function finish() {
    end();
    act();
  }
}

/** The status line: what was said last, and what can be taken back, with its button. */
export const statusLine = () =>
  h(
    "div",
    {class: "said"},
    h("span", {role: "status"}, () => [undo()?.text, announcement()].filter(Boolean).join(" ")),
    () => {
      const now = undo();
      return now && h("button", {type: "button", class: "act", onclick: now.takeBack}, "Undo");
    },
  );

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
