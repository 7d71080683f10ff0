// @ts-check
/**
 * What a reader of a run must know beside its charts: one list for its page, its row and its
 * status, read of the lab when it may have changed.
 */
import * as api from "../api.js";
import {icon} from "../icons.js";
import {counted} from "../lib/format.js";
import {h} from "../lib/h.js";
import {computed, effect, onEnd, signal, untracked} from "../lib/signal.js";
import {on} from "../stream.js";
import {hasEnded} from "./pending.js";

/** @typedef {import("../types.js").Run} Run */
/** @typedef {import("../types.js").RunFinding} RunFinding */

/** The severity from which on a finding is more than a remark. */
const FAULT = 2;
/** The least time between two readings while a run goes on, in ms. */
const PAUSE_MS = 5000;

/** The findings that a run recorded itself, oldest first. @param {Run} run */
export const recorded = (run) =>
  run.events.filter(({kind}) => kind === "finding").map(({text}) => text);

/** @typedef {import("../lib/signal.js").Signal<RunFinding[] | null>} List null until it is read */

/** @type {Map<string, {list: List, of: string, text: string}>} by the id of the run */
const lists = new Map();

/** @param {string} id */
function entry(id) {
  const own = lists.get(id) ?? {
    list: signal(/** @type {RunFinding[] | null} */ (null)),
    of: "",
    text: "",
  };
  lists.set(id, own);
  return own;
}

/** What the findings of a run depend on besides its points. @param {Run} run */
const stateOf = (run) => `${run.status} ${recorded(run).length} ${run.attempt}`;

/** @param {string} id @param {string} state @returns {Promise<void>} */
async function read(id, state) {
  const own = entry(id);
  own.of = state;
  try {
    const now = await api.findings(id);
    const text = JSON.stringify(now);
    // The same again draws nothing, so that the focus stays where it is.
    if (text !== own.text) own.list.set(now);
    own.text = text;
  } catch (error) {
    // Read again when the state is asked for next.
    own.of = "";
    if (!(error instanceof api.Silence) && !(error instanceof api.Refusal)) throw error;
  }
}

/**
 * The findings of a run, read once for each state of it.
 * @param {() => Run} run
 * @returns {List}
 */
export function findingsOf(run) {
  const {id} = untracked(run);
  const state = computed(() => stateOf(run()));
  effect(() => {
    const now = state();
    // A run that is going on and has reported nothing costs no reading.
    const isQuiet = !hasEnded(untracked(run).status) && untracked(run).events.length === 0;
    if (!isQuiet && entry(id).of !== now) void read(id, now);
  });
  return entry(id).list;
}

/**
 * The same, and read again as the run measures more.
 * @param {() => Run} run
 * @returns {List}
 */
export function followFindings(run) {
  const {id} = untracked(run);
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const now = () => void read(id, stateOf(untracked(run)));
  const soon = () => {
    timer ??= setTimeout(() => {
      timer = undefined;
      if (!document.hidden) now();
    }, PAUSE_MS);
  };
  const state = computed(() => stateOf(run()));
  effect(() => {
    // The head of the page may have asked already.
    if (entry(id).of !== state()) untracked(now);
  });
  onEnd(on("points", (news) => news.run === id && soon()));
  onEnd(on("reset", soon));
  onEnd(() => clearTimeout(timer));
  return entry(id).list;
}

/** The findings that are more than a remark. @param {RunFinding[] | null} all */
export const serious = (all) => (all ?? []).filter(({severity}) => severity >= FAULT);

/**
 * How many serious findings a run has that is done, beside its status.
 * @param {() => Run} run
 * @param {List} list
 */
export function findingsCount(run, list) {
  const many = computed(() => (isDone(run().status) ? serious(list()).length : 0));
  return () => many() > 0 && h("span", {class: "findings-count"}, icon("warning"), counts(many()));
}

/** A run whose state does not say itself that something went wrong. @param {string} status */
const isDone = (status) => status === "finished" || status === "cancelled";

/** @param {number} many */
const counts = (many) => counted(many, "finding");

/** Words whose numbers keep their units on their line. @param {string} text */
export const unbroken = (text) => text.replaceAll(/ (?=[%×])/g, "\u00a0");

/**
 * A line with the first fault, clipped; it opens to all of them. Nothing for a run without any. That
 * a run failed or diverged, its row says itself.
 * @param {List} list
 */
export function findingsLine(list) {
  // As text, so that a step without a new finding leaves the line as it is.
  const texts = computed(() =>
    JSON.stringify(
      serious(list())
        .filter(({severity}) => severity === FAULT)
        .map(({title, text}) => [title, text]),
    ),
  );
  const any = computed(() => texts() !== "[]");
  /** @type {() => [string, string][]} */
  const all = () => JSON.parse(texts());
  const first = () => all()[0]?.[0] ?? "";
  const details = () =>
    h(
      "details",
      {class: "run-findings"},
      h(
        "summary",
        {title: first},
        icon("warning"),
        () => ` ${first()}${all().length > 1 ? ` And ${all().length - 1} more.` : ""}`,
      ),
      h("ul", null, () =>
        all().map(([title, text]) => h("li", null, h("b", null, title), ` ${unbroken(text)}`)),
      ),
    );
  return () => any() && details();
}
