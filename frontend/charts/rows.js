// @ts-check
/**
 * The numbers of any figure as rows of plain text and numbers, derived from its traces: whatever is
 * drawn has a row, with its own value where the axis shows a transform of it.
 */

import {number} from "../lib/format.js";
import {UPRIGHT} from "../plot-theme.js";
import {linkAt} from "./links.js";

/** @typedef {number | string | null} Cell */
/** @typedef {{name: string, cells: Cell[], link?: string}} Row of the line, panel or layer that is named; `link`: the runs it leads to */
/** @typedef {{head: string[], rows: Row[]}} Rows */
/** @typedef {{[axis: string]: string}} Scales of axes: linear, log or "asinh UNIT" */

/** The name of an annotation that belongs to a line without rows (`meta.unlisted`). */
const UNLISTED = "unlisted";

/** Plotly's little HTML as plain text. @param {unknown} text */
export const legible = (text) =>
  String(text ?? "")
    .replace(/<br\s*\/?>/g, "; ")
    .replace(/<sup>(.*?)<\/sup>/g, "^$1")
    .replace(/<\/?[a-z][^>]*>/g, "")
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&#123;", "{")
    .replaceAll("&amp;", "&");

/**
 * All rows of a figure that is no table itself.
 * @param {{data: any[], layout: any}} figure
 * @param {Scales} scales
 * @returns {Rows}
 */
export function rowsOf({data, layout}, scales) {
  // What the legend lists comes before guides and marks.
  const listed = data
    .filter((trace) => !trace.meta?.unlisted)
    .sort((a, b) => Number(isGuide(a)) - Number(isGuide(b)));
  const points = listed.flatMap((trace) => ofTrace(trace, layout, scales));
  const all = [...points, ...ofAnnotations(layout, data), ...ofShapes(layout, scales)];
  const even = all.every(({cells: [, , , down, up]}) => down === up || isNear(down, up));
  const head = [titleOf(layout, "x"), titleOf(layout, "y"), "value"];
  head.push(even ? "± error" : "− error", "+ error", "details");
  // Columns in which nothing stands are left out.
  const kept = head.map((_, at) => !(even && at === 4) && all.some(({cells}) => cells[at] != null));
  return {
    head: head.filter((_, at) => kept[at]),
    rows: all.map(({name, cells, link}) => ({
      name,
      cells: cells.filter((_, at) => kept[at]),
      link,
    })),
  };
}

/** @param {any} trace */
const isGuide = (trace) => trace.showlegend === false && !trace.meta?.run;

/** Whether two error bars differ by rounding alone. @param {Cell} a @param {Cell} b */
const isNear = (a, b) => Math.abs(Number(a) - Number(b)) <= 1e-6 * Math.abs(Number(a));

/** The words of the first axis that has any. @param {any} layout @param {"x" | "y"} letter */
function titleOf(layout, letter) {
  const axes = Object.keys(layout).filter((key) => new RegExp(`^${letter}axis\\d*$`).test(key));
  const titles = axes.map((key) => legible(layout[key].title?.text).split("; ")[0]);
  return titles.find(Boolean) || (letter === "y" && above(layout)) || letter;
}

/** The words that a drawn plot has above its vertical axis in place of a title. @param {any} layout */
function above({annotations}) {
  const [title] = (annotations ?? []).filter((/** @type {any} */ {name}) => name === UPRIGHT);
  return legible(title?.text).split("; ")[0];
}

/** @param {any} trace @param {any} layout @param {Scales} scales @returns {Row[]} */
function ofTrace(trace, layout, scales) {
  const name = nameOf(trace, layout);
  if (Array.isArray(trace.z)) return ofGrid(trace, name, layout, scales);
  const count = Math.max(trace.x?.length ?? 0, trace.y?.length ?? 0);
  return Array.from({length: count}, (_, i) => ({
    name,
    link: linkAt(trace, i),
    cells: [
      coordinate(trace, "x", i, layout, scales),
      coordinate(trace, "y", i, layout, scales),
      null,
      ...errors(trace, i, scales),
      details(trace, i),
    ],
  }));
}

/** The whole name of a trace, with the heading of its panel. @param {any} trace @param {any} layout */
function nameOf(trace, layout) {
  const name = legible(trace.meta?.full ?? trace.name ?? trace.meta?.role ?? "");
  const where = panel(trace, layout);
  return [name.startsWith(where) ? "" : where, name].filter(Boolean).join(" · ");
}

