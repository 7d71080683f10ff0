// @ts-check
/**
 * The race: what its recording and its run have measured, and which moment of it is shown.
 *
 * The recording plays until the run of this machine has its first probe. Then that run is drawn
 * from step 0 on and followed; once it has ended, it can be played again.
 */
import * as api from "../api.js";
import {batch, computed, onEnd, signal} from "../lib/signal.js";
import {on} from "../stream.js";

/** @typedef {import("../types.js").Run} Run */
/** @typedef {[number, string][]} Says from which step on each sentence holds */
/** @typedef {(number | null)[]} Values a number a probe */
/**
 * @typedef {object} Track
 * @property {string} label
 * @property {Values} whole mean cosine with the exact gradient over the whole network
 * @property {Values} spread standard deviation of the cosine between draws
 * @property {Record<string, Values>} layers
 * @property {Says} says
 *
 * @typedef {object} Story
 * @property {number[]} steps of the probes
 * @property {Track[]} estimators
 * @property {{block: number, mean: Values, low: Values, high: Values}} loss
 * @property {(number | null)[][]} reading of each example, the predicted class at each probe
 * @property {[number, string][]} drives from which step on each driver drove
 * @property {{alignment: Says, loss: Says, reading: Says}} takeaways
 *
 * @typedef {{label: string, name: string, short: string, rate: number}} Racer
 * @typedef {{name: string, short: string}} Layer
 * @typedef {{pixels: string, label: number}} Example a digit; a letter a pixel, 0 to g
 * @typedef {{run: Run | null, story: Story | null}} RaceRun
 * @typedef {RaceRun & {estimators: Racer[], layers: Layer[], steps: number, every: number, draws: number, recording: Story | null, examples: Example[], races: string[], others: number}} RaceAnswer
 * @typedef {"recording" | "following" | "replay"} Mode
 */

const FRAME_MS = 110;
const READ_MS = 350;
/** While a driver is about to take over. */
const SOON_MS = 120;
const ACTIVE = ["queued", "running", "paused"];

/** What `says` at a step. @param {Says} says @param {number} step */
export const saidAt = (says, step) => says.findLast(([from]) => from <= step)?.[1] ?? "";

/** A run that ended before the page was opened is played. @param {RaceRun} answer @returns {Mode} */
function modeOf({run, story}) {
  if (!story) return "recording";
  return ACTIVE.includes(run?.status ?? "") ? "following" : "replay";
}

