// @ts-check
/** When a chart fetches its figure: only in view, one request at a time, at most one a second. */

const AGAIN_MS = 1000;
/** After an answer without points: the first points should appear at once. */
const EMPTY_MS = 50;

/**
 * @param {(signal: AbortSignal) => Promise<boolean | "empty">} read false: it is to be tried again
 */
export function refresher(read) {
  let inView = false;
  let stale = true;
  let last = -Infinity;
  let pace = AGAIN_MS;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  /** @type {AbortController | null} */
  let reading = null;

  /** The figure has new points: fetch it again, at the usual pace. */
  function again() {
    stale = true;
    if (!inView || timer !== undefined || reading) return;
    timer = setTimeout(readNow, Math.max(0, last + pace - performance.now()));
  }

  /** What is shown is wrong (another question, or points were removed): fetch the figure at once. */
  function anew() {
    stop();
    last = -Infinity;
    again();
  }

  async function readNow() {
    timer = undefined;
    const mine = (reading = new AbortController());
    last = performance.now();
    stale = false;
    const done = await read(mine.signal);
    if (reading !== mine) return;
    reading = null;
    pace = done === "empty" ? EMPTY_MS : AGAIN_MS;
    if (stale || !done) again();
  }

  function stop() {
    reading?.abort();
    reading = null;
    clearTimeout(timer);
    timer = undefined;
  }

  /** @param {boolean} now */
  function seen(now) {
    inView = now;
    if (inView && stale) again();
  }

  /** Fetch the figure for the first time, in view or not: a page that is printed is printed whole. */
  const first = async () =>
    void (last === -Infinity && !reading && timer === undefined && (await readNow()));

  return {again, anew, first, seen, stop, isInView: () => inView};
}
