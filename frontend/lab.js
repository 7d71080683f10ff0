// @ts-check
/** What the page knows of the lab: its runs and its catalogue, kept true by the event stream. */
import * as api from "./api.js";
import {signal} from "./lib/signal.js";
import {on} from "./stream.js";
import {compare, expectOrder, forgetOrders, pending, settled} from "./runs/pending.js";
import {focus, show, shown} from "./state.js";

/** @typedef {import("./types.js").Run} Run */

const PAGE = 50;

/** Newest first. */
export const runs = signal(/** @type {Run[]} */ ([]));
export const total = signal(0);
/** False until the list has been read once. */
export const listed = signal(false);
export const catalogue = signal(/** @type {import("./types.js").Catalogue | null} */ (null));
/** Every figure that the lab can draw; null until it is read. */
export const figures = signal(/** @type {import("./types.js").FigureCatalogue | null} */ (null));
/** A sentence about the last order that failed. */
export const complaint = signal("");

export const find = (/** @type {string} */ id) => runs().find((run) => run.id === id);

/** The runs in the charts, in the order in which they were chosen. */
export const shownRuns = () => shown().flatMap((id) => find(id) ?? []);

/** The run that carpets, layers and keys are about. */
export const focused = () => shownRuns().find((run) => run.id === focus()) ?? shownRuns()[0];

let wanted = PAGE;

/** Read the list, and those shown runs that are too old to be on it. */
export async function readRuns() {
  const page = await api.runs(wanted);
  const known = new Set(page.runs.map((run) => run.id));
  const older = await Promise.all(
    shown
      .peek()
      .filter((id) => !known.has(id))
      .map(readOne),
  );
  runs.set([...page.runs, ...older.flatMap((run) => run ?? [])]);
  total.set(page.total);
  listed.set(true);
}

export function readMore() {
  wanted += PAGE;
  return readRuns();
}

/** A run that is gone leaves the charts. @param {string} id */
async function readOne(id) {
  try {
    return await api.run(id);
  } catch (error) {
    if (!(error instanceof api.Refusal) || error.status !== 404) throw error;
    show(id, false);
    return null;
  }
}

/** The form is drawn anew only when there is news. */
export async function readCatalogue() {
  const read = await api.catalogue();
  if (read.version !== catalogue.peek()?.version) catalogue.set(read);
}

export async function refreshCatalogue() {
  catalogue.set(await api.refreshCatalogue());
}

/** @type {WeakSet<Run>} what the stream has said of runs: newer than an answer under way */
const heard = new WeakSet();

/** @param {Run} run */
function hear(run) {
  heard.add(run);
  put(run);
}

/**
 * Take in the answer to a request, unless the stream has said something since it was sent.
 * @param {Run} answer
 * @param {Run | undefined} before
 */
function putAnswer(answer, before) {
  const now = runs.peek().find((run) => run.id === answer.id);
  if (now === before || !now || !heard.has(now)) put(answer);
}

/** @param {Run} run */
function put(run) {
  compare(run);
  const known = runs.peek().some((other) => other.id === run.id);
  if (!known) total.update((n) => n + 1);
  runs.update((all) =>
    known ? all.map((other) => (other.id === run.id ? run : other)) : [run, ...all],
  );
}

/** @param {string} id */
function forget(id) {
  if (runs.peek().some((run) => run.id === id)) total.update((n) => n - 1);
  runs.update((all) => all.filter((run) => run.id !== id));
  settled(id);
  show(id, false);
}

/** Start a run and show it. @param {any} config */
export async function start(config) {
  return begin(await api.start(config));
}

/** Start a microscope at a checkpoint, and show it. @param {any} ask */
export async function startMicroscope(ask) {
  return begin(await api.probe(ask));
}

/** @param {Run} run */
function begin(run) {
  putAnswer(run, undefined);
  show(run.id, true);
  focus.set(run.id);
  return run;
}

/** Draw again with the next seed. @param {Run} run a microscope */
export async function resample(run) {
  const {step, draws, seed, source, sweep, anatomy, what_if} = run.config.microscope;
  complaint.set("");
  try {
    await startMicroscope({
      run: run.id,
      step,
      draws,
      seed: seed + 1,
      source,
      sweep,
      anatomy,
      what_if,
    });
  } catch (error) {
    complaint.set(`Run ${run.number}: ${error instanceof Error ? error.message : error}`);
  }
}

/**
 * Give an order and take in the answer; a refusal becomes the complaint.
 * @param {Run} run @param {"pause" | "resume" | "cancel" | "step" | "delete"} kind
 */
export async function order(run, kind) {
  const before = pending(run.id);
  if (before === kind || before === "cancel") return;
  complaint.set("");
  expectOrder(run, kind);
  try {
    if (kind === "delete") await api.remove(run.id).then(() => forget(run.id));
    else
      putAnswer(
        await (kind === "step" ? api.step(run.id, run.step + 1) : api.order(run.id, kind)),
        run,
      );
  } catch (error) {
    settled(run.id);
    complaint.set(`Run ${run.number}: ${error instanceof Error ? error.message : error}`);
  }
}

/** Go on with another driver or learning rate; throws the refusal. @param {Run} run @param {any} asked */
export const change = async (run, asked) => putAnswer(await api.change(run.id, asked), run);

/** Start a run from a checkpoint of another, and show it. @param {Run} run @param {any} asked */
export const fork = async (run, asked) => begin(await api.fork(run.id, asked));

/** Pause a running run, resume a paused one. @param {Run} run */
export function toggle(run) {
  if (run.status === "running") return order(run, "pause");
  if (run.status === "paused") return order(run, "resume");
}

/** Hear of everything that happens, and say whether a reading failed. */
export function followLab() {
  on("run", hear);
  on("deleted", ({run}) => forget(run));
  on("catalogue", (news) => {
    if (news.version !== catalogue.peek()?.version) attempt(readCatalogue);
  });
  on("reset", () => {
    forgetOrders();
    attempt(readRuns);
    if (!figures.peek()) attempt(async () => figures.set(await api.figures()));
    attempt(readCatalogue);
  });
}

/** @param {() => Promise<any>} read */
async function attempt(read) {
  try {
    await read();
  } catch (error) {
    // While the server is silent the banner says so, and the stream resets when it is back.
    if (!(error instanceof api.Silence)) throw error;
  }
}
