// @ts-check
/** A line at the same place of all charts over the same horizontal axis, where the pointer is. */
import {h} from "../lib/h.js";

/** @typedef {import("../plot.js").Plot} Plot */

/** @type {Map<Plot, HTMLElement>} */
const lines = new Map();
/** @type {WeakSet<Plot>} */
const heard = new WeakSet();

/** What the horizontal axis of a plot counts. @param {Plot} plot */
const unitOf = (plot) => plot.layout?.meta?.across ?? "";

/** Let a chart take part, once it is drawn. @param {Plot} plot @param {Element} box around it */
export function joinCrosshair(plot, box) {
  if (!plot.on || heard.has(plot)) return;
  heard.add(plot);
  const line = h("div", {class: "crosshair", hidden: true});
  box.append(line);
  lines.set(plot, line);
  plot.on("plotly_hover", (event) => {
    const [x] = event.xvals ?? [event.points?.[0]?.x];
    if (typeof x === "number" && unitOf(plot)) show(unitOf(plot), x);
  });
  plot.on("plotly_unhover", hide);
}

/** @param {Plot} plot that is discarded */
export const leaveCrosshair = (plot) => lines.delete(plot);

/** @param {string} unit @param {number} x */
function show(unit, x) {
  for (const [plot, line] of lines) {
    const {xaxis, _size: size} = /** @type {any} */ (plot)._fullLayout ?? {};
    const at = xaxis && unitOf(plot) === unit ? xaxis.l2p(xaxis.d2l(x)) : NaN;
    line.hidden = !(at >= 0 && at <= xaxis?._length);
    if (line.hidden) continue;
    line.style.left = `${xaxis._offset + at}px`;
    line.style.top = `${size.t}px`;
    line.style.height = `${size.h}px`;
  }
}

function hide() {
  for (const line of lines.values()) line.hidden = true;
}
