// @ts-check
/**
 * The page's state ⇄ the address bar. What a reader would want to find again after a reload or
 * send to a colleague is here and nowhere else; the address stays readable.
 */
import {effect, signal} from "./lib/signal.js";

export const X_AXES = /** @type {const} */ (["step", "examples", "forwards", "seconds"]);

const asked = new URLSearchParams(location.search);

/** @param {string} name */
const list = (name) => (asked.get(name) ?? "").split(",").filter(Boolean);

/** Ids of the runs in the charts, in the order in which they were chosen. */
export const shown = signal(list("runs"));
/** Id of the run that carpets, layers and the space bar are about; "" for the first shown. */
export const focus = signal(asked.get("focus") ?? "");
/** Layer of the measures; "" is the whole network. */
export const layer = signal(asked.get("layer") ?? "");
/** One of X_AXES. */
export const xAxis = signal(asked.get("x") ?? "step");
/** "light", "dark" or "" for what the system prefers. */
export const theme = signal(asked.get("theme") ?? "");
/** Metric of the carpets. */
export const carpet = signal(asked.get("carpet") ?? "cosine");
/** Rows of the carpets: "stage" or "tensor". */
export const level = signal(asked.get("level") ?? "stage");
/** Colours of a cosine in the carpets: "auto", as far as it reaches, or "full", ±1. */
export const range = signal(asked.get("range") ?? "auto");
/** Vertical axis of the measures: "auto", "linear" or "asinh". */
export const scale = signal(asked.get("scale") ?? "auto");
/** Errors in the plane: "scaled" or "raw". */
export const units = signal(asked.get("units") ?? "scaled");
/** Draws that are averaged in the plane. */
export const averaged = signal(asked.get("k") ?? "1");
/** Horizontal axis of a sweep over the network: "field", or "parameters", their number. */
export const against = signal(asked.get("against") ?? "field");
/** Of an anatomy: "share" of the variance, or the "variance" itself. */
export const parts = signal(asked.get("parts") ?? "share");
/** Draws at the run's batch size that a gradient may cost; "" for what was checked. */
export const budget = signal(asked.get("budget") ?? "");
/** Learning rate of the steps shown; "" for the best of each estimator. */
export const rate = signal(asked.get("rate") ?? "");

const kept = {
  ...{runs: () => shown().join(","), focus, layer, x: xAxis, theme, carpet, level},
  ...{range, scale, units, k: averaged, against},
  ...{parts, budget, rate},
};
const usual = {
  runs: "",
  focus: "",
  layer: "",
  x: "step",
  theme: "",
  carpet: "cosine",
  level: "stage",
  range: "auto",
  scale: "auto",
  units: "scaled",
  k: "1",
  against: "field",
  parts: "share",
  budget: "",
  rate: "",
};

/** The address of the page as it stands, without the fragment. */
export function address() {
  const said = new URLSearchParams();
  for (const [name, read] of Object.entries(kept)) {
    const value = read();
    if (value !== usual[/** @type {keyof typeof usual} */ (name)]) said.set(name, value);
  }
  const search = said.toString().replaceAll("%2C", ",");
  return location.pathname + (search && `?${search}`);
}

/** Keep the address bar in step with the state. */
export function followState() {
  effect(() => {
    const now = address();
    if (now !== location.pathname + location.search) history.replaceState(null, "", now);
  });
}

/** Show or hide a run. @param {string} run @param {boolean} on */
export function show(run, on) {
  shown.update((ids) =>
    on ? [...ids.filter((id) => id !== run), run] : ids.filter((id) => id !== run),
  );
}
