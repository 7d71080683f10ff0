// @ts-check
/** What a run is doing, in a few words. */
import {count, duration, rate} from "../lib/format.js";
import {h} from "../lib/h.js";
import {icon} from "../icons.js";
import {isLive} from "../stream.js";
import {FOLLOWING, hasEnded} from "./pending.js";

/** @typedef {import("../types.js").Run} Run */
/** @typedef {import("../types.js").Status} Status */

/** @type {Record<Status, [import("../icons.js").Icon, string]>} */
const STATUS = {
  queued: ["clock", "queued"],
  running: ["play", "running"],
  paused: ["pause", "paused"],
  finished: ["check", "finished"],
  diverged: ["warning", "diverged"],
  failed: ["warning", "failed"],
  cancelled: ["stop", "cancelled"],
};

/** @param {Status} status @param {import("./pending.js").Kind | undefined} order @param {boolean} live */
export function badge(status, order, live) {
  const [name, text] = STATUS[status];
  // What goes on while the server does not answer, the page does not know.
  if (!live && !hasEnded(status))
    return h("span", {class: "status"}, icon("clock"), `last seen ${text}`);
  if (order) return h("span", {class: "status"}, icon("clock"), FOLLOWING[order]);
  return h("span", {class: `status status-${status}`}, icon(name), text);
}

/** @param {Run} run */
export const isMicroscope = (run) => run.kind === "microscope";

/** Whether nobody knows how many steps the loop of a script has. @param {Run} run */
export const isOpenEnded = ({kind, config}) => kind === "attached" && config.steps == null;

/** What a run counts. @param {Run} run */
export function unitOf(run) {
  if (!isMicroscope(run)) return "steps";
  return run.config.microscope.adjoint_map ? "measurements" : "draws";
}

/** @param {Run} run */
export function pace(run) {
  if (!isLive() && !hasEnded(run.status)) return "";
  if (run.status === "running") return speed(run);
  if (run.status === "queued")
    return run.attempt > 0 ? "goes on at the next free slot" : "waiting for a slot";
  if (run.status === "paused") return paused(run);
  return run.seconds == null ? "" : `took ${duration(run.seconds)}`;
}

/** @param {Run} run */
function paused({kind, seconds, set_aside}) {
  const inSlot = set_aside ? "its slot is free" : "in its slot";
  const slot = kind === "attached" ? "its script waits" : inSlot;
  return seconds == null ? slot : `${slot} · ${duration(seconds)} so far`;
}

/** What the first steps cost says little about the rest. */
const FORECAST_AFTER_S = 3;

/** @param {Run} run */
function speed({rate: perSecond, seconds, eta, kind}) {
  if (!perSecond) return "";
  if (kind === "microscope") return `${count(Math.round(perSecond))} draws/s`;
  if (eta == null || (seconds ?? 0) < FORECAST_AFTER_S) return rate(perSecond);
  return `${rate(perSecond)} · ${duration(eta)} left`;
}

export const SLOTS =
  "As many runs go at a time as the lab has slots; gradlab serve --slots N raises it.";
