// @ts-check
/** Taking things out of the page: the clipboard, files, and a word that it worked. */
import {signal} from "./signal.js";

/** The last thing that was done, for the page's status line. */
export const announcement = signal("");

/** @type {ReturnType<typeof setTimeout> | undefined} */
let fading;

/** @param {string} text */
export function say(text) {
  clearTimeout(fading);
  announcement.set(text);
  fading = setTimeout(() => announcement.set(""), 4000);
}

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
