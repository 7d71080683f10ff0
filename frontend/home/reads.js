// @ts-check
/** A few digits, and what the network reads in them at the moment that is shown. */
import {h, svg} from "../lib/h.js";
import {saidAt} from "./race.js";

/** @typedef {import("./race.js").Race} Race */
/** @typedef {import("./race.js").Example} Example */

/** Pixels a side. */
const SIDE = 8;
/** Sixteenths of black. */
const DEPTH = 16;
/** Depths that differ: the fewer, the shorter the paths. */
const SHADES = 4;

/** @param {Race} race @param {"h2" | "h3"} heading */
export function reads(race, heading) {
  const {answer, story, head} = race;
  const takeaway = () => saidAt(story()?.takeaways.reading ?? [], head());
  return h(
    "figure",
    {class: "race-figure", "aria-label": () => `What it reads now. ${takeaway()}`},
    h(heading, {class: "race-title"}, "What it reads now"),
    h("p", {class: "race-takeaway"}, takeaway),
    h(
      "ul",
      {class: "race-digits"},
      answer.examples.map((example, i) => tile(example, () => classAt(race, i))),
    ),
  );
}

/** What it takes an example for; null where that is not known. @param {Race} race @param {number} i */
const classAt = ({story, at}, i) => story()?.reading[i]?.[at()] ?? null;

/** @param {Example} example @param {() => number | null} read */
function tile({pixels, label}, read) {
  const isWrong = () => read() !== null && read() !== label;
  return h(
    "li",
    {class: () => (isWrong() ? "wrong" : "")},
    svg(
      "svg",
      {viewBox: `0 0 ${SIDE} ${SIDE}`, role: "img", "aria-label": `A handwritten ${label}`},
      shades(pixels).map(({depth, d}) => svg("path", {d, "fill-opacity": depth})),
    ),
    h("span", null, () => (read() === null ? "–" : `${read()}${isWrong() ? " ×" : ""}`)),
  );
}

/** A path for each depth of ink. @param {string} pixels */
function shades(pixels) {
  const depths = [...pixels].map((letter) => parseInt(letter, DEPTH + 1) / DEPTH);
  return Array.from({length: SHADES}, (_, shade) => {
    const depth = (shade + 1) / SHADES;
    const mine = depths.flatMap((value, i) =>
      Math.round(value * SHADES) === shade + 1 ? [i] : [],
    );
    const d = mine.map((i) => `M${i % SIDE} ${Math.floor(i / SIDE)}h1v1h-1z`).join("");
    return {depth, d};
  });
}
