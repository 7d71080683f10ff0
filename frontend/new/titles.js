// @ts-check
/** A configuration in words: titles of components, short values, and the name of a run. */
import {members} from "../form/component.js";
import {specs} from "../form/schema.js";
import {inWords} from "../form/several.js";
import {count, counted} from "../lib/format.js";

/** The parts of a configuration that are components, and their lists in the catalogue. */
export const FAMILIES = {
  dataset: "datasets",
  loss: "losses",
  network: "networks",
  estimator: "estimators",
  optimizer: "optimizers",
};

/** @param {string} family @param {any} value `{name, …}` */
export const entryOf = (family, value) =>
  members(family).find((component) => component.name === value?.name);

/** @param {string} family @param {any} value `{name, …}` */
export const titleOf = (family, value) => entryOf(family, value)?.title ?? value?.name ?? "none";

/** An estimator as people call it. @param {any} value */
export const shortOf = (value) =>
  entryOf("estimators", value)?.short ?? titleOf("estimators", value);

/** Whether data are a loss of their own, as a surface is. @param {any} dataset */
export const hasOwnLoss = (dataset) => entryOf("datasets", dataset)?.classified === false;

/** Words in small letters, names as they are: Digits → digits, MNIST-1D. @param {string} title */
const inner = (title) => (/^[A-Z][a-z ]+$/.test(title) ? title.toLowerCase() : title);

/** What a run is called until it is named by hand. @param {any} config */
export const defaultName = (config) =>
  `${shortOf(config.estimator)} on ${inner(titleOf("datasets", config.dataset))}`.slice(0, 200);

/** A value in a few words. @param {any} value */
export function short(value) {
  if (value == null) return "none";
  if (Array.isArray(value)) return inWords(value);
  if (typeof value === "object") return value.name ?? "";
  return typeof value === "number" && Number.isInteger(value) ? count(value) : String(value);
}

/** `MLP 2 × 128`, or the title alone. @param {any} network */
export function networkWords(network) {
  const title = titleOf("networks", network);
  const {depth, width} = network ?? {};
  return depth != null && width != null ? `${title} ${short(depth)} × ${short(width)}` : title;
}

/** @param {any} config */
export const lengthWords = ({steps, epochs}) =>
  epochs != null ? amount(epochs, "epoch") : amount(steps, "step");

/** A number with its noun; what is no number stands as it was typed. @param {any} value @param {string} noun */
export const amount = (value, noun) =>
  typeof value === "number" ? counted(value, noun) : `${short(value)} ${noun}s`;

/** A component in one line: its title and its fields, but for some. @param {string} family @param {any} value @param {string[]} [without] names of fields */
export function line(family, value, without = []) {
  const entry = entryOf(family, value);
  if (!entry) return titleOf(family, value);
  const words = specs(entry.schema).flatMap((spec) => {
    const given = value[spec.name] ?? spec.initial;
    if (without.includes(spec.name)) return [];
    if (given == null || given === false || given === "") return [];
    if (given === "none") return [`no ${low(spec.title)}`];
    if (given === true || spec.kind === "choice")
      return [given === true ? low(spec.title) : short(given)];
    if (spec.kind === "component") return [inner(titleOf(spec.family, given))];
    return [`${low(spec.title)} ${short(given)}`];
  });
  return [entry.title, ...words].join(", ");
}

/** @param {string} title of a field */
const low = (title) =>
  /^[A-Z][a-z]/.test(title) ? title[0].toLowerCase() + title.slice(1) : title;
