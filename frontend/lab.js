// @ts-check
/** What the page knows of the lab and asks of it, kept true by the event stream. */
import * as api from "./api.js";
import {signal} from "./lib/signal.js";
import {later, say} from "./lib/take.js";
import {on} from "./stream.js";
import {find, forget, hear, hide, putAnswer, readRuns, runs} from "./runs/known-runs.js";
import {expectOrder, forgetOrders, isFinal, pending, settled, stepTarget} from "./runs/pending.js";
import {focus, go, path, runNumber, show, shown} from "./state.js";

/** @typedef {import("./types.js").Run} Run */

export const catalogue = signal(/** @type {import("./types.js").Catalogue | null} */ (null));
/** Every figure that the lab can draw; null until it is read. */
export const figures = signal(/** @type {import("./types.js").FigureCatalogue | null} */ (null));
/** A sentence about the last order that failed. */
export const complaint = signal("");

/** The run whose page is open. */
export const pageRun = () => runs().find((run) => String(run.number) === runNumber());

/** The runs in the charts, in the order in which they were chosen: on a run's page that run. */
export function shownRuns() {
  if (runNumber()) return [pageRun() ?? []].flat();
  return shown().flatMap((id) => find(id) ?? []);
}

/** The run that carpets, layers and keys are about. */
export const focused = () => shownRuns().find((run) => run.id === focus()) ?? shownRuns()[0];

/** The form is drawn anew only when there is news. */
export async function readCatalogue() {
  const read = await api.catalogue();
  if (read.version !== catalogue.peek()?.version) await take(read);
}

export async function refreshCatalogue() {
  await take(await api.refreshCatalogue());
}

/** A figure of a plug-in comes with the catalogue. @param {import("./types.js").Catalogue} read */
async function take(read) {
  const own = JSON.stringify(read.figures ?? []);
  const before = JSON.stringify(catalogue.peek()?.figures ?? []);
  catalogue.set(read);
  if (own !== before) figures.set(await api.figures());
}

/** The path of the page of the run that was started last. */
let opened = "";

/** Start a run and open its page. @param {any} config */
export async function start(config) {
  const run = await api.start(config);
  // Of several presses, each follows the page of the run before it.
  return open(run, ["/new", opened]);
}

/** Start a microscope at a checkpoint, and open its page. @param {any} ask */
export async function startMicroscope(ask) {
  const from = path.peek();
  return open(await api.probe(ask), [from]);
}

/** Open a run's page, unless the reader has gone elsewhere meanwhile. @param {Run} run that was started @param {string[]} from paths */
function open(run, from) {
  putAnswer(run, undefined);
  if (from.includes(path.peek())) {
    go(addressOfRun(run));
    opened = path.peek();
  } else say(`Run ${run.number} was started.`);
  return run;
}

/** The page of a run; of a microscope, the place on the page of the run that it looks at. @param {Run} run */
export function addressOfRun({kind, number, parent}) {
  const subject = kind === "microscope" && parent && find(parent);
  return subject ? `/runs/${subject.number}/microscope?look=${number}` : `/runs/${number}`;
}

/** Where a run is looked at with the microscope; of a microscope, where it stands. @param {Run} run */
export const microscopeAddress = (run) =>
  run.kind === "microscope" ? addressOfRun(run) : `/runs/${run.number}/microscope`;

/** The largest seed asked for, by microscope. @type {Map<string, number>} */
const seeds = new Map();

/** Draw again, each time with the next seed. @param {Run} run a microscope */
export async function resample(run) {
  const {step, draws, seed: own, source, ...kind} = run.config.microscope;
  const {sweep, anatomy, what_if, adjoint_map} = kind;
  const seed = (seeds.get(run.id) ?? own) + 1;
  seeds.set(run.id, seed);
  complaint.set("");
  try {
    const asked = {sweep, anatomy, what_if, adjoint_map};
    await startMicroscope({run: run.id, step, draws, seed, source, ...asked});
  } catch (error) {
    complain(run, error);
  }
}

/** @param {Run} run @param {unknown} error */
function complain(run, error) {
  complaint.set(`Run ${run.number}: ${error instanceof Error ? error.message : error}`);
}

/**
 * Give an order and take in the answer; a refusal becomes the complaint. An order that a run is
 * about to follow is not given twice; each further step is one step more.
 * @param {Run} run @param {"pause" | "resume" | "cancel" | "step"} kind
 */
export async function order(run, kind) {
  const before = pending(run.id);
  if ((before === kind && kind !== "step") || isFinal(before)) return;
  const to = Math.min((before === "step" ? stepTarget(run.id) : run.step) + 1, run.steps);
  complaint.set("");
  expectOrder(run, kind, to);
  try {
    putAnswer(await (kind === "step" ? api.step(run.id, to) : api.order(run.id, kind)), run);
  } catch (error) {
    settled(run.id);
    if (error instanceof api.Refusal && error.status === 404) forget(run.id);
    else complain(run, error);
  }
}

/**
 * Delete a run. It leaves the page at once, and the lab ten seconds later, unless the reader takes
 * it back; after a refusal it is there again.
 * @param {Run} run
 */
export function remove(run) {
  const wasShown = shown.peek().includes(run.id);
  const bringBack = () => {
    hide(run.id, false);
    if (wasShown) show(run.id, true);
  };
  complaint.set("");
  if (pageRun()?.id === run.id) go("/runs");
  show(run.id, false);
  hide(run.id, true);
  later(`Run ${run.number} was deleted.`, () => finish(run, bringBack), bringBack);
}

/** @param {Run} run @param {() => void} bringBack */
async function finish(run, bringBack) {
  try {
    await api.remove(run.id);
    forget(run.id);
  } catch (error) {
    if (error instanceof api.Refusal && error.status === 404) return forget(run.id);
    bringBack();
    complain(run, error);
  }
}

/** Go on with another driver or learning rate; throws the refusal. @param {Run} run @param {any} asked */
export const change = async (run, asked) => putAnswer(await api.change(run.id, asked), run);

/** Start a run from a checkpoint of another, and open its page. @param {Run} run @param {any} asked */
export async function fork(run, asked) {
  const from = path.peek();
  return open(await api.fork(run.id, asked), [from]);
}

/** Pause a running run, resume a paused one. @param {Run} run @returns {boolean} whether it is either */
export function toggle(run) {
  if (run.status === "running") order(run, "pause");
  else if (run.status === "paused") order(run, "resume");
  else return false;
  return true;
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
