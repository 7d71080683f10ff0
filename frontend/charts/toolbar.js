// @ts-check
/** The tools of every chart: its help, its numbers, its files and its link. */
import {exportLinks, SPREADSHEETS} from "../lib/export-links.js";
import {h} from "../lib/h.js";
import {icon} from "../icons.js";
import {copy, saveBlob} from "../lib/take.js";
import {toSvg} from "../plot.js";
import {address} from "../state.js";
import {help} from "../form/node.js";
import {menu} from "../lib/menu.js";

/** @typedef {import("./chart.js").Options} Options */

/**
 * @param {Options} options
 * @param {HTMLElement} plot
 * @param {import("../lib/signal.js").Signal<boolean>} table
 */
export function toolbar(options, plot, table) {
  return h(
    "div",
    {class: "toolbar", role: "group", "aria-label": `${options.title}: tools`},
    help(options.title, options.help, `help-${options.key}`),
    options.size !== "table" && [
      tool("table", "Show as a table", () => table.update((on) => !on), {
        "aria-pressed": () => String(table()),
      }),
      tool("down", "Download as SVG", async () =>
        saveBlob(await toSvg(plot), `${options.key}.svg`),
      ),
    ],
    tool("link", "Copy link to this chart", () =>
      copy(`${location.origin}${address()}#chart-${options.key}`),
    ),
    options.dataUrl && dataMenu(options),
  );
}

/**
 * @param {import("../icons.js").Icon} name
 * @param {string} label
 * @param {() => any} onclick
 * @param {Record<string, any>} [more]
 */
export const tool = (name, label, onclick, more) =>
  h(
    "button",
    {type: "button", class: "tool", "aria-label": label, title: label, onclick, ...more},
    icon(name),
  );

/** Every point of every shown run, as files. @param {Options} options */
function dataMenu({runs, dataUrl, title}) {
  return menu({
    name: "tool",
    label: `Full data of ${title}`,
    button: icon("file"),
    panel: () => [
      () =>
        runs().map((run) =>
          h(
            "p",
            null,
            `#${run.number} ${run.name} `,
            ...exportLinks((kind) => dataUrl?.(run, kind) ?? ""),
          ),
        ),
      h("p", {class: "quiet"}, SPREADSHEETS),
    ],
  });
}
