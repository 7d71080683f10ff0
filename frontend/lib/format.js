// @ts-check
/** Numbers and times in words, for people. */

const whole = new Intl.NumberFormat("en");

/** 12345 → 12,345. @param {number} n */
export const count = (n) => whole.format(n);

/** 1, "probe" → 1 probe; 12, "probe" → 12 probes. @param {number} n @param {string} noun */
export const counted = (n, noun) => `${count(n)} ${noun}${n === 1 ? "" : "s"}`;

/**
 * As a table shows it: whole numbers exactly, others to `digits` significant digits.
 * @param {number | string | null | undefined} x
 */
export function number(x, digits = 6) {
  if (x == null) return "–";
  const value = Number(x);
  return Number.isFinite(value) ? String(Number(rounded(value, digits))) : String(x);
}

/** @param {number} value @param {number} digits */
const rounded = (value, digits) =>
  Number.isSafeInteger(value) ? value : value.toPrecision(digits);

/** 0.4 → 0.4 s, 75 → 1 min 15 s, 4000 → 1 h 7 min. @param {number | null | undefined} seconds */
export function duration(seconds) {
  if (seconds == null || !Number.isFinite(seconds)) return "–";
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const s = Math.round(seconds);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
}

const UNITS = [
  {unit: "GiB", bytes: 2 ** 30},
  {unit: "MiB", bytes: 2 ** 20},
  {unit: "KiB", bytes: 2 ** 10},
];

/** 17825792 → 17.0 MiB. @param {number} bytes */
export function size(bytes) {
  const fit = UNITS.find((one) => bytes >= one.bytes);
  return fit ? `${(bytes / fit.bytes).toFixed(1)} ${fit.unit}` : `${bytes} bytes`;
}

/** 0.312 → 31 %; 100 % only when all is there. @param {number} share */
export const percent = (share) => `${Math.floor(100 * share)} %`;

/**
 * An alignment as the lab's sentences write it (`percent` in backend/figures/words/numbers.py),
 * without the sign of percent: 0.0046 → 0.46, 0.51 → 51, 0.997 → 99.7, −0.034 → −3.4.
 * @param {number | null} cosine null: not defined
 */
export function alignment(cosine) {
  if (cosine === null) return "–";
  const size = Math.abs(cosine);
  if (size < 1e-5) return "0";
  return (cosine < 0 ? "−" : "") + shareOf(size);
}

/** @param {number} size */
function shareOf(size) {
  const share = 100 * size;
  if (size >= 0.99 && size < 1)
    return String(Math.min(99.99, Number(share.toFixed(share < 99.95 ? 1 : 2))));
  return share >= 10 ? share.toFixed(0) : String(Number(share.toPrecision(2)));
}

/** Steps a second. @param {number | null | undefined} perSecond */
export function rate(perSecond) {
  if (!perSecond) return "–";
  return `${perSecond < 10 ? perSecond.toFixed(1) : count(Math.round(perSecond))} steps/s`;
}

/** snake_case → words. @param {string} name */
export const words = (name) => name.replaceAll("_", " ").replace(/^\w/, (c) => c.toUpperCase());

const times = new Intl.DateTimeFormat("en-GB", {timeStyle: "medium"});
const dates = new Intl.DateTimeFormat("en-GB", {dateStyle: "medium", timeStyle: "short"});

/** A time of today: 06:12:40. @param {number} ms since the epoch */
export const clock = (ms) => times.format(ms);

/** 29 Nov 2026, 05:43. @param {string} iso */
export const date = (iso) => dates.format(new Date(iso));
