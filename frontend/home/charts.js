// @ts-check
/** The two charts of the race: alignment over training, and the loss coloured by who drives. */
import {alignment, count} from "../lib/format.js";
import {h} from "../lib/h.js";
import {computed} from "../lib/signal.js";
import {chart} from "./lines.js";
import {colourOf} from "./looks.js";
import {saidAt} from "./race.js";

/** @typedef {import("./race.js").Race} Race */
/** @typedef {import("./race.js").Story} Story */

/** A marker stands at every so manieth probe. */
const MARK_EVERY = 15;
/** A driver's name above the loss, as a share of the chart's width. */
const NAME_WIDTH = 0.22;

/** @param {Race} race */
const stepTicks = ({answer: {steps}}) =>
  [0, 1 / 3, 2 / 3, 1].map((share) => {
    const text = count(Math.round(share * steps));
    return {at: share, text: share === 1 ? `${text} steps` : text};
  });

/**
 * @param {"h2" | "h3"} heading @param {string} title @param {string} help @param {() => string} takeaway
 * @param {Element} plot @param {Element} [foot]
 */
const figure = (heading, title, help, takeaway, plot, foot) =>
  h(
    "figure",
    {class: "race-figure", "aria-label": () => `${title}. ${takeaway()}`},
    h(heading, {class: "race-title"}, title),
    h("p", {class: "race-takeaway", title: help}, takeaway),
    plot,
    foot,
  );

/** @param {Race} race @param {"h2" | "h3"} heading */
export function alignmentChart(race, heading) {
  const {answer, story, at, head} = race;
  const drawn = computed(() => {
    const shown = story();
    if (!shown) return {lines: [], marks: [], ends: []};
    const xs = shown.steps.slice(0, at() + 1).map((step) => step / answer.steps);
    const each = answer.estimators.flatMap((racer) => {
      const track = shown.estimators.find((one) => one.label === racer.label);
      return track ? [{racer, colour: colourOf(racer.label), values: track.whole}] : [];
    });
    return {
      lines: each.map(({colour, values}) => ({
        colour,
        points: xs.map((x, i) => /** @type {[number, number | null]} */ ([x, onScale(values[i])])),
      })),
      marks: each.flatMap(({racer, colour, values}) =>
        xs.flatMap((x, i) => {
          const y = onScale(values[i]);
          return i % MARK_EVERY === 7 && y !== null ? [{label: racer.label, colour, x, y}] : [];
        }),
      ),
      ends: each.map(({racer, colour, values}) => ({
        label: racer.label,
        colour,
        name: racer.short[0].toUpperCase() + racer.short.slice(1),
        value: `${alignment(values[at()] ?? null)} %`,
        y: onScale(values[at()]) ?? 0,
      })),
    };
  });
  return figure(
    heading,
    "Alignment over training",
    "The cosine between one estimate and the exact gradient, over the whole network: the mean of the draws.",
    () => saidAt(story()?.takeaways.alignment ?? [], head()),
    chart({
      class: "with-ends",
      x: stepTicks(race),
      y: [
        {at: 0, text: "0"},
        {at: 0.5, text: "50"},
        {at: 1, text: "100 %"},
      ],
      draw: drawn,
    }),
  );
}

/** What points away from the gradient stands on the axis, and its number says so. @param {number | null | undefined} cosine */
const onScale = (cosine) => (cosine == null ? null : Math.max(0, Math.min(1, cosine)));

/** @param {Race} race @param {"h2" | "h3"} heading */
export function lossChart(race, heading) {
  const {answer, story, head} = race;
  const top = computed(() => Math.max(1, Math.ceil(Math.max(...finite(story()?.loss.high ?? [])))));
  const drawn = computed(() => {
    const shown = story();
    if (!shown) return {lines: [], changes: []};
    const parts = byDriver(shown, head());
    return {
      lines: parts.map((part) => lossLine(shown, part, answer.steps, top())),
      changes: parts.map(({from, label}, i) => ({
        x: from / answer.steps,
        label,
        colour: colourOf(label),
        text: hasRoom(parts, i, answer.steps) ? shortOf(answer, label) : "",
      })),
    };
  });
  return figure(
    heading,
    "Loss, coloured by who drives",
    "The loss of the training batch. Line: the mean of 16 steps. Band: from the smallest to the largest of them.",
    () => saidAt(story()?.takeaways.loss ?? [], head()),
    h("div", {class: "race-loss"}, () =>
      chart({
        class: "with-changes",
        x: stepTicks(race),
        y: [0, 0.5, 1].map((share) => ({
          at: share,
          text: share === 1 ? `${top()} nats` : String(share * top()),
        })),
        draw: drawn,
      }),
    ),
  );
}

/** Whether a driver's name does not cover the next one's. @param {{from: number}[]} parts @param {number} i @param {number} steps */
const hasRoom = (parts, i, steps) =>
  (parts[i + 1]?.from ?? Infinity) - parts[i].from > NAME_WIDTH * steps;

/** @param {import("./race.js").RaceAnswer} answer @param {string} label */
const shortOf = ({estimators}, label) =>
  estimators.find((racer) => racer.label === label)?.short ?? label;

/** @param {import("./race.js").Values} values */
const finite = (values) => values.filter((value) => value !== null);

/** The stretches of the drivers up to a step. @param {Story} story @param {number} head */
function byDriver({drives}, head) {
  return drives
    .map(([from, label], i) => ({label, from, to: Math.min(head, drives[i + 1]?.[0] ?? Infinity)}))
    .filter(({from, to}) => from <= to);
}

/**
 * @param {Story} story @param {{label: string, from: number, to: number}} part
 * @param {number} steps @param {number} top
 */
function lossLine({loss}, {label, from, to}, steps, top) {
  const {block, mean, low, high} = loss;
  // A block is drawn at its middle and belongs to who drove there; the former one joins the lines.
  const middle = (/** @type {number} */ i) => block * i + block / 2;
  const mine = mean.map((_, i) => i).filter((i) => middle(i) >= from - block && middle(i) < to);
  const x = (/** @type {number} */ i) => middle(i) / steps;
  const y = (/** @type {number} */ loss) => Math.min(1, loss / top);
  return {
    colour: colourOf(label),
    points: mine.map((i) => {
      const value = mean[i];
      return /** @type {[number, number | null]} */ ([x(i), value === null ? null : y(value)]);
    }),
    band: mine.flatMap((i) => {
      const [lower, upper] = [low[i], high[i]];
      const ends = /** @type {[number, number, number]} */ ([x(i), y(lower ?? 0), y(upper ?? 0)]);
      return lower === null || upper === null ? [] : [ends];
    }),
  };
}
