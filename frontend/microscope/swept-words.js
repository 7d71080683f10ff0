// @ts-check
/** How far a sweep has come, and where a microscope looks. */
import {count} from "../lib/format.js";

/** @typedef {import("../types.js").Run} Run */

const NETWORK = "network.";

/** `width 32, 2 of 4`: what is drawn now. @param {Run} run */
export function drawing(run) {
  const {sweep, draws} = run.config.microscope;
  if (!sweep || run.status !== "running") return "";
  const {field, values} = sweep;
  const at = Math.min(values.length - 1, Math.floor(run.step / draws));
  const name = field.split(".").at(-1).replaceAll("_", " ");
  return `${name} ${values[at]}, ${at + 1} of ${values.length}`;
}

/** A field as people read it: `network: width`. @param {string} field */
export const called = (field) =>
  field.replace(NETWORK, "network: ").replace("batch_size", "batch size");

/** A sweep over the network has weights of its own. @param {Run} run */
export const where = (run) =>
  run.config.microscope.sweep?.field.startsWith(NETWORK)
    ? `at initialisation, batch of step ${count(run.parent_step ?? 0)}`
    : `at step ${count(run.parent_step ?? 0)}`;