/** Small multiples: the words above the trace's panel. @param {any} trace @param {any} layout */
function panel(trace, layout) {
  const axis = layout[axisOf(trace, "y")];
  if (!layout.yaxis?.domain || !axis?.domain) return "";
  const at = Number(trace.yaxis?.slice(1) || 1) - 1;
  return legible((layout.annotations?.[at]?.text ?? axis.title?.text ?? "").split("<br>")[0]);
}

/** @param {any} trace @param {"x" | "y"} letter */
const axisOf = (trace, letter) => `${letter}axis${trace[`${letter}axis`]?.slice(1) ?? ""}`;

/**
 * @param {any} trace
 * @param {"x" | "y"} letter
 * @param {number} i
 * @param {any} layout
 * @param {Scales} scales
 * @returns {Cell}
 */
function coordinate(trace, letter, i, layout, scales) {
  const axis = axisOf(trace, letter);
  const value = trace[letter]?.[i] ?? null;
  if (typeof value === "string") return legible(value);
  const own = trace.customdata?.[i];
  // A mark at the edge has no place of its own on its axis from 0 to 1.
  if (letter === "y" && layout[axis]?.visible === false)
    return typeof own === "number" ? own : null;
  const scale = scales[axis] ?? "linear";
  if (letter === "y" && scale.startsWith("asinh") && typeof own === "number") return own;
  // The number of a row is no value where its name stands elsewhere.
  if (layout[axis]?.showticklabels === false && layout[axis].tickmode === "array") return null;
  return namedAt(layout[axis], value, scale) ?? valueAt(value, scale);
}

/**
 * The name, or the number, of a row or column that is drawn at a position; null without any.
 * @param {any} axis
 * @param {unknown} position
 * @param {string} scale
 * @returns {Cell}
 */
function namedAt(axis, position, scale) {
  const tick = scale === "linear" ? (axis?.tickvals?.indexOf(position) ?? -1) : -1;
  const text = tick >= 0 && axis.ticktext?.[tick];
  if (!text) return null;
  if (!isNumber(text)) return legible(text);
  // A number beside a value may be rounded; of rows that are counted from 0 it is the value.
  return isCounted(axis) ? Number(text.replaceAll(",", "")) : null;
}

/** Whether rows or columns are drawn at 0, 1, 2 and so on. @param {any} axis */
const isCounted = ({tickmode, tickvals}) =>
  tickmode === "array" &&
  tickvals.every((/** @type {unknown} */ at, /** @type {number} */ i) => at === i);

/** @param {string} text */
const isNumber = (text) => text.trim() !== "" && Number.isFinite(Number(text.replaceAll(",", "")));

/** The value at a position of an axis. @param {number | null} position @param {string} scale */
function valueAt(position, scale) {
  const unit = /^asinh (.+)$/.exec(scale)?.[1];
  return position == null || !unit ? position : Math.sinh(position * Math.LN10) * Number(unit);
}

/** How far error bars reach down and up, in the values' own terms. @param {any} trace @param {number} i @param {Scales} scales @returns {Cell[]} */
function errors(trace, i, scales) {
  for (const letter of /** @type {const} */ (["y", "x"])) {
    const bars = trace[`error_${letter}`];
    if (!bars?.array) continue;
    const scale = scales[axisOf(trace, letter)] ?? "linear";
    const middle = trace[letter][i];
    if (middle == null) return [null, null];
    const at = (/** @type {number} */ position) => /** @type {number} */ (valueAt(position, scale));
    const down = (bars.symmetric === false ? bars.arrayminus : bars.array)?.[i] ?? 0;
    return [at(middle) - at(middle - down), at(middle + (bars.array[i] ?? 0)) - at(middle)];
  }
  return [null, null];
}

/** What a point says besides its place. @param {any} trace @param {number} i @returns {string | null} */
function details(trace, i) {
  const own = trace.customdata?.[i];
  const said = [trace.text, trace.hovertext].map((texts) =>
    Array.isArray(texts) ? texts[i] : texts,
  );
  if (typeof own === "string") said.push(own);
  if (trace.type === "bar" && Array.isArray(own))
    said.push(own.map((end) => number(end)).join(" … "));
  const known = new Set([legible(trace.name), legible(trace.meta?.full)]);
  // The bold line of a hover is the name of the line.
  const bare = said.map(withoutHead);
  const parts = bare.flatMap((text) => legible(text).split("; "));
  return [...new Set(parts)].filter((part) => part && !known.has(part)).join("; ") || null;
}

