// @ts-check
/** A figure's layout in the theme of the page: its text colours, grid and font. */

let drawn = 0;

/** @param {string} name of a design token, without its dashes */
const token = (name) =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/**
 * The layout with the page's text colours, grid and font, and without a background.
 * @param {any} layout
 */
export function themed(layout) {
  const {
    width: _width,
    height: _height,
    showlegend,
    template: _template,
    title: _title,
    ...rest
  } = layout;
  const ink = token("ink-2");
  // A label above the plot, such as that of a new driver, needs its line.
  const styled = {
    ...rest,
    // Each layout says all ranges itself.
    uirevision: String(++drawn),
    margin: {...rest.margin, t: hasLabels(rest.shapes) ? 22 : 8, r: 8},
    autosize: true,
    showlegend: false,
    // A layout that is styled again has only this left of what its figure said.
    meta: rest.meta ?? {legend: showlegend, scales: scalesOf(rest)},
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: {...rest.font, family: token("font"), size: 12, color: ink},
    hoverlabel: {
      ...rest.hoverlabel,
      bgcolor: token("surface-3"),
      bordercolor: token("line-2"),
      font: {family: token("font"), size: 12, color: token("ink")},
    },
  };
  for (const key of Object.keys(rest)) if (isAxis(key)) styled[key] = axis(rest[key]);
  return styled;
}

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

/** @param {any} axis */
const axis = ({uirevision: _uirevision, ...axis}) => ({
  ...axis,
  gridcolor: token("line"),
  zerolinecolor: token("line-2"),
  linecolor: token("line-2"),
  tickcolor: token("line-2"),
  automargin: true,
});
