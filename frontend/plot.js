// @ts-check
/** The one module that knows Plotly: load it, mount a figure, let its lines grow, style it. */
import {plotlyUrl} from "./api.js";
import {inShade, onPaper, pageShade, themed} from "./plot-theme.js";

/** Points that a trace may hold before the whole figure is fetched anew. */
export const LIMIT = 2000;
/** At most four redraws a second. */
const DRAW_MS = 250;

/** @typedef {import("./types.js").Delta} Delta */
/** @typedef {{data: any[], layout: any}} Figure */
/** @typedef {HTMLElement & {data?: any[], layout?: any, on?: (event: string, heard: (event: any) => void) => void}} Plot */
/** @typedef {{x: any[], y: any[]}} Points */
/** @typedef {{entry: string, name: string, full: string, look: import("./charts/line-sample.js").Look}} Entry */

/** @type {Promise<any> | undefined} */
let loading;

/** Plotly is 4.8 MB: it comes after the page, or with the first chart. */
export function loadPlotly() {
  return (loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = plotlyUrl();
    script.onload = () => resolve(/** @type {any} */ (globalThis).Plotly);
    script.onerror = () => {
      loading = undefined;
      script.remove();
      reject(new Error("the chart library did not load"));
    };
    document.head.append(script);
  }));
}

// A chart keeps its zoom itself, and so undoes it itself.
const CONFIG = {displayModeBar: false, displaylogo: false, doubleClick: false, showTips: false};

/**
 * Draw `figure` in `plot`, or replace what it shows, with the ranges that its layout has.
 * @param {Plot} plot @param {Figure} figure
 * @param {ReadonlySet<string>} [hidden] entries of the legend that are switched off
 */
export async function draw(plot, figure, hidden) {
  if (figure.data.some(isTable)) return void Object.assign(plot, figure);
  const Plotly = await loadPlotly();
  const isJoint = areJoint(figure.data);
  const layout = themed(isJoint ? {...figure.layout, ...JOINT} : figure.layout);
  const data = figure.data.map((trace) => ({
    ...inShade(isJoint ? compact(trace) : trace, pageShade()),
    visible: !hidden?.has(entryOf(trace)) || "legendonly",
  }));
  await Plotly.react(plot, data, layout, CONFIG);
}

/** Most lines whose values one box can list. */
const MOST_JOINT = 12;
/** A box at the pointer that lists the values of all lines at that place. */
const JOINT = {hovermode: "x unified"};

/** Whether all that has a name are lines over the horizontal axis, and few enough. @param {any[]} traces */
function areJoint(traces) {
  const named = traces.filter((trace) => trace.name && trace.showlegend !== false);
  const isLine = (/** @type {any} */ {type = "scatter", mode = "lines", meta}) =>
    type.startsWith("scatter") && mode.includes("lines") && meta?.series != null;
  return named.length > 0 && named.length <= MOST_JOINT && named.every(isLine);
}

/** A trace whose part of a joint box is one line: the value, then whose it is. @param {any} trace */
function compact(trace) {
  const {hovertemplate: whole, name} = trace;
  if (typeof whole !== "string" || !name) return {...trace, hoverinfo: "skip", hovertemplate: null};
  const value = whole
    .replace(/<extra>.*/s, "")
    .split("<br>")
    .at(-1);
  return {...trace, hovertemplate: `${value}<extra>${name}</extra>`};
}

/** The page draws tables itself, so that screen readers can read them. @param {any} trace */
const isTable = (trace) => trace.type === "table";

/** Whether Plotly drew it. @param {Plot} plot */
const isDrawn = (plot) => Boolean(plot.data?.length) && !plot.data?.some(isTable);

/**
 * Show what is not in `hidden`.
 * @param {Plot} plot
 * @param {ReadonlySet<string>} hidden entries of the legend that are switched off
 */