/** Follow the race until the page is left. @param {RaceAnswer} answer */
export function follow(answer) {
  const run = signal(answer.run);
  const live = signal(answer.story);
  const mode = signal(/** @type {Mode} */ (modeOf(answer)));
  const playing = signal(true);
  /** The step that is shown. */
  const head = signal(0);
  const problem = signal("");
  /** The label of an estimator that was asked to drive, until it does. */
  const taking = signal("");
  /** Whether the lab is still being asked for a run. */
  const starting = signal(true);

  const story = computed(() => live() ?? answer.recording);
  const isActive = computed(() => ACTIVE.includes(run()?.status ?? ""));
  /** The index of the last probe that is shown; -1: none. */
  const at = computed(() => (story()?.steps ?? []).findLastIndex((step) => step <= head()));
  /** The last step of which something is known. */
  const end = computed(() => lastOf(story()));
  const isAtEnd = computed(() => head() >= end());

  /** @param {RaceRun} read */
  function take(read) {
    batch(() => {
      const isOther = read.run?.id !== run.peek()?.id;
      const isFirst = read.story !== null && (live.peek() === null || isOther);
      run.set(read.run);
      live.set(read.story);
      if (isFirst) {
        mode.set("following");
        playing.set(true);
        head.set(0);
      }
      if (read.story?.drives.at(-1)?.[1] === taking.peek() || !isActive()) taking.set("");
    });
  }

  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let isLeft = false;
  /** Counts readings: an answer that a later reading has overtaken is not taken. */
  let readings = 0;
  async function read() {
    const mine = ++readings;
    clearTimeout(timer);
    try {
      const answer = await api.raceRun();
      if (mine === readings) take(answer);
    } catch (error) {
      // While the server is silent, the banner says so.
      if (!(error instanceof api.Silence)) problem.set(sentence(error));
    }
    if (mine === readings && !isLeft && isActive())
      timer = setTimeout(read, taking.peek() ? SOON_MS : READ_MS);
  }

  /** A refusal becomes a sentence. @param {() => Promise<any>} ask */
  async function attempt(ask) {
    problem.set("");
    try {
      await ask();
    } catch (error) {
      problem.set(sentence(error));
    }
    await read();
  }

  function tick() {
    const shown = story();
    if (!shown || !playing.peek() || document.hidden) return;
    const ahead = shown.steps.filter((step) => step > head.peek());
    // What is measured meanwhile is caught up with quickly.
    const probes = mode.peek() === "following" ? Math.ceil(ahead.length / 4) : 1;
    if (ahead.length > 0) head.set(ahead[probes - 1]);
    else head.set(end());
  }

  const ticking = setInterval(tick, FRAME_MS);
  const stops = [
    on("run", (heard) => {
      const mine = heard.id === run.peek()?.id;
      if (mine && heard.status !== run.peek()?.status) void read();
    }),
    on("deleted", (gone) => gone.run === run.peek()?.id && void read()),
    on("reset", () => void read()),
  ];
  onEnd(() => {
    isLeft = true;
    clearInterval(ticking);
    clearTimeout(timer);
    for (const stop of stops) stop();
  });

  // It is started once a home; whoever is to drive meanwhile waits for that.
  const started = attempt(async () => take(await api.startRace())).then(() => starting.set(false));

  const isFollowing = () => mode.peek() === "following" && isActive();
  const orders = {
    /** Pause or go on: the run itself while it is followed, else what is played. */
    toggle() {
      const mine = run.peek();
      if (!isFollowing() || !mine) {
        return isAtEnd() ? orders.again() : playing.update((now) => !now);
      }
      void attempt(() => api.order(mine.id, mine.status === "paused" ? "resume" : "pause"));
    },
    /** On to the next probe, and wait there. */
    step() {
      const mine = run.peek();
      if (isFollowing() && mine) {
        const next =
          (Math.floor((mine.step + answer.every - 1) / answer.every) || 1) * answer.every;
        const to = Math.min(next + 1, mine.steps);
        return void attempt(() => api.step(mine.id, to));
      }
      playing.set(false);
      const next = story()?.steps.find((step) => step > head.peek());
      head.set(next ?? end());
    },
    /** Play from step 0 what was measured. */
    again() {
      batch(() => {
        if (live.peek()) mode.set(isActive() ? "following" : "replay");
        head.set(0);
        playing.set(true);
      });
    },
    /** Hand the run over, or start the race anew with this driver. @param {Racer} racer */
    async drive(racer) {
      taking.set(racer.label);
      await started;
      const mine = run.peek();
      await attempt(async () => {
        if (!mine || !isActive()) return take(await api.startRaceAgain(racer.label));
        await api.change(mine.id, {driver: racer.label, lr: racer.rate});
      });
      if (problem.peek()) taking.set("");
    },
  };
  return {
    answer,
    run,
    live,
    story,
    mode,
    playing,
    head,
    at,
    isAtEnd,
    isActive,
    problem,
    taking,
    starting,
    orders,
  };
}

/** @typedef {ReturnType<typeof follow>} Race */

/** @param {unknown} error */
const sentence = (error) => (error instanceof Error ? error.message : String(error));

/** @param {Story | null} story */
function lastOf(story) {
  if (!story) return 0;
  return Math.max(story.steps.at(-1) ?? 0, story.loss.block * story.loss.mean.length);
}

/** Who drives at the step that is shown; before anything is known, nobody. @param {Race} race */
export const driverAt = ({story, head}) =>
  story()?.drives.findLast(([from]) => from <= head())?.[1] ?? "";
