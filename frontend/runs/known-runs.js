// @ts-check
/**
 * The runs that the page knows: the newest ones, page by page, those in the charts, and those that
 * were searched for. Readings and the event stream bring news of them.
 */
import * as api from "../api.js";
import {batch, computed, signal, untracked} from "../lib/signal.js";
import {focus, runNumber, show, shown, study} from "../state.js";
import {compare, settled} from "./pending.js";

/** @typedef {import("../types.js").Run} Run */

const PAGE = 50;

/** Newest first. */
export const runs = signal(/** @type {Run[]} */ ([]));
/** How many runs the lab has. */
export const total = signal(0);
/** False until the list has been read once. */
export const listed = signal(false);
/** What became of runs that were shown or asked for and do not exist, as sentences. */
export const gone = signal(/** @type {string[]} */ ([]));
/** Runs that the reader has deleted and may still bring back. */
const hidden = signal(/** @type {ReadonlySet<string>} */ (new Set()));
/** What is searched for; "" for all runs. */
export const sought = signal("");
/** The runs that the server found: how many, and how far they have been read. */
const found = signal({text: "", total: 0, before: 0});

/** The number below which nothing has been read. */
let frontier = Infinity;
/** How many of the newest runs to read. */
let wanted = PAGE;
/** The largest number of a run so far. */
let newest = 0;
/** What is known since a reading began, which is newer than its answer. @type {Map<string, Run> | null} */
let meanwhile = null;
/** Answers under way may still have them. @type {Set<string>} */
const deleted = new Set();
/** @type {WeakSet<Run>} what the stream has said of runs: newer than an answer under way */
const heard = new WeakSet();

export const find = (/** @type {string} */ id) => runs().find((run) => run.id === id);

/** @param {Run} run */
const isOfStudy = (run) => study() !== "" && run.study === study();

/** The runs of the study that is looked at, in the order in which it was made. */
export const ofStudy = computed(() => runs().filter(isOfStudy).toReversed());

/** The runs that the search is about: of the study alone, while one is looked at. */
export const matching = computed(() =>
  runs().filter(
    (run) => !hidden().has(run.id) && (!study() || isOfStudy(run)) && matches(run, sought()),
  ),
);

/** How many runs of the list have not been read yet. */
export const unread = computed(() => {
  if (study()) return 0; // it is read as a whole
  if (!sought()) return total() - runs().length;
  return found().text === sought() ? found().total - matching().length : 0;
});

/** As the server searches: name, id and driver; and the number. @param {Run} run @param {string} text */
function matches({name, id, number, labels}, text) {
  const words = [name, id, labels.driver, `#${number}`];
  return words.some((word) => word.toLowerCase().includes(text.toLowerCase()));
}

/** Read the list anew, and those shown runs that are too old to be on it. */
export async function readRuns() {
  const mine = (meanwhile = new Map());
  try {
    await readAll(mine);
  } finally {
    if (mine === meanwhile) meanwhile = null;
  }
  if (sought.peek()) await search(sought.peek());
}

/** @param {Map<string, Run>} mine */
async function readAll(mine) {
  const page = await readNewest(wanted);
  const listedIds = new Set(page.runs.map((run) => run.id));
  const older = await Promise.all([
    ...shown
      .peek()
      .filter((id) => !listedIds.has(id))
      .map(readOne),
    readNamed(untracked(runNumber), page.runs),
  ]);
  // Another reading has begun since: its answer is newer.
  if (mine !== meanwhile) return;
  batch(() => {
    const read = [...page.runs, ...older.flatMap((run) => run ?? [])];
    const left = read.filter((run) => !deleted.has(run.id));
    total.set(page.total - (read.length - left.length));
    frontier = page.runs.at(-1)?.number ?? Infinity;
    newest = page.runs[0]?.number ?? 0;
    runs.set(sorted(left));
    for (const run of left) compare(run);
    for (const run of mine.values()) put(run);
    listed.set(true);
  });
}

/** @param {number} count */
async function readNewest(count) {
  /** @type {Run[]} */
  const read = [];
  /** @type {number | undefined} of the first page: what came after it, the stream tells */
  let total;
  for (;;) {
    const limit = Math.min(count - read.length, api.MOST_RUNS);
    const page = await api.runs({limit, before: read.at(-1)?.number});
    read.push(...page.runs);
    total ??= page.total;
    if (page.runs.length < limit || read.length >= count) return {runs: read, total};
  }
}

/** Whether a run has this number, or this id. @param {Run} run @param {string} key */
const isCalled = ({id, number}, key) => id === key || String(number) === key;