export async function setHidden(plot, hidden) {
  if (!isDrawn(plot)) return;
  const Plotly = await loadPlotly();
  const visible = plot.data?.map((trace) => !hidden.has(entryOf(trace)) || "legendonly");
  await Plotly.restyle(plot, {visible});
}

/** Traces of one group share an entry; a shown name may be that of two. @param {any} trace @returns {string} */
export const entryOf = (trace) => trace.legendgroup || trace.name || "";

/**
 * What the legend lists. Plotly's own would take its room from the plot, without a bound.
 * @param {{data?: any[], layout?: any}} plot or a figure
 * @returns {Entry[]}
 */
export function entries(plot) {
  if (plot.layout?.meta?.legend === false) return [];
  const shown = (plot.data ?? []).filter(
    (trace) => trace.name && trace.showlegend !== false && trace.type !== "heatmap",
  );
  const unique = new Map(shown.map((trace) => [entryOf(trace), trace]));
  return [...unique].map(([entry, trace]) => ({
    entry,
    name: trace.meta?.short ?? trace.name,
    full: trace.meta?.full ?? trace.name,
    look: lookOf(trace),
  }));
}

/** @param {any} trace @returns {import("./charts/line-sample.js").Look} */
export const lookOf = ({mode = "lines", line, marker}) => ({
  colour: (mode.includes("lines") ? line?.color : marker?.color) ?? line?.color ?? marker?.color,
  dash: mode.includes("lines") ? (line?.dash ?? "solid") : "",
  symbol: mode.includes("markers") ? String([marker?.symbol ?? "circle"].flat()[0]) : "",
});

/** Apply the colours and fonts of the present theme. @param {Plot} plot */
export async function applyTheme(plot) {
  if (!isDrawn(plot)) return;
  const Plotly = await loadPlotly();
  const data = plot.data?.map((trace) => inShade(trace, pageShade()));
  await Plotly.react(plot, data, themed(plot.layout), CONFIG);
}

/**
 * Call `zoomed` with plotly's event when the reader chose a range, and `reset` at a double click.
 * Repeated calls on one plot have no effect.
 * @param {Plot} plot
 * @param {(event: Record<string, any>) => void} zoomed
 * @param {() => void} reset
 */
export function onZoom(plot, zoomed, reset) {
  if (!plot.on || listening.has(plot)) return;
  listening.add(plot);
  plot.on("plotly_relayout", zoomed);
  plot.on("plotly_doubleclick", reset);
}

/** @type {WeakSet<Plot>} */
const listening = new WeakSet();

/** Call `drawn` now and whenever the plot was drawn; a plot has one such listener. @param {Plot} plot @param {() => void} drawn */
export function onDrawn(plot, drawn) {
  if (plot.on && !followed.has(plot)) {
    followed.add(plot);
    plot.on("plotly_afterplot", drawn);
  }
  drawn();
}

/** @type {WeakSet<Plot>} */
const followed = new WeakSet();

/**
 * Call `clicked` with plotly's points when one is clicked; a plot has one such listener.
 * @param {Plot} plot
 * @param {(points: {data: any, pointNumber: number | [number, number]}[]) => void} clicked
 */
export function onPoint(plot, clicked) {
  if (!plot.on || clickable.has(plot)) return;
  clickable.add(plot);
  plot.on("plotly_click", ({points}) => clicked(points));
}

/** @type {WeakSet<Plot>} */
const clickable = new WeakSet();

/** @param {Plot} plot */
export async function resize(plot) {
  if (!isDrawn(plot) || !plot.clientWidth) return;
  (await loadPlotly()).Plots.resize(plot);
}

/** @param {Plot} plot */
export async function discard(plot) {
  if (isDrawn(plot)) (await loadPlotly()).purge(plot);
}

