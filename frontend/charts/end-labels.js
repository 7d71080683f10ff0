// @ts-check
/**
 * The names of a chart's lines, each at the end of its line. They are the buttons of its legend,
 * put in place whenever the plot was drawn; where there is no room the legend stays below.
 */

/** @typedef {import("../plot.js").Plot} Plot */

/** Most lines that are named at their ends. */
const MOST = 8;
/** Narrower plots need their width for the lines. */
const NARROW_PX = 250;
const HEIGHT_PX = 16;
const GAP_PX = 6;

/** The room at the right of a plot for the names of its lines, in pixels; 0: they stay below. @param {{name: string}[]} entries @param {number} width of the plot */
export function roomFor(entries, width) {
  if (entries.length === 0 || entries.length > MOST || width < NARROW_PX) return 0;
  const longest = Math.max(...entries.map(({name}) => name.length));
  return Math.min(0.36 * width, 32 + 6.2 * longest);
}

/** Whether each entry is a line over the horizontal axis. @param {any[]} traces */
export const areLines = (traces) =>
  traces.length > 0 &&
  traces.every(
    (trace) =>
      (trace.type ?? "scatter").startsWith("scatter") &&
      (trace.mode ?? "lines").includes("lines") &&
      typeof lastOf(trace)?.x === "number",
  );

/** The last point of a line that has a place. @param {any} trace */
function lastOf({x = [], y = []}) {
  for (let i = y.length - 1; i >= 0; i--) if (Number.isFinite(y[i])) return {x: x[i], y: y[i]};
  return null;
}

/**
 * Put each name beside the end of its line, without overlap.
 * @param {Plot} plot
 * @param {HTMLElement} legend whose buttons say in `data-entry` which line they name
 * @param {(trace: any) => string} entryOf
 */
export function placeNames(plot, legend, entryOf) {
  const {_size: size, yaxis} = /** @type {any} */ (plot)._fullLayout ?? {};
  if (!size || !yaxis) return;
  const names = /** @type {HTMLElement[]} */ ([...legend.querySelectorAll("[data-entry]")]);
  const places = names.map((name) => {
    const trace = plot.data?.find(
      (trace) => entryOf(trace) === name.dataset.entry && lastOf(trace),
    );
    const end = trace && lastOf(trace);
    const y = end ? yaxis._offset + yaxis.l2p(yaxis.d2l(end.y)) : size.t + size.h;
    return {name, y: Number.isFinite(y) ? y : size.t + size.h};
  });
  places.sort((a, b) => a.y - b.y);
  spread(places, size.t, size.t + size.h);
  for (const {name, y} of places) {
    name.style.left = `${size.l + size.w + GAP_PX}px`;
    name.style.maxWidth = `${size.r - GAP_PX}px`;
    name.style.top = `${y - HEIGHT_PX / 2}px`;
  }
}

/** Move places away from each other, and back between the ends. @param {{y: number}[]} places in order @param {number} top @param {number} bottom */
function spread(places, top, bottom) {
  let least = top;
  for (const place of places) {
    place.y = Math.max(place.y, least);
    least = place.y + HEIGHT_PX;
  }
  let most = bottom;
  for (const place of places.toReversed()) {
    place.y = Math.min(place.y, most);
    most = place.y - HEIGHT_PX;
  }
}
