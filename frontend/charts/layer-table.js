// @ts-check
/** How each parameter's gradient comes about under the run's driver. */
import {h} from "../lib/h.js";
import {count} from "../lib/format.js";
import {table} from "./table.js";

/**
 * @typedef {{name: string, stage: string, shape: number[], count: number, coverage: string}} Layer
 */

/** @type {Record<string, string>} */
const COVERAGE = {
  estimated: "estimated by the driver",
  exact: "exact",
  local: "of a local loss",
  none: "no signal: it does not learn",
};

/** @param {Layer[]} layers */
export function layerTable(layers) {
  if (layers.length === 0) return null;
  const rows = layers.map(({name, stage, shape, count: size, coverage}) => [
    name,
    stage,
    shape.join(" × "),
    count(size),
    COVERAGE[coverage] ?? coverage,
  ]);
  return h(
    "details",
    {class: "layer-table"},
    h("summary", null, `Parameters: ${layers.length} tensors, and how their gradients come about`),
    h(
      "div",
      {class: "table-view", tabindex: "0", role: "region", "aria-label": "Parameters"},
      table(["parameter", "stage", "shape", "numbers", "gradient"], rows),
    ),
  );
}
