// @ts-check
/**
 * What a reader has zoomed into. A range is kept while its axis is the same: it outlasts live data,
 * another run and, of the horizontal axis, another layer or measure, and is there again when they
 * come back.
 */
import {signal} from "../lib/signal.js";

/** @typedef {import("../types.js").FigureQuery} FigureQuery */
/** @typedef {[number, number]} Range */

const AXIS = /^([xy]axis\d*)\.(range(?:\[[01]\])?|autorange)$/;

/** The ranges of one chart. */
export function zoomMemory() {
  /** @type {Map<string, Range>} */
  const ranges = new Map();
  /** Whether there is a range of what the chart shows. */
  const zoomed = signal(false);

  /**
   * Take the ranges that the reader chose from plotly's event. True if the horizontal one changed.
   * @param {Record<string, any>} event
   * @param {any} layout as plotly has it after the event
   * @param {FigureQuery} asked
   */
  function hear(event, layout, asked) {
    const axes = new Set(Object.keys(event).flatMap((key) => AXIS.exec(key)?.[1] ?? []));
    for (const axis of axes) {
      const {range, autorange} = layout[axis] ?? {};
      if (!range || autorange === true) ranges.delete(keyOf(axis, asked));
      else ranges.set(keyOf(axis, asked), [Number(range[0]), Number(range[1])]);
    }
    zoomed.set(zoomed.peek() || axes.size > 0);
    return [...axes].some((axis) => axis.startsWith("x"));
  }

  /** The layout with the ranges that were chosen. @param {any} layout @param {FigureQuery} asked */
  function applied(layout, asked) {
    const chosen = Object.entries(layout).flatMap(([axis, given]) => {
      const range = /^[xy]axis\d*$/.test(axis) && ranges.get(keyOf(axis, asked));
      return range ? [[axis, {...given, range: [...range], autorange: false}]] : [];
    });
    zoomed.set(chosen.length > 0);
    return {...layout, ...Object.fromEntries(chosen)};
  }

  /** What is visible of the horizontal axis, as a figure is asked. @param {FigureQuery} asked */
  function ends(asked) {
    const range = ranges.get(keyOf("xaxis", asked));
    if (!range) return {};
    const [left, right] = [...range].sort((a, b) => a - b);
    return {left: String(left), right: String(right)};
  }

  /** Forget what is zoomed of what the chart shows. @param {FigureQuery} asked */
  function reset(asked) {
    const [x, y] = ["x", "y"].map((axis) => identity(axis, asked));
    for (const key of [...ranges.keys()])
      if (key.endsWith(x) || key.endsWith(y)) ranges.delete(key);
  }

  return {hear, applied, ends, reset, zoomed};
}

/** @param {string} axis @param {FigureQuery} asked */
const keyOf = (axis, asked) => `${axis} ${identity(axis, asked)}`;

/**
 * What makes an axis another one: a horizontal axis is what it counts, a vertical one all that was
 * asked but the runs.
 * @param {string} axis
 * @param {FigureQuery} asked
 */
function identity(axis, {runs: _runs, ...rest}) {
  const {x = "", against = "", parts = "", units = ""} = rest;
  return axis.startsWith("x")
    ? `x:${JSON.stringify([x, against, parts, units])}`
    : `y:${JSON.stringify(rest)}`;
}
