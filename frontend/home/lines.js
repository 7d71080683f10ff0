// @ts-check
/** Line charts of the Home page, small and without a library, so that they are there at once. */
import {h, svg} from "../lib/h.js";
import {coloured, markerPath} from "./looks.js";

/**
 * @typedef {object} Line
 * @property {string} colour
 * @property {[number, number | null][]} points x and y from 0 to 1, from the lower left
 * @property {[number, number, number][]} [band] x, lower and upper y
 *
 * @typedef {object} Mark a sign on a line
 * @property {string} label of the estimator
 * @property {string} colour
 * @property {number} x
 * @property {number} y
 *
 * @typedef {{at: number, text: string}} Tick
 * @typedef {{label: string, colour: string, name: string, value: string, y: number}} End a name at the end of a line
 * @typedef {{x: number, label: string, colour: string, text: string}} Change a dashed line across
 *
 * @typedef {object} Drawn
 * @property {Line[]} lines
 * @property {Mark[]} [marks]
 * @property {End[]} [ends]
 * @property {Change[]} [changes]
 */

const SIZE = 1000;
/** The least distance of two names at the right, as a share of the height. */
const GAP = 0.115;

const at = (/** @type {number} */ x, /** @type {number} */ y) =>
  `${(SIZE * x).toFixed(0)} ${(SIZE * (1 - y)).toFixed(0)}`;

/** A path that is broken where a value is missing. @param {[number, number | null][]} points */
function path(points) {
  let drawn = "";
  let isOpen = false;
  for (const [x, y] of points) {
    if (y !== null) drawn += `${isOpen ? "L" : "M"}${at(x, y)}`;
    isOpen = y !== null;
  }
  return drawn;
}

/** @param {[number, number, number][]} band */
function area(band) {
  if (band.length === 0) return "";
  const upper = band.map(([x, , y]) => at(x, y));
  const lower = band.map(([x, y]) => at(x, y)).reverse();
  return `M${[...upper, ...lower].join("L")}z`;
}

/**
 * A chart whose frame stays while its lines are drawn anew.
 * @param {{x: Tick[], y: Tick[], draw: () => Drawn, class: string}} options
 */
export function chart({x, y, draw, class: name}) {
  return h(
    "div",
    {class: `race-plot ${name}`},
    svg(
      "svg",
      {viewBox: `0 0 ${SIZE} ${SIZE}`, preserveAspectRatio: "none", "aria-hidden": "true"},
      y.map((tick) => svg("path", {class: "rule", d: `M0 ${SIZE * (1 - tick.at)}H${SIZE}`})),
      () => draw().lines.map(line),
    ),
    y.map((tick) => place(h("span", {class: "tick-y"}, tick.text), {bottom: tick.at})),
    x.map((tick) =>
      place(
        h(
          "span",
          {class: `tick-x ${tick.at === 1 ? "last" : tick.at > 0.5 ? "late" : ""}`},
          tick.text,
        ),
        {
          left: tick.at,
        },
      ),
    ),
    () => (draw().changes ?? []).map(change),
    () => (draw().marks ?? []).map(mark),
    () => spaced(draw().ends ?? []).map(end),
  );
}

/** @param {Line} line */
const line = ({colour, points, band}) => [
  band && coloured(svg("path", {class: "band", d: area(band)}), colour),
  coloured(svg("path", {class: "line", d: path(points)}), colour),
];

/** @param {Mark} mark */
const mark = ({label, colour, x, y}) =>
  place(sign(label, colour, "race-mark"), {left: x, bottom: y});

/** @param {string} label @param {string} colour @param {string} name */
const sign = (label, colour, name) =>
  coloured(
    svg(
      "svg",
      {class: `mark ${name}`, viewBox: "0 0 12 12", "aria-hidden": "true"},
      svg("path", {d: markerPath(label)}),
    ),
    colour,
  );

/** @param {Change} change */
const change = ({x, label, colour, text}) =>
  place(
    h("div", {class: "race-change"}, h("span", null, sign(label, colour, ""), h("em", null, text))),
    {left: x},
  );

/** @param {End} end */
const end = ({label, colour, name, value, y}) =>
  place(
    h(
      "span",
      {class: "race-end"},
      sign(label, colour, ""),
      h("em", null, name),
      h("b", null, value),
    ),
    {bottom: y},
  );

/** Names that do not cover each other, near to where their lines end. @param {End[]} ends */
function spaced(ends) {
  const sorted = ends.toSorted((a, b) => a.y - b.y);
  let least = -Infinity;
  const raised = sorted.map((each) => {
    least = Math.max(each.y, least + GAP);
    return {...each, y: least};
  });
  let most = 1;
  return raised.toReversed().map((each) => {
    const y = Math.min(each.y, most);
    most = y - GAP;
    return {...each, y};
  });
}

/**
 * @template {HTMLElement | SVGElement} E
 * @param {E} element @param {{left?: number, bottom?: number}} where as shares @returns {E}
 */
function place(element, {left, bottom}) {
  if (left !== undefined) element.style.left = `${100 * left}%`;
  if (bottom !== undefined) element.style.bottom = `${100 * bottom}%`;
  return element;
}
