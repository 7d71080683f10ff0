// @ts-check
/** A page that is read again and again while it is open and visible. */
import {Silence} from "../api.js";
import {onEnd} from "./signal.js";

/** At most one reading a second, and a fifth of the server's time. */
const LEAST_MS = 1000;
const SHARE = 4;
const SILENT_MS = 1500;

/**
 * Read now, and again after as many ms as `read` says; null: not until it is asked for.
 * @param {() => Promise<number | null>} read
 * @returns {() => Promise<void>} read at once
 */
export function readAgain(read) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  /** @type {Promise<void> | null} */
  let reading = null;
  let isOpen = true;

  async function once() {
    const began = performance.now();
    const wait = await read().then(
      (asked) => asked,
      (error) => {
        if (!(error instanceof Silence)) throw error;
        return SILENT_MS;
      },
    );
    if (wait === null || document.hidden || !isOpen) return;
    timer = setTimeout(now, Math.max(wait, LEAST_MS, SHARE * (performance.now() - began)));
  }

  /** After a reading under way, whose answer may be older than what was asked for. */
  async function now() {
    clearTimeout(timer);
    await reading;
    clearTimeout(timer);
    const mine = (reading = once());
    await mine;
    if (reading === mine) reading = null;
  }
  const follow = () => {
    if (document.hidden) clearTimeout(timer);
    else void now();
  };
  document.addEventListener("visibilitychange", follow);
  onEnd(() => {
    isOpen = false;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", follow);
  });
  void now();
  return now;
}
