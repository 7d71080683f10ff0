// @ts-check
/** Several values in one field: `1, 4, 16` or `0…4`. They stand in a configuration as a list. */

/** As many values as a range may have. */
const MOST = 1000;
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
/** 0,5 is a decimal number as some write it, and no two values. */
const DECIMAL_COMMA = /^[+-]?\d+,\d+$/;
const THOUSANDS = /^\d{1,3}(,\d{3})+$/;
const RANGE = /^(-?\d+)\s*(?:…|\.{2,3})\s*(-?\d+)$/;

/** The parts of a list. @param {string} text */
export const words = (text) =>
  text
    .split(/[,;]/)
    .map((part) => part.trim())
    .filter(Boolean);

/**
 * The number or numbers in a text; what is neither stays as it was typed, so that it is refused by
 * name.
 * @param {string} text @param {string} kind "integer" or "number"
 * @returns {number | number[] | string}
 */
export function numbers(text, kind) {
  const trimmed = text.trim();
  if (trimmed === "") return trimmed;
  const whole =
    kind === "integer" && THOUSANDS.test(trimmed) ? trimmed.replaceAll(",", "") : trimmed;
  if (!Number.isNaN(Number(whole))) return Number(whole);
  if (kind === "number" && DECIMAL_COMMA.test(trimmed)) return trimmed;
  const values = words(trimmed).flatMap(valuesIn);
  return values.some((value) => value === null) || values.length === 0
    ? trimmed
    : /** @type {number[]} */ (values);
}

/** @param {string} part one number, or a range of whole ones @returns {(number | null)[]} */
function valuesIn(part) {
  const range = RANGE.exec(part);
  if (!range) return [NUMBER.test(part) ? Number(part) : null];
  const [first, last] = [Number(range[1]), Number(range[2])];
  if (last < first || last - first >= MOST) return [null];
  return Array.from({length: last - first + 1}, (_, i) => first + i);
}

/** How many values it is, if several. @param {any} value */
export const several = (value) => (Array.isArray(value) ? value.length : 0);

/** A value as a field shows it. @param {any} value */
export function inWords(value) {
  if (!Array.isArray(value)) return value == null ? "" : String(value);
  const isRange =
    value.length > 2 && value.every((each, i) => Number.isInteger(each) && each === value[0] + i);
  return isRange ? `${value[0]}…${value.at(-1)}` : value.join(", ");
}
