// @ts-check
/** A dial: the exact gradient points up, the needle is an estimator's mean angle to it. */
import {alignment} from "../lib/format.js";
import {h, svg} from "../lib/h.js";
import {effect} from "../lib/signal.js";
import {icon} from "../icons.js";
import {alignmentColour, colourOf, coloured, marker} from "./looks.js";
import {driverAt, saidAt} from "./race.js";

/** @typedef {import("./race.js").Race} Race */
/** @typedef {import("./race.js").Racer} Racer */

const [X, Y, RADIUS] = [14, 96, 78];

/** Degrees from the exact gradient. @param {number} cosine */
const angle = (cosine) => (180 / Math.PI) * Math.acos(Math.max(-1, Math.min(1, cosine)));

/** A point of the dial. @param {number} degrees @param {number} radius */
function point(degrees, radius) {
  const t = (degrees * Math.PI) / 180;
  return `${(X + radius * Math.sin(t)).toFixed(1)} ${(Y - radius * Math.cos(t)).toFixed(1)}`;
}

/** The sector between two angles. @param {number} from @param {number} to */
const sector = (from, to) =>
  `M${X} ${Y}L${point(from, RADIUS - 6)}A${RADIUS - 6} ${RADIUS - 6} 0 0 1 ${point(to, RADIUS - 6)}z`;

/** The estimator's alignment at the moment that is shown. @param {Race} race @param {string} label */
function valuesOf(race, label) {
  const track = () => race.story()?.estimators.find((one) => one.label === label);
  /** @param {(track: import("./race.js").Track) => import("./race.js").Values} pick */
  const now = (pick) => {
    const its = track();
    return its ? (pick(its)[race.at()] ?? null) : null;
  };
  return {
    whole: () => now((its) => its.whole),
    spread: () => now((its) => its.spread),
    layer: (/** @type {string} */ name) => now((its) => its.layers[name]),
    said: () => saidAt(track()?.says ?? [], race.head()),
  };
}

/**
 * An estimator: its dial, its layers, a sentence, and the button that lets it drive.
 * @param {Race} race @param {Racer} racer @param {"h2" | "h3"} heading
 */
export function cell(race, racer, heading) {
  const values = valuesOf(race, racer.label);
  const drives = () => driverAt(race) === racer.label;
  return h(
    "li",
    {class: () => (drives() ? "dial-cell drives" : "dial-cell"), "data-estimator": racer.label},
    h(heading, {class: "dial-name"}, marker(racer.label), racer.name),
    dial(racer, values),
    h(
      "p",
      {class: "dial-number", "aria-hidden": "true"},
      () => alignment(values.whole()),
      h("small", null, " %"),
    ),
    h("p", {class: "dial-unit", "aria-hidden": "true"}, "along the exact gradient"),
    h("div", {class: "dial-drive"}, () => (drives() ? drivesNow() : driveButton(race, racer))),
    h(
      "ul",
      {class: "dial-layers", "aria-label": "By layer, percent along"},
      race.answer.layers.map((layer) => bar(layer, () => values.layer(layer.name))),
    ),
    h("p", {class: "dial-says"}, values.said),
  );
}

/** @param {Racer} racer @param {ReturnType<typeof valuesOf>} values */
function dial(racer, {whole, spread}) {
  const needle = svg(
    "g",
    {class: "needle", visibility: () => (whole() === null ? "hidden" : "visible")},
    svg("path", {d: `M${X} ${Y}V31`}),
    svg("path", {class: "needle-tip", d: `M${X} 20l5.5 11h-11z`}),
  );
  effect(() => {
    needle.style.transform = `rotate(${angle(whole() ?? 1).toFixed(1)}deg)`;
  });
  const drawn = svg(
    "svg",
    {
      class: "dial",
      viewBox: "0 0 100 104",
      role: "img",
      "aria-label": () => `${racer.name}, ${alignment(whole())} percent along`,
    },
    svg("path", {
      class: "arc",
      d: `M${X} ${Y - RADIUS}A${RADIUS} ${RADIUS} 0 0 1 ${X + RADIUS} ${Y}`,
    }),
    svg("path", {class: "horizon", d: `M${X} ${Y}H${X + RADIUS}`}),
    svg("path", {class: "spread", d: () => band(whole(), spread())}),
    svg("path", {class: "exact", d: `M${X} ${Y}V22M9 28 14 21l5 7`}),
    needle,
    svg("circle", {class: "hub", cx: X, cy: Y, r: 2.6}),
  );
  return coloured(drawn, colourOf(racer.label));
}

/** One standard deviation of the draws to both sides. @param {number | null} mean @param {number | null} spread */
const band = (mean, spread) =>
  mean === null || !spread ? "" : sector(angle(mean + spread), angle(mean - spread));

/** @param {import("./race.js").Layer} layer @param {() => number | null} value */
function bar({name, short}, value) {
  const fill = h("i", {"aria-hidden": "true"});
  effect(() => {
    fill.style.background = alignmentColour(value());
  });
  return h(
    "li",
    {title: () => `${name}: ${alignment(value())} %`},
    fill,
    h(
      "span",
      null,
      `${short} `,
      h("b", null, () => alignment(value())),
    ),
  );
}

const drivesNow = () =>
  h("span", {class: "drives-now"}, icon("wheel"), h("span", null, "Drives now"));

/** @param {Race} race @param {Racer} racer */
const driveButton = (race, racer) =>
  h(
    "button",
    {
      type: "button",
      class: "act",
      "aria-label": `Let ${racer.name} drive`,
      title: () =>
        race.isActive()
          ? `${racer.name} takes over the running network, at its learning rate ${racer.rate}`
          : `Start the race again, driven by ${racer.name}`,
      "aria-disabled": () => race.taking() !== "" && "true",
      onclick: () => race.taking.peek() === "" && race.orders.drive(racer),
    },
    icon("wheel"),
    h("span", null, () => (race.taking() === racer.label ? "Taking over…" : "Let it drive")),
  );
