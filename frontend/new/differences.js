// @ts-check
/** What differs between two configurations, field by field, and how each is undone. */
import {FAMILIES, lengthWords, short, shortOf, titleOf} from "./titles.js";

/**
 * @typedef {object} Difference
 * @property {string} path `estimator.tangents`
 * @property {string} label
 * @property {string} from
 * @property {string} to
 * @property {Record<string, any>} undo the parts of the configuration without it
 */

const LENGTH = ["steps", "epochs"];
/** Parts whose differences are told as one. */
const WHOLE = ["shadows", ...LENGTH, "name"];

/** @param {any} before @param {any} now @returns {Difference[]} */
export function differences(before, now) {
  const parts = Object.keys({...before, ...now}).filter((part) => !WHOLE.includes(part));
  return [
    ...parts.flatMap((part) =>
      within(part, before[part], now[part]).map(({path, from, to}) => ({
        path,
        label: label(path),
        from: words(path, from),
        to: words(path, to),
        undo: {[part]: withValue(now[part], path.split(".").slice(1), from)},
      })),
    ),
    ...shadows(before, now),
    ...length(before, now),
  ];
}

/** @param {string} path @param {any} from @param {any} to @returns {{path: string, from: any, to: any}[]} */
function within(path, from, to) {
  if (same(from, to)) return [];
  const deep = isObject(from) && isObject(to) && from.name === to.name;
  if (!deep) return [{path, from, to}];
  return Object.keys({...from, ...to}).flatMap((name) =>
    within(`${path}.${name}`, from[name], to[name]),
  );
}

/** @param {any} a @param {any} b */
const same = (a, b) => JSON.stringify(a ?? null) === JSON.stringify(b ?? null);

/** @param {any} value */
const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

/** A copy with the value at a path. @param {any} part @param {string[]} path @param {any} value @returns {any} */
function withValue(part, path, value) {
  if (path.length === 0) return structuredClone(value);
  return {...part, [path[0]]: withValue(part?.[path[0]], path.slice(1), value)};
}

/** The end of a path, as it is called in files. @param {string} path */
const label = (path) => path.split(".").at(-1)?.replaceAll("_", " ") ?? path;

/** @param {string} path @param {any} value */
function words(path, value) {
  const family = /** @type {Record<string, string>} */ (FAMILIES)[path];
  return family ? titleOf(family, value) : short(value);
}

/** @param {any} before @param {any} now @returns {Difference[]} */
function shadows(before, now) {
  const [was, is] = [before.shadows ?? [], now.shadows ?? []];
  if (same(was, is)) return [];
  const names = (/** @type {any[]} */ list) => list.map(shortOf).join(", ") || "none";
  const [from, to] = [names(was), names(is)];
  return [
    {
      path: "shadows",
      label: "shadows",
      from: from === to ? "" : from,
      to: from === to ? "other settings" : to,
      undo: {shadows: structuredClone(was)},
    },
  ];
}

/** @param {any} before @param {any} now @returns {Difference[]} */
function length(before, now) {
  if (LENGTH.every((name) => same(before[name], now[name]))) return [];
  return [
    {
      path: "length",
      label: "length",
      from: lengthWords(before),
      to: lengthWords(now),
      undo: Object.fromEntries(LENGTH.map((name) => [name, before[name] ?? null])),
    },
  ];
}
