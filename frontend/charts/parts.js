// @ts-check
/** A section of a microscope's board, and one chart of it. */
import {h} from "../lib/h.js";
import {chart} from "./chart.js";

/** @typedef {import("./board.js").Shared} Shared */

/**
 * @param {Shared} shared @param {string} figure @param {string} title @param {string} help
 * @param {() => import("../types.js").FigureQuery} ask
 * @param {Partial<import("./chart.js").Options>} [more]
 */
export const one = (shared, figure, title, help, ask, more = {}) =>
  chart({
    ...shared,
    key: figure,
    figure,
    title,
    help,
    ask,
    tall: true,
    concerns: () => true,
    ...more,
  });

/** @param {string} id @param {string} title @param {any} controls @param {any[]} charts */
export const part = (id, title, controls, charts) =>
  h(
    "section",
    {id, "aria-labelledby": `${id}-title`},
    h(
      "div",
      {class: "section-head"},
      h("h2", {id: `${id}-title`}, title),
      h("div", {class: "picks"}, controls),
    ),
    h("div", {class: "charts"}, charts),
  );
