// @ts-check
/**
 * The connection to the lab's event stream, kept open: by a shared worker for all tabs, or by a
 * tab for itself. It knows no page, so that both can use it.
 */
import {Refusal, knock, streamUrl} from "../api.js";

/** The kinds of events that the server sends, except for `alive`, which says only that it lives. */
export const KINDS = ["points", "run", "deleted", "truncate", "catalogue", "reset"];
/** Without any event for so long, the server does not answer: it sends `alive` every 3 s. */
export const SILENT_MS = 10_000;
/** How often the state is told. */
export const TICK_MS = 1000;
const RETRY_MS = 1500;
const ANSWER_MS = 5000;

/**
 * @typedef {"closed" | "opening" | "open" | "lost" | "denied"} State
 * @typedef {{state: State, heard: number}} Connection `heard`: when the server last said something
 */

/**
 * A stream that is closed at first. When events may have been missed, it tells of a `reset`.
 * @param {(kind: string, json: string) => void} tell an event of the server
 * @param {(connection: Connection) => void} report how the connection is: at a change, and each tick
 */
export function eventStream(tell, report) {
  /** @type {EventSource | null} */
  let source = null;
  /** @type {State} */
  let state = "closed";
  let heard = Date.now();
  /** When it was last opened or asked to open. */
  let began = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let retry;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let clock;

  /** @param {State} next */
  function become(next) {
    state = next;
    report({state, heard});
  }

  function open() {
    if (source || state === "lost") return;
    clearInterval(clock);
    clock = setInterval(tick, TICK_MS);
    heard = Date.now();
    connect();
    become("opening");
  }

  function connect() {
    clearTimeout(retry);
    began = Date.now();
    const mine = (source = new EventSource(streamUrl()));
    let fresh = true;
    mine.onopen = () => {
      if (mine !== source) return;
      hear();
      // A new stream begins with now. Where the browser itself reconnects, it says where to go on.
      if (fresh) tell("reset", "{}");
      fresh = false;
    };
    mine.onerror = () => mine === source && lose(mine.readyState === EventSource.CLOSED);
    mine.addEventListener("alive", hear);
    for (const kind of KINDS)
      mine.addEventListener(kind, (event) => {
        hear();
        tell(kind, event.data);
      });
  }

  function hear() {
    heard = Date.now();
    if (state !== "open") become("open");
  }

  function tick() {
    if (source && Date.now() - Math.max(heard, began) > SILENT_MS) lose(true);
    else report({state, heard});
  }

  /** @param {boolean} forGood whether the browser will not reconnect by itself */
  function lose(forGood) {
    if (forGood) {
      drop();
      retry = setTimeout(reopen, RETRY_MS);
    }
    if (state !== "lost") become("lost");
  }

  /** Ask whether the server is back, and still knows us, before a stream is asked for. */
  async function reopen() {
    try {
      await knock(AbortSignal.timeout(ANSWER_MS));
    } catch (error) {
      if (state !== "lost") return;
      if (error instanceof Refusal && error.status === 401) close("denied");
      else retry = setTimeout(reopen, RETRY_MS);
      return;
    }
    if (state === "lost" && !source) connect();
  }

  function drop() {
    clearTimeout(retry);
    source?.close();
    source = null;
  }

  /** @param {"closed" | "denied"} [as] */
  function close(as = "closed") {
    drop();
    clearInterval(clock);
    become(as);
  }

  return {open, close: () => close(), connection: () => ({state, heard})};
}
