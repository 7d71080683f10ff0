// @ts-check
/** What a page shows of something that the server is asked for again and again. */
import {Refusal} from "../api.js";
import {announce} from "../stream.js";
import {readAgain} from "./again.js";
import {signal} from "./signal.js";

/** Refusals after which it is not asked for again: there is no such thing. */
const GONE = [404, 409, 422];
const RUNNING_MS = 1000;
const IDLE_MS = 4000;

/**
 * Ask now, and again while the page is open. The same answer again changes nothing on the page;
 * another one is announced to the charts as "refresh".
 * @template T
 * @param {() => Promise<T>} ask
 * @param {(answer: T) => boolean} isRunning whether it may change soon
 * @returns {{value: () => T | null, problem: () => string, read: () => Promise<void>}}
 */
export function polled(ask, isRunning) {
  const value = signal(/** @type {T | null} */ (null));
  const problem = signal("");
  let before = "";
  const read = readAgain(async () => {
    try {
      const answer = await ask();
      const text = JSON.stringify(answer);
      if (text !== before) {
        before = text;
        value.set(answer);
        announce("refresh", {});
      }
      problem.set("");
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      problem.set(error.message);
      if (GONE.includes(error.status)) return null;
    }
    const now = value.peek();
    return now !== null && isRunning(now) ? RUNNING_MS : IDLE_MS;
  });
  return {value, problem, read};
}
