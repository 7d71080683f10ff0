// @ts-check
/** Which fields a sweep may be over, and values of each that are worth a first look. */
import {members} from "../form/component.js";
import {spec} from "../form/schema.js";

/** @typedef {import("../form/schema.js").Spec} Spec */
/**
 * @typedef {object} Sweepable
 * @property {string} path as it is asked for: `inner.tangents`, `network.width`
 * @property {Spec} spec
 * @property {any} schema of the field, with its bounds
 * @property {any[]} now its values here, each once
 */

const KINDS = ["integer", "number", "choice", "boolean"];
export const NETWORK = "network.";
const BATCH = {type: "integer", minimum: 1, unit: "examples", title: "Batch size"};

/**
 * Fields of these estimators and of those that they hold, each once.
 * @param {any[]} estimators @returns {Sweepable[]}
 */
export function ofEstimators(estimators) {
  /** @type {Map<string, Sweepable>} */
  const byPath = new Map();
  for (const candidate of estimators.flatMap((value) => fields("estimators", value, ""))) {
    const known = byPath.get(candidate.path);
    if (!known) byPath.set(candidate.path, candidate);
    else if (!known.now.includes(candidate.now[0])) known.now.push(candidate.now[0]);
  }
  return [...byPath.values()];
}

/** @param {any} network @returns {Sweepable[]} */
export const ofNetwork = (network) => fields("networks", network, NETWORK);

/** @param {number} size @returns {Sweepable} */
export const ofBatch = (size) => ({
  path: "batch_size",
  spec: spec("batch_size", BATCH, {}),
  schema: BATCH,
  now: [size],
});

/** @param {string} family @param {any} value @param {string} prefix @returns {Sweepable[]} */
function fields(family, value, prefix) {
  const entry = members(family).find((component) => component.name === value?.name);
  if (!entry) return [];
  return Object.entries(entry.schema.properties ?? {}).flatMap(([name, schema]) => {
    const described = spec(name, schema, entry.schema);
    const now = value[name] ?? described.initial;
    if (described.kind === "component") return fields(described.family, now, `${prefix}${name}.`);
    // A choice of free words has no values to offer.
    return KINDS.includes(described.kind)
      ? [{path: prefix + name, spec: described, schema, now: [now]}]
      : [];
  });
}

/** Values of a field around its present one, within its bounds. @param {Sweepable} of */
export function suggested({spec: {kind, choices, name}, schema, now}) {
  if (kind === "choice") return choices;
  if (kind === "boolean") return [false, true];
  const current = Number(now[0]);
  const values = kind === "integer" ? whole(current, schema) : real(current, name, schema);
  return [...new Set(values)].filter((value) => allowed(value, schema)).sort((a, b) => a - b);
}

/** @param {number} value @param {any} schema */
const allowed = (value, {minimum, maximum, exclusiveMinimum, exclusiveMaximum}) =>
  value >= (minimum ?? -Infinity) &&
  value <= (maximum ?? Infinity) &&
  value > (exclusiveMinimum ?? -Infinity) &&
  value < (exclusiveMaximum ?? Infinity);

const DEEP = ["layers", "blocks"];

/** Powers about the present value; few draws and layers are cheap, many are not. @param {number} now @param {any} schema */
function whole(now, schema) {
  if (DEEP.includes(schema.unit)) return [1, 2, 4, 8, now];
  const [base, many] = ["draws", "tangents"].includes(schema.unit) ? [4, 4] : [2, 5];
  /** @type {number[]} */
  const values = [];
  for (let power = -2; values.length < many && power < 12; power++) {
    const value = Math.round(now * base ** power);
    if (allowed(value, schema) && !values.includes(value)) values.push(value);
  }
  return values;
}

/** Decades: of a step, of a share, else about the present value. @param {number} now @param {string} name @param {any} schema */
function real(now, name, schema) {
  if (/(^|_)(eps|mu|sigma)$/.test(name)) return [1e-4, 1e-3, 0.01, 0.1, 1];
  if (schema.exclusiveMaximum === 1) return [0.1, 0.5, 0.9, 0.99];
  if (schema.maximum === 1) return [0.001, 0.01, 0.1, 1];
  return [-2, -1, 0, 1, 2].map((power) => Number(((now || 1) * 10 ** power).toPrecision(6)));
}

/** What a field is called: `network: width`, `eps (ε)`. @param {Sweepable} of */
export function called({path, spec: {name, title}}) {
  const words = path.replaceAll(".", ": ").replace("batch_size", "batch size");
  return title.length === 1 && title !== name ? `${words} (${title})` : words;
}
