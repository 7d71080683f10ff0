// @ts-check
/** A chart's numbers as a table, for screen readers and for reading exact values. */
import {h} from "../lib/h.js";
import {number} from "../lib/format.js";

const ROWS = 100;
const COLUMNS = 24;

/**
 * @param {string} title
 * @param {any} plot
 * @param {() => any} drawn read again when the figure is drawn
 */
export function tableView(title, plot, drawn) {
  return h(
    "div",
    {class: "table-view", tabindex: "0", role: "region", "aria-label": `${title}, as a table`},
    () => {
      if (drawn() === 0) return h("p", {class: "quiet"}, "Loading …");
      const traces = plot.data ?? [];
      if (traces.length === 0) return h("p", {class: "quiet"}, "No points yet.");
      const ready = traces.find((/** @type {any} */ trace) => trace.type === "table");
      if (ready) return cells(ready);
      const map = traces.find((/** @type {any} */ trace) => trace.type === "heatmap");
      return map
        ? heatmap(map)
        : lines(
            plot,
            traces.filter((/** @type {any} */ trace) => trace.x?.length),
          );
    },
  );
}

/** A figure that is a table; its values come by column. @param {any} trace */
function cells({header, cells: {values}}) {
  /** @type {string[][]} */
  const rows = values[0].map((/** @type {string} */ _, /** @type {number} */ i) =>
    values.map((/** @type {string[]} */ column) => legible(column[i])),
  );
  const groups = grouped(rows);
  // Where each has a row of its own, a heading above each would only lengthen the table.
  return groups.length === rows.length ? table(header.values, rows) : parted(header.values, groups);
}

/** Rows that follow each other under one name. @param {string[][]} rows */
function grouped(rows) {
  /** @type {{name: string, rows: string[][]}[]} */
  const groups = [];
  for (const [name, ...rest] of rows) {
    if (groups.at(-1)?.name !== name) groups.push({name, rows: []});
    groups.at(-1)?.rows.push(rest);
  }
  return groups;
}

/**
 * What the first column repeats is said once, above its rows.
 * @param {string[]} head
 * @param {{name: string, rows: string[][]}[]} groups
 */
function parted([, ...head], groups) {
  return h(
    "table",
    {class: "parted"},
    heading(head),
    groups.map(({name, rows}) =>
      h(
        "tbody",
        null,
        h("tr", null, h("th", {scope: "rowgroup", colspan: head.length}, breakable(name))),
        rows.map(row),
      ),
    ),
  );
}

/** Plotly's escapes undone. @param {string} text */
export const legible = (text) =>
  text
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&#123;", "{")
    .replaceAll("&amp;", "&");

/** One row an x, one column a trace; the latest rows. @param {any} plot @param {any[]} traces */
function lines(plot, traces) {
  const xs = [...new Set(traces.flatMap((trace) => trace.x))].sort((a, b) => Number(b) - Number(a));
  const values = traces.map(
    (trace) =>
      new Map(trace.x.map((/** @type {any} */ x, /** @type {number} */ i) => [x, raw(trace, i)])),
  );
  return table(
    [
      String(plot.layout?.xaxis?.title?.text ?? "x"),
      ...traces.map((trace) => panel(plot.layout, trace) + legible(trace.name ?? "")),
    ],
    xs
      .slice(0, ROWS)
      .map((x) => [
        number(x),
        ...values.map((column) => (column.has(x) ? number(column.get(x)) : "")),
      ]),
    xs.length > ROWS
      ? `The latest ${ROWS} of ${xs.length} rows; the data file holds every point.`
      : "",
  );
}

/** Small multiples: the words above the trace's panel. @param {any} layout @param {any} trace */
function panel(layout, trace) {
  if (!layout.yaxis?.domain) return "";
  const heading = layout.annotations?.[Number(trace.yaxis?.slice(1) || 1) - 1];
  return heading ? `${legible(heading.text)} · ` : "";
}

/**
 * The value itself, where the axis shows a transform of it.
 * @param {any} trace
 * @param {number} i
 */
const raw = (trace, i) => (trace.customdata ? trace.customdata[i] : trace.y[i]);

/** One row a layer, one column a step; the latest columns. @param {any} map */
function heatmap(map) {
  const from = Math.max(0, map.x.length - COLUMNS);
  const values = map.customdata ?? map.z;
  const cell = (/** @type {any} */ x) => number(x);
  return table(
    ["layer", ...map.x.slice(from).map(cell)],
    values.map((/** @type {any[]} */ row, /** @type {number} */ i) => [
      legible(map.text?.[i]?.[0] ?? String(map.y[i])),
      ...row.slice(from).map(cell),
    ]),
    from > 0 ? `The latest ${COLUMNS} of ${map.x.length} columns.` : "",
  );
}

/** @param {string[]} head @param {string[][]} rows @param {string} note */
export function table(head, rows, note = "") {
  return [
    h("table", null, heading(head), h("tbody", null, rows.map(row))),
    note && h("p", {class: "quiet"}, note),
  ];
}

/** @param {string[]} head */
const heading = (head) =>
  h(
    "thead",
    null,
    h(
      "tr",
      null,
      head.map((text) => h("th", {scope: "col"}, text)),
    ),
  );

/** @param {string[]} row */
const row = ([first, ...rest]) =>
  h(
    "tr",
    null,
    h("th", {scope: "row"}, breakable(first)),
    rest.map((text) => h("td", null, text)),
  );

/** A long name may go on in the next line after an underscore. @param {string} text */
const breakable = (text) => text.split(/(?<=_)/).flatMap((part) => [h("wbr", null), part]);
