// @ts-check
/** The two buttons of every chart: what it shows, and what can be done with it. */
import {exportLinks, SPREADSHEETS} from "../lib/export-links.js";
import {h} from "../lib/h.js";
import {icon} from "../icons.js";
import {menu} from "../lib/menu.js";
import {copy, saveBlob} from "../lib/take.js";
import {toSvg} from "../plot.js";
import {address} from "../state.js";
import {help} from "../form/node.js";

/** @typedef {import("./chart.js").Options} Options */

/**
 * @param {Options} options
 * @param {HTMLElement} plot
 * @param {import("../lib/signal.js").Signal<boolean>} table
 */
export const toolbar = (options, plot, table) =>
  h(
    "div",
    {class: "toolbar", role: "group", "aria-label": `${options.title}: tools`},
    help(options.title, options.help, `help-${options.key}`, icon("info")),
    menu({
      name: "tool",
      label: `More for ${options.title}`,
      button: icon("more"),
      panel: (close) => items(options, plot, table, close),
    }),
  );

/**
 * @param {Options} options
 * @param {HTMLElement} plot
 * @param {import("../lib/signal.js").Signal<boolean>} table
 * @param {() => void} close
 */
function items(options, plot, table, close) {
  const frame = () => /** @type {HTMLElement} */ (plot.closest("figure"));
  /** @param {import("../icons.js").Icon} name @param {() => string} text @param {() => any} act */
  const item = (name, text, act) =>
    h(
      "button",
      {
        type: "button",
        class: "menu-item",
        onclick: () => {
          close();
          act();
        },
      },
      icon(name),
      text,
    );
  return [
    options.tucked && h("div", {class: "picks menu-picks"}, options.controls),
    options.size !== "table" && [
      item(
        "table",
        () => (table() ? "Show as a chart" : "Show as a table"),
        () => table.update((on) => !on),
      ),
      item(
        "down",
        () => "Download as SVG",
        async () => saveBlob(await toSvg(plot), `${options.key}.svg`),
      ),
    ],
    item(
      "link",
      () => "Copy link to this chart",
      () => copy(`${location.origin}${address()}#chart-${options.key}`),
    ),
    document.fullscreenEnabled &&
      item(
        "full",
        () => "Full screen",
        () => frame().requestFullscreen(),
      ),
    options.dataUrl && data(options),
  ];
}

/** Every point of every shown run, as files. @param {Options} options */
const data = ({runs, dataUrl, title}) =>
  h(
    "div",
    {class: "menu-data", role: "group", "aria-label": `Full data of ${title}`},
    h("p", null, "All points"),
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
  );
