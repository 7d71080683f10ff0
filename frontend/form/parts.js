// @ts-check
/** The parts of a configuration as controls, with the words of its schema. */
import {component} from "./component.js";
import {duration} from "./duration.js";
import {field} from "./field.js";
import {group} from "./group.js";
import {spec} from "./schema.js";
import {shadows} from "./shadows.js";

/** @typedef {import("./node.js").FormNode} FormNode */

/**
 * The configuration's parts as nodes, by name.
 * @param {import("../types.js").Catalogue} known
 * @param {any} config
 * @param {() => Record<string, Record<string, string>>} unsuited why components do not suit, by list
 * @returns {Record<string, FormNode>}
 */
export function parts(known, config, unsuited) {
  const schema = known.config;
  const described = (/** @type {string} */ name) => spec(name, schema.properties[name], schema);
  const control = (/** @type {string} */ name, /** @type {object} */ more = {}) =>
    field({...described(name), ...more}, config[name] ?? described(name).initial);
  const part = (
    /** @type {string} */ name,
    /** @type {string} */ family,
    /** @type {string} */ title,
  ) =>
    component(
      {
        name,
        title,
        help: schema.properties[name].description ?? HELP[name],
        family,
        unsuited: () => unsuited()[family] ?? {},
      },
      config[name] ?? schema.properties[name].default,
    );
  return {
    name: control("name"),
    dataset: part("dataset", "datasets", "Data set"),
    network: part("network", "networks", "Network"),
    loss: part("loss", "losses", "Loss"),
    estimator: part("estimator", "estimators", "Driver"),
    shadows: shadows(
      described("shadows").help,
      config.shadows ?? [],
      undefined,
      () => unsuited().estimators ?? {},
    ),
    optimizer: part("optimizer", "optimizers", "Optimiser"),
    length: duration(described("steps"), described("epochs"), config),
    batch_size: control("batch_size", {unit: "examples"}),
    seed: control("seed"),
    device: device(described("device"), known, config.device),
    on_unconverged_solve: control("on_unconverged_solve"),
    probe: group(described("probe").parts.map(withUnit), config.probe ?? {}),
  };
}

/** @type {Record<string, string>} */
const HELP = {
  dataset:
    "What the network learns from; its training, validation and test parts are fixed by the seed.",
  network: "What is trained. Its stages are the layers that the measures speak of.",
  optimizer: "What turns the driver's gradient into a step of the weights.",
};
/** @type {Record<string, string>} */
const EMPTY = {every: "by budget"};
/** @type {Record<string, string>} */
const UNITS = {draws: "draws", budget: "of the time", every: "steps"};

/** @param {import("./schema.js").Spec} spec */
const withUnit = (spec) => ({
  ...spec,
  unit: spec.unit || UNITS[spec.name],
  empty: EMPTY[spec.name],
});

/**
 * @param {import("./schema.js").Spec} described
 * @param {import("../types.js").Catalogue} known
 * @param {string} value
 */
function device(described, known, value = "auto") {
  const names = [...new Set(["auto", ...known.devices.map((entry) => entry.name), value])];
  const list = known.devices.map((entry) => `${entry.name}: ${entry.description}`).join("; ");
  return field(
    {
      ...described,
      kind: "choice",
      choices: names,
      help: `Where the run computes; auto takes the best free one. ${list}.`,
    },
    value,
  );
}
