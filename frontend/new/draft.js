// @ts-check
/**
 * The configuration that is being written: where it started, what it is now, and what the lab says
 * of it. It survives a reload.
 */
import * as api from "../api.js";
import {effect, onEnd, signal} from "../lib/signal.js";
import {defaultName} from "./titles.js";

/** @typedef {{title: string, config: any}} Origin where the reader started; `config` has every field */
/** @typedef {"" | "dataset" | "loss" | "network" | "estimator"} Chosen */
/** @typedef {import("../types.js").DraftView} DraftView */
/** @typedef {{said: string[], before: any}} Notice what followed a choice, and the draft before it */
/**
 * @template T
 * @typedef {import("../lib/signal.js").Signal<T>} Signal
 */

const DRAFT = "gradlab draft";
const TYPED_MS = 350;
/** Choices that others may have to follow. */
const LEADING = /** @type {const} */ (["dataset", "loss", "network"]);

/** @returns {{origin: Origin | null, config: any, isNamed: boolean} | null} */
export function stored() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(DRAFT) ?? "null");
    return kept?.config ? kept : null;
  } catch {
    return null;
  }
}

/** @param {any} kept */
function store(kept) {
  try {
    sessionStorage.setItem(DRAFT, JSON.stringify(kept));
  } catch {
    // It holds until the page is left.
  }
}

/**
 * @param {import("../types.js").Catalogue} known
 * @returns what the parts of the page share
 */
export function createDraft(known) {
  const kept = stored();
  const greeting = {...known.greeting, name: ""};
  /** What the form is made of; setting it makes the form anew. */
  const model = signal(kept?.config ?? greeting);
  /** What the form says now. */
  const now = signal(model.peek());
  const origin = signal(/** @type {Origin | null} */ (kept?.origin ?? null));
  const isNamed = signal(kept?.isNamed ?? false);
  const answer = signal(/** @type {DraftView | null} */ (null));
  const notice = signal(/** @type {Notice | null} */ (null));
  const unsuited = signal(/** @type {Record<string, Record<string, string>>} */ ({}));
  /** @type {{chosen: Chosen, before: any} | null} a choice that the others may have to follow */
  let followed = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let asked = 0;
  /** @type {Promise<void>} */
  let asking = Promise.resolve();
  let suitedFor = "";
  /** Whether a reader looks at the choices of which some may not suit; to judge all takes a second. */
  let isJudging = false;
  /** @type {any} */
  let answeredFor = null;

  effect(() => store({origin: origin(), config: now(), isNamed: isNamed()}));
  onEnd(() => {
    clearTimeout(timer);
    asked = Infinity;
  });

  /** The form was changed. @param {any} config */
  function change(config) {
    const before = now.peek();
    const chosen = LEADING.find((part) => config[part]?.name !== before[part]?.name);
    if (chosen) {
      followed = {chosen, before};
      notice.set(null);
    }
    now.set(config);
    clearTimeout(timer);
    asked += 1; // an answer under way is of what the form said before
    if (chosen) asking = check();
    else timer = setTimeout(() => (asking = check()), TYPED_MS);
  }

  /** Make the form anew. @param {any} config @param {{start?: string, isNamed?: boolean, chosen?: Chosen}} [how] */
  function fill(config, how = {}) {
    const before = now.peek();
    if (how.start !== undefined) origin.set(null); // the form tells all of its fields
    if (how.isNamed !== undefined) isNamed.set(how.isNamed);
    followed = how.chosen ? {chosen: how.chosen, before} : null;
    if (!how.chosen) notice.set(null);
    const name = isNamed.peek() ? config.name : defaultName(config);
    startTitle = how.start ?? startTitle;
    model.set({...structuredClone(config), name});
    clearTimeout(timer);
    asking = check();
  }
  let startTitle = kept?.origin?.title ?? "the first example";

  /** The form was made: it says every field. @param {any} config */
  function made(config) {
    if (!origin.peek()) origin.set({title: startTitle, config});
    now.set(config);
  }

  async function check() {
    const mine = ++asked;
    const config = now.peek();
    const choice = followed;
    let told;
    try {
      told = await api.inspectDraft(config, choice?.chosen ?? "");
    } catch (error) {
      if (!(error instanceof api.Silence || error instanceof api.Refusal)) throw error;
      return; // the banner says that the lab is silent
    }
    if (mine !== asked) return;
    followed = null;
    if (choice && told.said.length > 0) {
      notice.set({said: told.said, before: choice.before});
      model.set({...now.peek(), ...told.changes, name: nameOf({...config, ...told.changes})});
    }
    answeredFor = now.peek();
    answer.set(told);
    if (isJudging) void judge(now.peek());
  }

  /** @param {any} config */
  const nameOf = (config) => (isNamed.peek() ? config.name : defaultName(config));

  /** Ask which components do not suit, where that may have changed. @param {any} config */
  async function judge({dataset, loss, network, batch_size, estimator, optimizer}) {
    const key = JSON.stringify([dataset, loss, network]);
    if (key === suitedFor) return;
    suitedFor = key;
    const config = {dataset, loss, network, batch_size, estimator, optimizer};
    const told = await api.unsuited(config).catch(() => null);
    if (told && key === suitedFor) unsuited.set(told);
    else if (!told) suitedFor = "";
  }

  return {
    known, model, now, origin, isNamed, answer, notice, unsuited, change, fill, made,
    /** Say of the choices which do not suit, from now on. */
    judge() {
      isJudging = true;
      void judge(now.peek());
    },
    /** Once the others have followed the last choice. */
    settled: () => (followed ? asking : Promise.resolve()),
    /** Whether the answer is of what the form says. */
    isCurrent: () => answeredFor === now.peek(),
    check: () => (asking = check()),
  }; // prettier-ignore
}

/** @typedef {ReturnType<typeof createDraft>} Draft */
