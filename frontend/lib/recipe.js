// @ts-check
/** A component of a configuration in a few words: its title, and what was chosen of it. */
import {number} from "./format.js";

/** @typedef {import("../types.js").Catalogue} Catalogue */
/** @typedef {"datasets" | "networks" | "losses" | "optimizers" | "schedules" | "estimators"} Family */

/** Fields that say more than the others, and are told even at their defaults. */
const TOLD = ["width", "depth", "size", "momentum", "schedule"];
/** Fields that the page shows by themselves. */
const SHOWN_ELSEWHERE = ["name", "lr"];

/**
 * `MLP, width 128, depth 2`
 * @param {Catalogue | null} catalogue
 * @param {Family} family
 * @param {any} config of the component
 */
export function recipe(catalogue, family, config) {
  if (!config) return "none";
  const entry = catalogue?.[family].find(({name}) => name === config.name);
  if (!entry) return config.name;
  const fields = Object.entries(entry.schema.properties ?? {}).flatMap(([name, property]) => {
    const value = config[name];
    if (SHOWN_ELSEWHERE.includes(name) || value == null || value === "") return [];
    const isDefault = JSON.stringify(value) === JSON.stringify(property.default);
    if (isDefault && !TOLD.includes(name)) return [];
    return words(property.title ?? name, value) || [];
  });
  return [entry.title, ...fields].join(", ");
}

/** @param {string} title @param {any} value */
function words(title, value) {
  if (typeof value === "object") return value.name === "constant" ? "" : String(value.name ?? "");
  if (typeof value === "boolean") return value ? title.toLowerCase() : `no ${title.toLowerCase()}`;
  if (value === 0) return "";
  return `${title.toLowerCase()} ${typeof value === "number" ? number(value) : value}`;
}

/** What people call an estimator. @param {Catalogue | null} catalogue @param {string} name in the catalogue, or a label of a run */
export function titleOfEstimator(catalogue, name) {
  const plain = name.replace(/\(.*/, "");
  const entry = catalogue?.estimators.find((estimator) => estimator.name === plain);
  return entry ? entry.title + name.slice(plain.length) : name;
}
