// @ts-check
/**
 * Cells and points that lead to runs. A figure says so in its traces: `meta.links` has, for each
 * point or for each cell of a grid, the ids of its runs, separated by commas; "" for none.
 */
import {h} from "../lib/h.js";
import {onPoint} from "../plot.js";

/**
 * @typedef {object} Links
 * @property {(runs: string[]) => string} address
 * @property {(runs: string[]) => void} open
 */

/** The runs that a point of a trace leads to. @param {any} trace @param {number | [number, number]} at @returns {string} */
export function linkAt(trace, at) {
  const links = trace?.meta?.links;
  return (Array.isArray(at) ? links?.[at[0]]?.[at[1]] : links?.[at]) || "";
}

/** Let a plot's points lead to their runs. @param {import("../plot.js").Plot} plot @param {Links} links */
export function follow(plot, links) {
  const has = (plot.data ?? []).some((trace) => trace.meta?.links);
  plot.classList.toggle("has-links", has);
  if (!has) return;
  onPoint(plot, (points) => {
    const link = points.map(({data, pointNumber}) => linkAt(data, pointNumber)).find(Boolean);
    if (link) links.open(link.split(","));
  });
}

/** A link of the table view. @param {string} link @param {string} whose @param {Links} links */
export function anchor(link, whose, links) {
  const runs = link.split(",");
  return h(
    "a",
    {
      href: links.address(runs),
      "aria-label": `Open ${runs.length > 1 ? `${runs.length} runs` : "the run"} of ${whose}`,
      onclick: (/** @type {MouseEvent} */ event) => {
        if (event.metaKey || event.ctrlKey || event.shiftKey) return;
        event.preventDefault();
        links.open(runs);
      },
    },
    runs.length > 1 ? `Open ${runs.length} runs` : "Open the run",
  );
}