/** A hover text without the bold line that it begins with. @param {unknown} text */
const withoutHead = (text) => String(text ?? "").replace(/^<b>.*?<\/b>(<br>)?/, "");

/** A row for each cell of a grid that has a value. @param {any} trace @param {string} name @param {any} layout @param {Scales} scales @returns {Row[]} */
function ofGrid(trace, name, layout, scales) {
  const {z, text, customdata, hovertext, texttemplate} = trace;
  const [x, y] = [placesOf(trace, "x", z[0]?.length ?? 0), placesOf(trace, "y", z.length)];
  const names = typeof y[0] === "string";
  const [across, up] = [axisOf(trace, "x"), axisOf(trace, "y")];
  return z.flatMap((/** @type {any[]} */ row, /** @type {number} */ j) =>
    row.flatMap((value, i) => {
      if (value == null) return [];
      // Texts say why a cell has no number, unless they are printed in it.
      const reason = legible(text?.[j]?.[i]) && !texttemplate;
      const said = legible(withoutHead((texttemplate ? hovertext : text)?.[j]?.[i])) || null;
      const layer = legible(y[j]);
      const place = [
        namedAt(layout[across], x[i], scales[across] ?? "linear") ?? x[i],
        names
          ? layer
          : (namedAt(layout[up], y[j], scales[up] ?? "linear") ??
            valueAt(y[j], scales[up] ?? "linear")),
      ];
      // The number of a cell without a colour is only the number of its reason.
      const cell = reason || trace.meta?.valueless ? null : (customdata?.[j]?.[i] ?? value);
      const whose = [name, names ? layer : ""].filter(Boolean).join(" · ");
      return [
        {name: whose, cells: [...place, cell, null, null, said], link: linkAt(trace, [j, i])},
      ];
    }),
  );
}

/** Where the cells of a grid are, which may be said by a first place and a distance. @param {any} trace @param {"x" | "y"} letter @param {number} count @returns {any[]} */
const placesOf = (trace, letter, count) =>
  trace[letter] ??
  Array.from(
    {length: count},
    (_, i) => (trace[`${letter}0`] ?? 0) + i * (trace[`d${letter}`] ?? 1),
  );

/** Texts that stand in the plot and are not the name of a trace or a panel. @param {any} layout @param {any[]} data @returns {Row[]} */
function ofAnnotations(layout, data) {
  const names = new Set(data.flatMap((trace) => [trace.name, trace.meta?.full]));
  return (layout.annotations ?? []).flatMap((/** @type {any} */ annotation) => {
    const {text, x, y, xref, yref} = annotation;
    if (annotation.name === UNLISTED) return [];
    if (!text || names.has(text) || (xref === "paper" && yref === "paper")) return [];
    const place = [xref === "paper" ? null : x, yref === "paper" ? null : y];
    return [{name: "Labels", cells: [...place, null, null, null, legible(text)]}];
  });
}

/** Lines and areas across the plot that have a label. @param {any} layout @param {Scales} scales @returns {Row[]} */
const ofShapes = (layout, scales) =>
  (layout.shapes ?? []).flatMap((/** @type {any} */ shape) =>
    shape.label?.text
      ? [
          {
            name: "Marks",
            cells: [
              valueAt(shape.x0, scales.xaxis ?? ""),
              null,
              null,
              null,
              null,
              legible(shape.label.text),
            ],
          },
        ]
      : [],
  );

/** All rows as a file for spreadsheets, numbers in full. @param {Rows} table */
export function csvOf({head, rows}) {
  const lines = [["line", ...head], ...rows.map(({name, cells}) => [name, ...cells])];
  // Without the mark at the front, a spreadsheet takes the text for another encoding.
  return `\ufeff${lines.map((line) => line.map(field).join(",")).join("\r\n")}\r\n`;
}

/** @param {Cell} cell */
function field(cell) {
  if (typeof cell !== "string") return cell == null ? "" : String(cell);
  // A spreadsheet would run a text that begins like a formula.
  const safe = /^[=+\-@\t\r]/.test(cell) ? `'${cell}` : cell;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