/** A run by its number or id, unless it was read. @param {string} key @param {Run[]} read */
function readNamed(key, read) {
  if (!key || read.some((run) => isCalled(run, key))) return null;
  return api.run(key).catch((error) => {
    absent(error);
    return null;
  });
}

/** Read a run that may be too old to be on the list. @param {string} key number or id @returns {Promise<boolean>} whether there is one */
export async function readRun(key) {
  const run = await readNamed(key, runs.peek());
  if (run) add([run]);
  return runs.peek().some((run) => isCalled(run, key));
}

/** Read the next older runs of the list. */
export async function readMore() {
  if (sought.peek()) return readFound(sought.peek(), found.peek().before);
  const page = await api.runs({limit: PAGE, before: Math.min(frontier, newest + 1)});
  wanted += PAGE;
  frontier = page.runs.at(-1)?.number ?? 0;
  total.set(page.total);
  add(page.runs);
}

/** Show the runs with this text in name, id or driver, or of this number. @param {string} text */
export async function search(text) {
  sought.set(text);
  if (!text) return;
  const number = /^#?(\d{1,15})$/.exec(text)?.[1];
  await Promise.all([readFound(text), number && api.run(number).then((run) => add([run]), absent)]);
}

/** Read all runs of a study. @param {string} id @returns {Promise<string>} its name */
export async function readStudy(id) {
  const read = await api.study(id);
  add(read.runs);
  return read.name;
}

/** Read the shown runs that are not known, such as those of an older view. */
export async function readShown() {
  const unknown = shown.peek().filter((id) => !find(id));
  const read = await Promise.all(unknown.map(readOne));
  add(read.flatMap((run) => run ?? []));
}

/** @param {string} text @param {number} [before] */
async function readFound(text, before) {
  const page = await api.runs({limit: PAGE, search: text, before});
  if (text !== sought.peek()) return;
  add(page.runs);
  found.set({text, total: page.total, before: page.runs.at(-1)?.number ?? 0});
}

/** @param {unknown} error */
function absent(error) {
  if (!(error instanceof api.Refusal) || ![404, 422].includes(error.status)) throw error;
}

/** A run that is gone leaves the charts, with a sentence. @param {string} id */
async function readOne(id) {
  try {
    return await api.run(id);
  } catch (error) {
    absent(error);
    say(`Run ${id} is not in this lab: it was deleted, or the address is of another lab.`);
    drop(id);
    return null;
  }
}

/** @param {string} sentence */
const say = (sentence) => gone.update((all) => (all.includes(sentence) ? all : [...all, sentence]));

/** @param {Run[]} all */
const sorted = (all) => all.toSorted((a, b) => b.number - a.number);

/** Runs that were read, unless they are known: what is known is newer. @param {Run[]} read */
function add(read) {
  const ids = new Set(runs.peek().map((run) => run.id));
  const fresh = read.filter(({id}) => !ids.has(id) && !deleted.has(id));
  if (fresh.length > 0) runs.update((all) => sorted([...all, ...fresh]));
}

/** The stream tells of a run. @param {Run} run */
export function hear(run) {
  heard.add(run);
  put(run);
}

/**
 * Take in the answer to a request, unless the stream has said something since it was sent.
 * @param {Run} answer
 * @param {Run | undefined} before
 */
export function putAnswer(answer, before) {
  const now = runs.peek().find((run) => run.id === answer.id);
  if (now === before || !now || !heard.has(now)) put(answer);
}

/** @param {Run} run */
function put(run) {
  if (deleted.has(run.id)) return;
  meanwhile?.set(run.id, run);
  compare(run);
  const isKnown = runs.peek().some((other) => other.id === run.id);
  if (!isKnown && run.number > newest) total.update((n) => n + 1);
  newest = Math.max(newest, run.number);
  runs.update((all) =>
    isKnown ? all.map((other) => (other.id === run.id ? run : other)) : sorted([run, ...all]),
  );
}

/** A run was deleted: here, or by somebody else. @param {string} id */
export function forget(id) {
  const run = runs.peek().find((run) => run.id === id);
  if (run && shown.peek().includes(id))
    say(`Run ${run.number} (${run.name || run.labels.driver}) was deleted.`);
  if (run) total.update((n) => n - 1);
  runs.update((all) => all.filter((run) => run.id !== id));
  deleted.add(id);
  meanwhile?.delete(id);
  settled(id);
  drop(id);
}

/** Leave a run out of the list, or bring it back. @param {string} id @param {boolean} isHidden */
export function hide(id, isHidden) {
  const now = new Set(hidden.peek());
  if (isHidden) now.add(id);
  else now.delete(id);
  hidden.set(now);
}

/** Out of the charts and the address. @param {string} id */
function drop(id) {
  show(id, false);
  if (focus.peek() === id) focus.set("");
}
