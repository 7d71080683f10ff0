// @ts-check
/** A property of a JSON schema, as what a control needs to know of it. */
import {words} from "../lib/format.js";

/**
 * @typedef {object} Spec
 * @property {string} name
 * @property {"number" | "integer" | "boolean" | "choice" | "text" | "component" | "group" | "folder"} kind
 * @property {string} title
 * @property {string} help
 * @property {string} unit
 * @property {string} [empty] what an empty field means, in a word or two; "none" unless given
 * @property {boolean} optional may be left empty
 * @property {any} initial
 * @property {any[]} choices
 * @property {Record<string, string>} [words] what a choice is called, where its value does not say it
 * @property {string} range in words
 * @property {string} family the catalogue's list of components that may stand here
 * @property {string} [files] which files a folder must have that may stand here
 * @property {boolean} [bundled] whether such a folder may be left empty
 * @property {Spec[]} parts of a group
 * @property {boolean} several whether it takes several values, which make a study
 * @property {Record<string, string[]>[]} usedIf conditions that all must hold for the field to be
 *   used: one of these other fields has one of its values
 */

/**
 * The specs of an object schema's properties.
 * @param {any} schema
 * @param {any} [root]
 * @returns {Spec[]}
 */
export function specs(schema, root = schema) {
  return Object.entries(schema.properties ?? {}).map(([name, property]) =>
    spec(name, property, root),
  );
}

/** @param {string} name @param {any} property @param {any} root @returns {Spec} */
export function spec(name, property, root) {
  const options = (property.anyOf ?? property.oneOf ?? [property]).map(
    (/** @type {any} */ option) => resolve(option, root),
  );
  const main = {
    ...options.find((/** @type {any} */ option) => option.type !== "null"),
    ...known(property),
  };
  return {
    name,
    kind: kindOf(main),
    title: titleOf(name, main.title),
    help: property.description ?? main.description ?? "",
    unit: main.unit ?? "",
    optional: options.some((/** @type {any} */ option) => option.type === "null"),
    initial: property.default,
    choices: main.enum ?? (main.const === undefined ? [] : [main.const]),
    range: range(main),
    family: main.component ?? "",
    files: main.data_files,
    bundled: main.bundled,
    parts: main.properties ? specs(main, root) : [],
    usedIf: main.used_if ?? [],
    several: true,
  };
}

/**
 * The schema's own title, unless it is only the name in capitals.
 * @param {string} name
 * @param {string} [title]
 */
function titleOf(name, title) {
  const plain = words(name);
  return !title || title.toLowerCase() === plain.toLowerCase() ? plain : title;
}

/** @param {any} property what it says itself, beside its reference or its alternatives */
function known(property) {
  const {anyOf: _anyOf, oneOf: _oneOf, $ref: _ref, allOf: _allOf, ...rest} = property;
  return rest;
}

/** @param {any} schema @param {any} root */
function resolve(schema, root) {
  const ref = schema.$ref ?? schema.allOf?.[0]?.$ref;
  return ref ? {...root.$defs[ref.split("/").pop()], ...known(schema)} : schema;
}

/** @param {any} schema @returns {Spec["kind"]} */
function kindOf(schema) {
  if (schema.component) return "component";
  if (schema.data_files) return "folder";
  if (schema.enum || schema.const !== undefined) return "choice";
  if (schema.properties) return "group";
  if (["number", "integer", "boolean"].includes(schema.type)) return schema.type;
  return "text";
}

/** @param {any} schema */
function range(schema) {
  const low = schema.minimum ?? schema.exclusiveMinimum;
  const high = schema.maximum ?? schema.exclusiveMaximum;
  const least = schema.minimum != null ? "at least" : "more than";
  const most = schema.maximum != null ? "at most" : "less than";
  const limits = [low != null && `${least} ${low}`, high != null && `${most} ${high}`].filter(
    Boolean,
  );
  return limits.join(", ");
}
