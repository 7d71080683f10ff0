// @ts-check
/** Published figures beside the measured ones. */
import {h} from "../lib/h.js";

/** @typedef {import("../types.js").GalleryComparison} GalleryComparison */

/** @param {GalleryComparison} comparison @param {string} warning that these are two experiments */
export function comparison({quantity, source, unit, read, order, rows}, warning) {
  const id = `published-${quantity.replaceAll(/\W+/g, "-")}`;
  const head = unit ? `${quantity}, ${unit}` : quantity;
  return h(
    "section",
    {"aria-labelledby": id},
    h("h2", {id}, "Published and measured"),
    h("p", {class: "quiet"}, `${head}. Published: ${source} (${read}). ${warning}`),
    h(
      "div",
      {class: "table-view", tabindex: "0", role: "region", "aria-label": head},
      h(
        "table",
        null,
        h(
          "thead",
          null,
          h(
            "tr",
            null,
            ["method", "published", "measured here", "seeds"].map((text) =>
              h("th", {scope: "col"}, text),
            ),
          ),
        ),
        h(
          "tbody",
          null,
          rows.map(({label, published, words, seeds}) =>
            h(
              "tr",
              null,
              h("th", {scope: "row"}, label),
              h("td", null, String(published)),
              h("td", null, words || "–"),
              h("td", null, seeds ? String(seeds) : "–"),
            ),
          ),
        ),
      ),
    ),
    h("p", {class: "quiet"}, "Measured: mean over seeds ± half of Student's 95 % interval."),
    order && h("p", null, `${order}.`),
  );
}
