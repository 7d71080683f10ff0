// @ts-check
/** A figure's layout in the theme of the page: its text colours, grid and font. */
import {recoloured} from "./shades.js";

let drawn = 0;

/** @typedef {(name: string) => string} Token the value of a design token, by its name without dashes */

/** @param {Element} element @returns {Token} */
const tokensOf = (element) => {
  const style = getComputedStyle(element);
  return (name) => style.getPropertyValue(`--${name}`).trim();
};

/** The layout with the page's text colours, grid and font, and without a background. @param {any} layout */
export const themed = (layout) =>
  styled(layout, "rgba(0,0,0,0)", tokensOf(document.documentElement));

/** The layout as it is on white paper, whatever the page's theme. @param {any} layout */
export function onPaper(layout) {
  const light = document.createElement("span");
  light.dataset.theme = "light";
  document.body.append(light);
  const made = styled(layout, "#ffffff", tokensOf(light));
  light.remove();
  return made;
}

/** @param {any} layout @param {string} background @param {Token} token */
function styled(layout, background, token) {
  const {
    width: _width,
    height: _height,
    showlegend,
    template: _template,
    title: _title,
    room,
    ...rest
  } = layout;
  const ink = token("ink-2");
  // A label above the plot, such as that of a new driver, needs its line.
  const made = {
    ...rest,
    // Each layout says all ranges itself.
    uirevision: String(++drawn),
    margin: {
      ...rest.margin,
      ...{t: hasLabels(rest.shapes) ? 22 : 8, r: Math.max(8, rest.meta?.room ?? room ?? 0)},
    },
    autosize: true,
    showlegend: false,
    // A layout that is styled again has only this left of what its figure said.
    meta: rest.meta ?? metaOf(rest, showlegend, room),
    paper_bgcolor: background,
    plot_bgcolor: background,
    shapes: (rest.shapes ?? []).map((/** @type {any} */ shape) => labelled(shape, ink)),
    font: {...rest.font, family: token("font"), size: 12, color: ink},
    hoverlabel: {
      ...rest.hoverlabel,
      bgcolor: token("surface-3"),
      bordercolor: token("line-2"),
      font: {family: token("font"), size: 12, color: token("ink")},
    },
  };
  for (const key of Object.keys(rest)) if (isAxis(key)) made[key] = axis(rest[key], token);
  return upright(made);
}

/**
 * The names of the axes without turned text: that of the vertical axis above it, that of the
 * horizontal one at its end. Figures of several plots keep theirs where they are.
 * @param {any} layout
 */
function upright(layout) {
  const kept = (layout.annotations ?? []).find((/** @type {any} */ note) => note.name === UPRIGHT);
  const named = Object.keys(layout).filter((key) => isAxis(key) && layout[key].title?.text);
  const isSimple = named.every((key) => key === "xaxis" || key === "yaxis");
  const text = layout.yaxis?.title?.text?.replaceAll("<br>", ", ") || kept?.text;
  if (!isSimple || !text || layout.yaxis.domain) return layout;
  const above = {
    ...{text, name: UPRIGHT, showarrow: false, font: {size: 11}},
    ...{xref: "paper", x: 0, xanchor: "left", xshift: -8},
    ...{yref: "paper", y: 1, yanchor: "bottom", yshift: hasLabels(layout.shapes) ? 16 : 3},
  };
  const others = (layout.annotations ?? []).filter(
    (/** @type {any} */ note) => note.name !== UPRIGHT,
  );
  return {
    ...layout,
    margin: {...layout.margin, t: layout.margin.t + 14, l: 8},
    yaxis: {...layout.yaxis, title: {...layout.yaxis.title, text: ""}},
    annotations: [...others, above],
  };
}

/** The name of the annotation that stands for the title of the vertical axis. */
export const UPRIGHT = "vertical axis";

/** What a layout that was styled has left of what its figure said. @param {any} layout @param {boolean | undefined} showlegend @param {number} [room] at the right, for the names of lines */
const metaOf = (layout, showlegend, room) => ({
  legend: showlegend,
  scales: scalesOf(layout),
  across: layout.xaxis?.type === "category" ? "" : (layout.xaxis?.title?.text ?? ""),
  room,
});

const INK = {light: "#46515d", dark: "#b6c0ca"};
/** The middle of a diverging colour scale, on a light page and on a dark one: zero must not shine. */
const NEUTRAL = {light: "#e8eaeb", dark: "#27323c"};

/** A trace whose colours fit the page. @param {any} trace @param {"light" | "dark"} shade @returns {any} */
export function inShade(trace, shade) {
  // What stands in a cell without a value is read on the page itself.
  if (trace.meta?.valueless) return {...trace, textfont: {...trace.textfont, color: INK[shade]}};
  return inScaleOf(recoloured(trace, shade), shade);
}

/** @param {any} trace @param {"light" | "dark"} shade @returns {any} */
function inScaleOf(trace, shade) {
  if (!Array.isArray(trace.colorscale)) return trace;
  const neutrals = Object.values(NEUTRAL);
  const colorscale = trace.colorscale.map((/** @type {[number, string]} */ [at, colour]) => [
    at,
    neutrals.includes(colour) ? NEUTRAL[shade] : colour,
  ]);
  return {...trace, colorscale};
}

/** The shade of the page. @returns {"light" | "dark"} */
export const pageShade = () =>
  document.documentElement.dataset.theme === "dark" ? "dark" : "light";

/** What each axis shows: its values, or a transform of them. @param {any} layout */
const scalesOf = (layout) =>
  Object.fromEntries(
    Object.keys(layout)
      .filter(isAxis)
      .map((key) => [key, layout[key].uirevision ?? "linear"]),
  );

/** @param {string} key */
const isAxis = (key) => /^[xy]axis\d*$/.test(key);

/** @param {any[] | undefined} shapes */
const hasLabels = (shapes) => (shapes ?? []).some((shape) => shape.label?.text);

/** A label has to be read on any background. @param {any} shape @param {string} ink */
const labelled = (shape, ink) =>
  shape.label?.text
    ? {...shape, label: {...shape.label, font: {...shape.label.font, color: ink}}}
    : shape;

/** @param {any} axis @param {Token} token */
const axis = ({uirevision: _uirevision, ...axis}, token) => ({
  ...axis,
  gridcolor: token("line"),
  zerolinecolor: token("line-2"),
  linecolor: token("line-2"),
  tickcolor: token("line-2"),
  automargin: true,
});
