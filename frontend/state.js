// @ts-check
/**
 * The page's state ⇄ the address bar. What a reader would want to find again after a reload or
 * send to a colleague is here and nowhere else; the address stays readable.
 *
 * Each entry of the address is a signal of the same name. An empty value is left out of the
 * address: it stands for the default, which the catalogue of figures knows.
 */
import {batch, computed, effect, signal} from "./lib/signal.js";

/**
 * @template T
 * @typedef {import("./lib/signal.js").Signal<T>} Signal
 */

const asked = new URLSearchParams(location.search);
/** The path of the address, which names the page. */
export const path = signal(location.pathname);
/** The number of the run that the page is about; "" for none. */
export const runNumber = computed(() => /^\/runs\/([^/]+)/.exec(path())?.[1] ?? "");
/** @type {Map<string, () => string>} name in the address → its text now */
const entries = new Map();
/** @type {Map<string, Signal<string>>} */
const parameters = new Map();
/** Grows with `entries`, so that the address follows a new entry, too. */
const size = signal(0);

/** Ids of the runs in the charts, in the order in which they were chosen. */
export const shown = signal((asked.get("runs") ?? "").split(",").filter(Boolean));

/** @param {string} name @param {() => string} read */
function keep(name, read) {
  entries.set(name, read);
  size.set(entries.size);
}

/**
 * A parameter of figures, or another choice of the reader: a text that is kept in the address.
 * @param {string} name
 * @returns {Signal<string>}
 */
export function parameter(name) {
  const known = parameters.get(name);
  if (known) return known;
  const value = signal(asked.get(name) ?? "");
  parameters.set(name, value);
  keep(name, value);
  return value;
}

keep("runs", () => shown().join(","));
/** Id of the run that carpets, layers and the space bar are about; "" for the first shown. */
export const focus = parameter("focus");
/** Id of the study whose runs are listed; "" for all runs. */
export const study = parameter("study");
/** "light", "dark" or "" for what the system prefers. */
export const theme = parameter("theme");
// A parameter of the address stays in it before the page has asked for it.
for (const name of asked.keys()) if (name !== "runs") parameter(name);

/** The address of the page as it stands, without the fragment. */
export function address() {
  size();
  const query = new URLSearchParams();
  for (const [name, read] of entries) {
    const value = read();
    if (value !== "") query.set(name, value);
  }
  const search = query.toString().replaceAll("%2C", ",");
  return path() + (search && `?${search}`);
}

/** Go to an address that takes the place of this one, to which Back would lead nowhere. @param {string} to */
export const replace = (to) => batch(() => take(destination(to)));

/** Whether the next address is a new entry of the browser's history. */
let isVisit = false;

/** Keep the address bar in step with the state, and the state with the browser's back and forward. */
export function followState() {
  effect(() => {
    const now = address();
    if (now === location.pathname + location.search) return;
    if (isVisit) history.pushState(null, "", now);
    else history.replaceState(null, "", now);
  });
  addEventListener("popstate", () => batch(() => take(new URL(location.href))));
}

/** Take the state from an address. @param {URL} url */
function take({pathname, searchParams}) {
  const ids = (searchParams.get("runs") ?? "").split(",").filter(Boolean);
  path.set(pathname);
  if (ids.join() !== shown.peek().join()) shown.set(ids);
  for (const name of searchParams.keys()) if (name !== "runs") parameter(name);
  for (const [name, value] of parameters) value.set(searchParams.get(name) ?? "");
}

/** The choice between light and dark is kept. @param {string} to an address of the lab */
function destination(to) {
  const url = new URL(to, location.href);
  if (theme.peek() && !url.searchParams.has("theme")) url.searchParams.set("theme", theme.peek());
  return url;
}

/** Go to an address of the lab. @param {string} to */
export const go = (to) => visit(() => take(destination(to)));

/** Go to another view, from which the browser's back button returns. @param {() => void} change */
export function visit(change) {
  isVisit = true;
  try {
    batch(change);
  } finally {
    isVisit = false;
  }
}

/** Those that are shown, then those of these runs that are not. @param {string[]} runs */
const besideShown = (runs) => [...new Set([...shown(), ...runs])];

/** The address of these runs beside the shown ones, the first of them in focus. @param {string[]} runs */
export function addressOf(runs) {
  const query = new URLSearchParams(address().split("?")[1] ?? "");
  query.set("runs", besideShown(runs).join(","));
  query.set("focus", runs[0]);
  return `${path()}?${query.toString().replaceAll("%2C", ",")}`;
}

/** Show these runs beside the shown ones, the first of them in focus. @param {string[]} runs */
export const visitRuns = (runs) =>
  visit(() => {
    shown.set(besideShown(runs));
    focus.set(runs[0]);
  });

/** Show or hide a run. @param {string} run @param {boolean} on */
export function show(run, on) {
  shown.update((ids) =>
    on ? [...ids.filter((id) => id !== run), run] : ids.filter((id) => id !== run),
  );
}
