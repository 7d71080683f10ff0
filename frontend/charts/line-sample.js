// @ts-check
/** A small picture of a line: colour, dash and marker each identify it. */
import {svg} from "../lib/h.js";
import {shaded} from "../shades.js";
import {shade} from "../theme.js";

/** @typedef {{colour: string, dash: string, symbol: string}} Look dash and symbol may be empty */

/** @type {Record<string, string>} plotly's names for dashes */
const DASHES = {
  dash: "6 3",
  dot: "2 3",
  dashdot: "6 2 2 2",
  longdash: "10 3",
  longdashdot: "10 2 2 2",
};
/** @type {Record<string, string>} plotly's names for markers */
const MARKS = {
  circle: "●",
  square: "■",
  diamond: "◆",
  "triangle-up": "▲",
  "triangle-down": "▼",
  cross: "✚",
  x: "✖",
  star: "★",
  pentagon: "⬟",
  hexagon: "⬢",
  bowtie: "⧓",
  hourglass: "⧗",
  hexagram: "✶",
  "circle-open": "○",
  "square-open": "□",
  "diamond-open": "◇",
  "triangle-up-open": "△",
  "x-open": "✕",
  "circle-x-open": "⊗",
  "hash-open": "#",
};

/** @param {Look} look */
export function sample({colour, dash, symbol}) {
  return svg(
    "svg",
    {class: "sample", viewBox: dash ? "0 0 32 12" : "10 0 12 12", "aria-hidden": "true"},
    dash &&
      svg("path", {
        d: "M0 6h32",
        stroke: () => shaded(colour, shade()),
        "stroke-width": 2.5,
        "stroke-dasharray": DASHES[dash],
      }),
    symbol &&
      svg(
        "text",
        {
          ...{x: 16, y: 6, "text-anchor": "middle", "dominant-baseline": "central"},
          fill: () => shaded(colour, shade()),
        },
        MARKS[symbol] ?? "●",
      ),
  );
}
