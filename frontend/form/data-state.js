// @ts-check
/** The state of a data set in files, live: what is there, what to do, and its download. */
import * as api from "../api.js";
import {percent, size} from "../lib/format.js";
import {h} from "../lib/h.js";
import {effect, onEnd, signal, untracked} from "../lib/signal.js";
import {sentence} from "./node.js";

/** @typedef {import("../types.js").DataSet} DataSet */
/** @template T @typedef {import("../lib/signal.js").Signal<T>} Signal */

/** Between two looks at a download, and at a set that somebody may fetch or copy meanwhile. */
const PROGRESS_MS = 1000;
const OTHER_MS = 5000;
/** What a folder may be called; others are not asked about. */
const NAME = /^(?=.{1,200}$)[\w-]+(\.[\w-]+)*$/;
/** @type {Record<DataSet["state"], string>} */
const VERBS = {
  absent: "Download",
  partial: "Continue the download of",
  broken: "Download again",
  preparing: "",
  ready: "",
};

/**
 * @param {Signal<string>} chosen the name of its folder
 * @param {string} files which files the folder must have
 * @param {{complaint: Signal<string>, none: () => string, ready: () => void}} around what is said at
 *   the field already; what is said if no name is chosen; what to do when a set has become ready
 */
export function dataState(chosen, files, {complaint, none, ready}) {
  const state = signal(/** @type {DataSet | null} */ (null));
  const refused = signal("");
  let look = () => {};

  effect(() => {
    const name = chosen();
    untracked(() => {
      state.set(null);
      refused.set("");
      look = follow(name, files, (view) => {
        const wasOther = state.peek() !== null && state.peek()?.state !== "ready";
        state.set(view);
        if (view.state === "ready" && wasOther) ready();
      });
    });
  });

  async function act() {
    const now = state.peek();
    if (!now) return;
    refused.set("");
    try {
      state.set(await (now.can_cancel ? api.cancelDataSet(now.name) : api.fetchDataSet(now.name)));
    } catch (error) {
      if (!(error instanceof api.Refusal || error instanceof api.Silence)) throw error;
      refused.set(error.message);
    }
    look();
  }

  const text = () => refused() || state()?.problem || state()?.text || (chosen() ? "" : none());
  const isBad = () => Boolean(refused() || state()?.problem || state()?.state === "broken");
  const said = () => (complaint() === sentence(text()) ? "" : sentence(text()));
  const button = () => state()?.can_cancel || state()?.can_fetch;
  return h(
    "div",
    {class: "data-state"},
    h("p", {role: "status", class: () => (isBad() ? "data-problem" : "quiet")}, said),
    progress(state),
    h("button", {type: "button", class: "act", hidden: () => !button(), onclick: act}, () => {
      const now = state();
      return now && (now.can_cancel ? "Cancel" : `${VERBS[now.state]} ${now.name}`);
    }),
  );
}

/**
 * Read the state again and again, until the effect around it ends.
 * @param {string} name @param {string} files @param {(view: DataSet) => void} take
 * @returns {() => void} look now
 */
function follow(name, files, take) {
  if (!NAME.test(name)) return () => {};
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let next;
  const ending = new AbortController();
  async function look() {
    clearTimeout(next);
    let wait = OTHER_MS;
    try {
      if (!document.hidden) {
        const view = await api.dataSet(name, files, ending.signal);
        take(view);
        wait =
          {preparing: PROGRESS_MS, ready: Infinity}[/** @type {string} */ (view.state)] ?? wait;
      }
    } catch (error) {
      if (ending.signal.aborted) return;
      if (!(error instanceof api.Silence)) throw error;
    }
    clearTimeout(next);
    if (wait < Infinity && !ending.signal.aborted) next = setTimeout(look, wait);
  }
  document.addEventListener("visibilitychange", look, {signal: ending.signal});
  addEventListener("focus", look, {signal: ending.signal});
  onEnd(() => {
    clearTimeout(next);
    ending.abort();
  });
  look();
  return look;
}

/** A bar with bytes of bytes, outside of what is read aloud. @param {() => DataSet | null} state */
function progress(state) {
  const amount = () => {
    const now = state();
    if (!now?.total) return "";
    return `${size(now.done)} of ${size(now.total)}, ${percent(now.done / now.total)}`;
  };
  const bar = h("progress", {
    "aria-label": () => `Download of ${state()?.name}`,
    "aria-valuetext": () => amount() || null,
    max: () => state()?.total || 1,
  });
  effect(() => {
    const now = state();
    if (now?.total) bar.value = now.done;
    else bar.removeAttribute("value");
  });
  return h(
    "div",
    {class: "data-progress", hidden: () => state()?.state !== "preparing"},
    bar,
    h("span", {class: "quiet"}, amount),
  );
}
