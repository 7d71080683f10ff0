// @ts-check
/** The settings of a look with the microscope: the estimators, the number of draws, the seed. */
import * as api from "../api.js";
import {PLAIN, field} from "../form/field.js";
import {freshId, locate, problemLine} from "../form/node.js";
import {shadows} from "../form/shadows.js";
import {icon} from "../icons.js";
import {catalogue, startMicroscope} from "../lab.js";
import {count} from "../lib/format.js";
import {h} from "../lib/h.js";
import {computed, effect, signal, untracked} from "../lib/signal.js";
import {kindField, usualDraws} from "./instrument-fields.js";
import {sweptField} from "./swept-field.js";

/** @typedef {import("../types.js").Run} Run */
/** @typedef {import("../form/node.js").FormNode} FormNode */

const OF_ESTIMATORS = {
  title: "Estimators",
  add: "Add an estimator…",
  none: "None. Add an estimator to draw from.",
};

/**
 * @param {Run} run with the step of the checkpoint in `config.microscope`
 * @param {import("./instruments.js").Instrument} instrument
 */
export function form(run, instrument) {
  const {kind, ...plain} = controls(run, instrument);
  const nodes = {...plain, ...kind.nodes};
  const {line, message} = problemLine(freshId("microscope"));
  const busy = signal(false);
  const untouched = JSON.stringify(nodes.estimators.read());

  async function submit(/** @type {Event} */ event) {
    event.preventDefault();
    if (busy.peek()) return;
    message.set("");
    for (const node of Object.values(nodes)) node.complain("");
    busy.set(true);
    try {
      const given = read(nodes);
      // Unchanged, they are the estimators of the chosen checkpoint, whichever drove at that step.
      if (JSON.stringify(given.estimators) === untouched) given.estimators = null;
      if (given.adjoint_map) given.estimators = null; // it takes none
      await startMicroscope({run: run.id, ...given});
    } catch (error) {
      if (!(error instanceof api.Refusal || error instanceof api.Silence)) throw error;
      message.set(explain(error, nodes));
    } finally {
      busy.set(false);
    }
  }

  return h(
    "form",
    {class: "microscope", novalidate: true, onsubmit: submit},
    kind.element,
    h("div", {hidden: () => kind.chosen() === "adjoint_map"}, nodes.estimators.element),
    h("div", {class: "pair"}, nodes.draws.element, nodes.seed.element),
    h("div", {role: "alert"}, line),
    h(
      "div",
      {class: "dialog-end"},
      h(
        "button",
        {class: "primary", type: "submit", "aria-disabled": () => String(busy())},
        icon("lens"),
        () => (busy() ? "Starting…" : "Draw"),
      ),
    ),
  );
}

/** @param {Run} run @param {import("./instruments.js").Instrument} instrument */
function controls(run, instrument) {
  const {estimator, shadows: others} = run.config;
  const estimators = shadows(
    "The run's driver and shadows. Every one draws at the same weights, on the same batch.",
    [estimator, ...(others ?? [])],
    OF_ESTIMATORS,
  );
  const draws = field(
    {
      ...PLAIN,
      name: "draws",
      title: "Draws",
      unit: "an estimator",
      range: "2 to 100000",
      help: "How many estimates each estimator makes, at each value of a sweep, at each batch of a variance anatomy; of an adjoint map, the gradients over which the median of a time is taken. With more draws the measures have smaller standard errors.",
    },
    run.config.microscope?.draws ?? usualDraws(instrument),
  );
  return {
    step: fixed(run.config.microscope?.step ?? null),
    estimators,
    draws,
    seed: field(
      {
        ...PLAIN,
        name: "seed",
        title: "Seed",
        range: "at least 0",
        help: "Determines the draws. Draw again takes the next one.",
      },
      run.config.microscope?.seed ?? 0,
    ),
    kind: kindField(run, draws, sweptField(estimators, run), instrument),
  };
}

/** @param {Record<string, FormNode>} nodes */
const read = (nodes) =>
  Object.fromEntries(Object.entries(nodes).map(([name, node]) => [name, node.read()]));

/** A value that is chosen elsewhere. @param {number | null} value @returns {FormNode} */
const fixed = (value) => ({
  element: h("span"),
  read: () => value,
  child: () => undefined,
  complain: () => undefined,
  focus: () => undefined,
});

/**
 * Show each problem beside its control; what has none is said below.
 * @param {Error} error
 * @param {Record<string, FormNode>} nodes
 */
function explain(error, nodes) {
  if (!(error instanceof api.Refusal) || error.problems.length === 0)
    return sentence(error.message);
  const homeless = [];
  for (const {loc, msg} of error.problems) {
    const [first, ...rest] = asked(loc[0] === "body" ? loc.slice(1) : loc);
    const node = nodes[String(first)];
    if (node) locate(node, rest).complain(sentence(msg));
    else homeless.push(`${loc.join(".")}: ${msg}`);
  }
  return homeless.join(" ");
}

/**
 * Where this form asks for what the run's own configuration says.
 * @param {(string | number)[]} loc
 */
function asked([first, ...rest]) {
  if (first === "estimator") return ["estimators", 0, ...rest];
  if (first === "shadows" && rest.length)
    return ["estimators", Number(rest[0]) + 1, ...rest.slice(1)];
  return first === "microscope" ? rest : [first, ...rest];
}

/** @param {string} text */
const sentence = (text) => text + (/[.!?]$/.test(text) ? "" : ".");
