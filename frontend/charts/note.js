// @ts-check
/** The text below a chart: how many points it shows, and what its reader must know. */
import {count} from "../lib/format.js";
import {legible} from "./rows.js";

/** @typedef {import("../types.js").FigureAnswer} FigureAnswer */
/** @typedef {Pick<FigureAnswer, "shown" | "count" | "selection" | "zoomed" | "note" | "details"> & {below: string[]}} Note */

/** @type {Note} */
export const NOTHING = {
  ...{below: [], shown: 0, count: 0, selection: "", zoomed: false},
  ...{note: [], details: []},
};

/** @param {FigureAnswer} answer @returns {Note} */
export const noteOf = (answer) => ({...answer, below: below(answer.figure.layout)});

/** The lines that a figure has below its title. @param {any} layout @returns {string[]} */
const below = (layout) => (layout.title?.subtitle?.text ?? "").split("<br>").map(legible);

/** The counts with the points that were drawn since. @param {Note} note @param {number} grown */
function counts({shown, count: all, selection, zoomed}, grown) {
  if (!zoomed && !selection) return "";
  const where = zoomed ? " shown in this range" : "";
  const text = `${count(shown + grown)} of ${count(all + grown)} points${where}`;
  return [text, selection].filter(Boolean).join(", ");
}

/** @param {Note} note @param {number} grown points drawn since the figure was read */
export function textOf(note, grown) {
  const sentences = [counts(note, grown), ...note.note].filter(Boolean).join("; ");
  return [...note.below, sentences].filter(Boolean).join(" · ");
}
