// @ts-check
/** How an estimator looks: its colour, and its marker, which says the same without colour. */
import {svg} from "../lib/h.js";

/** Paths on a grid of 12 px. */
const MARKERS = {
  circle: "M6 1.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9z",
  square: "M2 2h8v8H2z",
  diamond: "M6 .8 11.2 6 6 11.2.8 6z",
  triangle: "M6 1.2 11.2 10.6H.8z",
  star: "M6 .4 7.5 4.4 11.7 4.5 8.4 7.1 9.5 11.2 6 8.8 2.5 11.2 3.6 7.1.3 4.5 4.5 4.4z",
};

/** @type {Record<string, {colour: string, marker: keyof typeof MARKERS}>} */
const LOOKS = {
  backprop: {colour: "var(--e-backprop)", marker: "circle"},
  fdfa: {colour: "var(--e-fdfa)", marker: "star"},
  direct_feedback_alignment: {colour: "var(--e-dfa)", marker: "triangle"},
  activity_forward_gradient: {colour: "var(--e-afg)", marker: "diamond"},
  forward_gradient: {colour: "var(--e-fg)", marker: "square"},
};
const OTHER = {colour: "var(--e-spsa)", marker: /** @type {const} */ ("circle")};

/** @param {string} label */
export const colourOf = (label) => (LOOKS[label] ?? OTHER).colour;

/** The outline of the marker, on a grid of 12 px. @param {string} label */
export const markerPath = (label) => MARKERS[(LOOKS[label] ?? OTHER).marker];

/** @param {string} label */
export function marker(label) {
  const mark = svg(
    "svg",
    {class: "mark", viewBox: "0 0 12 12", "aria-hidden": "true"},
    svg("path", {d: markerPath(label)}),
  );
  return coloured(mark, colourOf(label));
}

/**
 * The element with its colour in `--c`.
 * @template {HTMLElement | SVGElement} E
 * @param {E} element @param {string} colour @returns {E}
 */
export function coloured(element, colour) {
  element.style.setProperty("--c", colour);
  return element;
}

/** Powers of ten between the grey of no alignment and the full colour. */
const DECADES = 3;

/** The colour of an alignment, from orange over grey to blue, a shade a power of ten. @param {number | null} cosine */
export function alignmentColour(cosine) {
  if (!cosine) return "var(--d-0)";
  const size = Math.min(1, Math.max(0, 1 + Math.log10(Math.abs(cosine)) / DECADES));
  const [near, far] = cosine < 0 ? ["--d-n1", "--d-n2"] : ["--d-p1", "--d-p2"];
  const share = (/** @type {number} */ x) => `${Math.round(100 * x)}%`;
  return size < 0.5
    ? `color-mix(in oklab, var(${near}) ${share(2 * size)}, var(--d-0))`
    : `color-mix(in oklab, var(${far}) ${share(2 * size - 1)}, var(${near}))`;
}
