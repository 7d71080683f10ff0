// @ts-check
/** The instruments of the microscope, named by the question that each answers. */
import * as api from "../api.js";
import {startMicroscope} from "../lab.js";
import {ofEstimators, suggested} from "./swept-values.js";

/** @typedef {import("../types.js").Run} Run */
/** @typedef {"draws" | "sweep" | "anatomy" | "what_if" | "adjoint_map"} Instrument */

/** @type {{name: Instrument, title: string, question: string}[]} */
const INSTRUMENTS = [
  {name: "draws", title: "Draws", question: "How do estimates fall?"},
  {name: "sweep", title: "Sweep", question: "What does a setting change?"},
  {name: "anatomy", title: "Anatomy", question: "Larger batch or more draws?"},
  {name: "what_if", title: "One step", question: "What would a step do?"},
  {name: "adjoint_map", title: "Adjoints", question: "How near is each adjoint?"},
];

/** Those that serve a run: adjoints are of networks with an equilibrium. @param {boolean} hasEquilibrium */
export const instruments = (hasEquilibrium) =>
  INSTRUMENTS.filter(({name}) => name !== "adjoint_map" || hasEquilibrium);

/** @param {string} name */
export const isInstrument = (name) => INSTRUMENTS.some((each) => each.name === name);

/** @param {Instrument} name */
export const titleOf = (name) => INSTRUMENTS.find((each) => each.name === name)?.title ?? name;

/** Which instrument a microscope's run was made with. @param {Run} look @returns {Instrument} */
export function instrumentOf({config: {microscope}}) {
  if (microscope.adjoint_map) return "adjoint_map";
  if (microscope.sweep) return "sweep";
  return microscope.anatomy ? "anatomy" : microscope.what_if ? "what_if" : "draws";
}

/** What is measured when nothing else is chosen. @type {Record<Exclude<Instrument, "sweep">, any>} */
const USUAL = {
  draws: {},
  anatomy: {anatomy: {batches: 16}},
  what_if: {what_if: {rates: null}},
  adjoint_map: {adjoint_map: {}},
};

/** Look with an instrument at a checkpoint, with the usual settings. @param {Run} run @param {number} step @param {Instrument} name */
export async function look(run, step, name) {
  await startMicroscope({
    run: run.id,
    step,
    ...(name === "sweep" ? {sweep: await usualSweep(run, step)} : USUAL[name]),
  });
}

/** The first field that an estimator of the checkpoint has, at the values that suit it. @param {Run} run @param {number} step */
async function usualSweep(run, step) {
  const estimators = await api.checkpointEstimators(run.id, step);
  const [field] = ofEstimators(estimators);
  if (!field) return {field: "batch_size", values: [16, 32, 64, 128, 256]};
  return {field: field.path, values: suggested(field)};
}
