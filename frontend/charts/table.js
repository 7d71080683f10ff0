// @ts-check
/** A chart's numbers as a table, for screen readers and for reading exact values. */
import {h} from "../lib/h.js";
import {count, number} from "../lib/format.js";
import {effect, signal, untracked} from "../lib/signal.js";
import {saveBlob} from "../lib/take.js";
import {anchor} from "./links.js";
import {csvOf, legible, rowsOf} from "./rows.js";

/** @typedef {import("./rows.js").Rows} Rows */
/** @typedef {import("./rows.js").Row} Row */

/** Rows of a page. */
const ROWS = 200;

/**
 * @param {Pick<import("./chart.js").Options, "title" | "key" | "links">} chart its key names the file
 * @param {any} plot
 * @param {() => any} drawn read again when the figure is drawn
 */
export function tableView({title, key, links}, plot, drawn) {
  const page = signal(0);
  const rows = signal(/** @type {Rows} */ ({head: [], rows: []}));
  effect(() => {
    if (drawn() > 0 && !isTable(plot))
      rows.set(
        rowsOf({data: plot.data ?? [], layout: plot.layout ?? {}}, plot.layout?.meta?.scales ?? {}),
      );
    const last = Math.max(0, Math.ceil(untracked(rows).rows.length / ROWS) - 1);
    untracked(() => page.set(Math.min(page(), last)));
  });
  return [
    () => pages(rows(), page, key),
    h(
      "div",
      {class: "table-view", tabindex: "0", role: "region", "aria-label": `${title}, as a table`},
      () => {
        if (drawn() === 0) return h("p", {class: "quiet"}, "Loading …");
        const ready = (plot.data ?? []).find((/** @type {any} */ trace) => trace.type === "table");
        if (ready) return cells(ready);
        if (rows().rows.length === 0) return h("p", {class: "quiet"}, "No points yet.");
        return sheet(rows(), page(), links);
      },
    ),
  ];
}

/** @param {any} plot */
const isTable = (plot) => plot.data?.some((/** @type {any} */ trace) => trace.type === "table");

/**
 * Which rows are shown, and all of them as a file.
 * @param {Rows} all
 * @param {import("../lib/signal.js").Signal<number>} page
 * @param {string} key
 */
function pages(all, page, key) {
  const total = all.rows.length;
  if (total === 0) return null;
  const last = Math.ceil(total / ROWS) - 1;
  const turn = (/** @type {string} */ text, /** @type {number} */ by) =>
    h(
      "button",
      {
        type: "button",
        class: "plain",
        disabled: () => page() + by < 0 || page() + by > last,
        onclick: () => page.update((at) => at + by),
      },
      text,
    );
  const save = () => saveBlob(new Blob([csvOf(all)], {type: "text/csv"}), `${key}.csv`);
  return h(
    "div",
    {class: "picks table-pages"},
    last > 0 && [turn("Previous", -1), turn("Next", 1), lineOf(all.rows, page)],
    h("span", {role: "status"}, () => spanOf(page(), total)),
    h("button", {type: "button", class: "plain", onclick: save}, "Save all rows as CSV"),
  );
}

/** @param {number} page @param {number} total */
const spanOf = (page, total) =>
  `Rows ${count(page * ROWS + 1)}–${count(Math.min(total, (page + 1) * ROWS))} of ${count(total)}`;

/** Turns to the page on which a line begins. @param {Row[]} rows @param {import("../lib/signal.js").Signal<number>} page */
function lineOf(rows, page) {
  const starts = rows.flatMap(({name}, at) => (name !== rows[at - 1]?.name ? [{name, at}] : []));
  if (starts.length < 2) return null;
  const select = h(
    "select",
    {
      "aria-label": "Line",
      onchange: () => page.set(Math.floor(Number(select.value) / ROWS)),
    },
    starts.map(({name, at}) => h("option", {value: String(at)}, name)),
  );
  return select;
}

/**
 * One page, the rows of each line under its name.
 * @param {Rows} all
 * @param {number} page
 * @param {import("./links.js").Links} [links]
 */
function sheet({head, rows}, page, links) {
  const lead = links && rows.some(({link}) => link);
  const shown = rows.slice(page * ROWS, (page + 1) * ROWS).map(({name, cells, link = ""}) => {
    const texts = cells.map((cell) => (cell == null ? "" : number(cell)));
    const whose = [name, texts[0]].filter(Boolean).join(", ");
    return [name, ...texts, ...(lead ? [link && anchor(link, whose, links)] : [])];
  });
  return parted(["line", ...head, ...(lead ? ["runs"] : [])], grouped(shown));
}

/** A figure that is a table; its values come by column. @param {any} trace */
function cells({header, cells: {values}}) {
  /** @type {string[][]} */
  const rows = values[0].map((/** @type {string} */ _, /** @type {number} */ i) =>
    values.map((/** @type {string[]} */ column) => legible(column[i])),
  );
  const groups = grouped(rows);
  const head = header.values.map(legible);
  // Where each has a row of its own, a heading above each would only lengthen the table.
  return groups.length === rows.length ? table(head, rows) : parted(head, groups);
}

/** @typedef {string | HTMLElement} Shown a text, or a link */

/** Rows that follow each other under one name. @param {Shown[][]} rows */
function grouped(rows) {
  /** @type {{name: string, rows: Shown[][]}[]} */
  const groups = [];
  for (const [first, ...rest] of rows) {
    const name = String(first);
    if (groups.at(-1)?.name !== name) groups.push({name, rows: []});
    groups.at(-1)?.rows.push(rest);
  }
  return groups;
}

/**
 * What the first column repeats is said once, above its rows.
 * @param {string[]} head
 * @param {{name: string, rows: Shown[][]}[]} groups
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
        name !== "" &&
          h("tr", null, h("th", {scope: "rowgroup", colspan: head.length}, breakable(name))),
        rows.map(row),
      ),
    ),
  );
}

/** @param {string[]} head @param {string[][]} rows */
export const table = (head, rows) =>
  h("table", null, heading(head), h("tbody", null, rows.map(row)));

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

/** @param {Shown} text */
const isWords = (text) =>
  typeof text === "string" && text.length > 24 && !Number.isFinite(Number(text));

/** @param {Shown[]} row */
const row = ([first, ...rest]) =>
  h(
    "tr",
    null,
    h("th", {scope: "row"}, breakable(String(first))),
    rest.map((text) => h("td", {class: isWords(text) && "words"}, text)),
  );

/** A long name may go on in the next line after an underscore. @param {string} text */
const breakable = (text) => text.split(/(?<=_)/).flatMap((part) => [h("wbr", null), part]);
