// @ts-check
/** The colours of data, each with a shade for light pages and one for dark ones, as figures say. */

/** @type {Map<string, string>} light shade → dark shade */
const darkOf = new Map();
/** @type {Map<string, string>} dark shade → light shade */
const lightOf = new Map();

/** Learn the shades of a figure. @param {Record<string, string> | undefined} shades light → dark */
export function learnShades(shades) {
  for (const [light, dark] of Object.entries(shades ?? {})) {
    darkOf.set(light, dark);
    lightOf.set(dark, light);
  }
}

/** A colour as it stands on a page of this shade. @param {string} colour @param {string} shade */
export const shaded = (colour, shade) =>
  (shade === "dark" ? darkOf : lightOf).get(colour) ?? colour;

/**
 * Plotly's object with every colour of data in this shade: of lines, markers, bars and fills.
 * @param {any} part @param {string} shade @returns {any}
 */
export function recoloured(part, shade) {
  const changed = Object.entries(part).flatMap(([key, value]) => {
    const now = recolouredValue(key, value, shade);
    return now === value ? [] : [[key, now]];
  });
  return changed.length > 0 ? {...part, ...Object.fromEntries(changed)} : part;
}

/** @param {string} key @param {any} value @param {string} shade @returns {any} */
function recolouredValue(key, value, shade) {
  if (typeof value === "string") return COLOURS.has(key) ? shaded(value, shade) : value;
  if (key === "color" && Array.isArray(value))
    return value.map((each) => (typeof each === "string" ? shaded(each, shade) : each));
  return PARTS.has(key) && value ? recoloured(value, shade) : value;
}

const COLOURS = new Set(["color", "fillcolor"]);
/** Where colours stand; what else a trace has is data. */
const PARTS = new Set(["line", "marker", "error_x", "error_y", "textfont"]);
