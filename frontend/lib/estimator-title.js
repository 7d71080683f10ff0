// @ts-check
/** The title of an estimator, from what a run calls it. */

/** @typedef {import("../types.js").Catalogue} Catalogue */

/** What people call an estimator. @param {Catalogue | null} catalogue @param {string} name in the catalogue, or a label of a run */
export function titleOfEstimator(catalogue, name) {
  const plain = name.replace(/\(.*/, "");
  const entry = catalogue?.estimators.find((estimator) => estimator.name === plain);
  return entry ? entry.title + name.slice(plain.length) : name;
}