/** The figure as an SVG file, to be read on white. @param {Plot} plot @returns {Promise<Blob>} */
export async function toSvg(plot) {
  const Plotly = await loadPlotly();
  // Behind its table view a plot has no size of its own.
  const {clientWidth: width, clientHeight: height} = plot;
  const size = {width: width || 800, height: (height || 400) + 24 * entries(plot).length};
  const layout = {...onPaper(plot.layout), showlegend: entries(plot).length > 0};
  const whole = {data: plot.data?.map((trace) => inShade(trace, "light")), layout};
  const url = await Plotly.toImage(whole, {format: "svg", ...size});
  return new Blob([decodeURIComponent(url.slice(url.indexOf(",") + 1))], {type: "image/svg+xml"});
}

/** Series → the trace that can grow by it. @param {Plot} plot @returns {Map<number, number>} */
function growable(plot) {
  return new Map(
    (plot.data ?? []).flatMap((trace, index) => {
      const meta = trace.meta;
      return meta?.series != null && meta.x === "step" ? [[meta.series, index]] : [];
    }),
  );
}

/**
 * Lets a plot's lines grow: gathers points and draws them at most four times a second, in a frame.
 * @param {Plot} plot
 * @param {() => void} refetch called when a trace holds twice its budget, or its figure has to be
 *   made anew to show a value
 * @param {(x: number[]) => void} [grew] called with where the points are that were drawn
 */
export function grower(plot, refetch, grew = () => {}) {
  /** @type {Map<number, Points>} series → points not drawn yet */
  const waiting = new Map();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let drawn = 0;
  let paused = false;

  /** @param {Delta} delta */
  function append({id, steps, values}) {
    const points = waiting.get(id) ?? {x: [], y: []};
    for (const step of steps) points.x.push(step);
    for (const value of values) points.y.push(value);
    waiting.set(id, points);
    schedule();
  }

  function schedule() {
    if (paused || waiting.size === 0) return;
    timer ??= setTimeout(() => requestAnimationFrame(flush), Math.max(0, drawn + DRAW_MS - now()));
  }

  async function flush() {
    const Plotly = await loadPlotly();
    timer = undefined;
    if (paused) return;
    const {x, y, indices, fits} = fresh(plot, waiting);
    waiting.clear();
    drawn = now();
    if (!fits) return refetch();
    if (indices.length === 0) return;
    await Plotly.extendTraces(plot, {x, y}, indices);
    grew(x.flat());
    if (indices.some((index) => plot.data?.[index].x.length >= LIMIT)) refetch();
  }

  /** Keep points back while a figure is fetched that may or may not hold them already. */
  function hold() {
    paused = true;
  }
  function release() {
    paused = false;
    schedule();
  }
  return {append, hold, release};
}

const now = () => performance.now();

/**
 * What `waiting` adds to the plot. A figure may already hold the first of these points, because it
 * was read after they were sent: only what lies beyond a trace's last x is new. `fits` is false
 * when the figure must be made anew: a series has no line that can grow, or a value cannot be
 * appended, being not finite or beyond the range (it is marked at the edge), or not positive on a
 * log axis.
 * @param {Plot} plot @param {Map<number, Points>} waiting
 */
function fresh(plot, waiting) {
  const traces = growable(plot);
  /** @type {{x: any[][], y: any[][], indices: number[], fits: boolean}} */
  const additions = {x: [], y: [], indices: [], fits: true};
  for (const [series, points] of waiting) {
    const index = traces.get(series);
    if (index == null) return {...additions, fits: false};
    const trace = plot.data?.[index];
    const last = trace.x.at(-1) ?? -Infinity;
    const first = points.x.findIndex((step) => step > last);
    if (first < 0) continue;
    const y = points.y.slice(first);
    const [low, high] = trace.meta.span ?? [-Infinity, Infinity];
    additions.fits &&= y.every(
      (value) =>
        Number.isFinite(value) &&
        (!trace.meta.positive || value > 0) &&
        low <= value &&
        value <= high,
    );
    additions.x.push(points.x.slice(first));
    additions.y.push(y);
    additions.indices.push(index);
  }
  return additions;
}
