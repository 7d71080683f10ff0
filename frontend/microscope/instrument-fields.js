// @ts-check
/** The kind of a microscope: draws at one point, the anatomy of their variance, one step, or the adjoint map. */
import {PLAIN, field} from "../form/field.js";
import {freshId} from "../form/node.js";
import {h} from "../lib/h.js";
import {effect, signal, untracked} from "../lib/signal.js";

/** @typedef {import("../form/node.js").FormNode} FormNode */
/** @typedef {import("./instruments.js").Instrument} Instrument */
/** @typedef {"draws" | "anatomy" | "what_if" | "adjoint_map"} Kind */

/** @type {Record<Kind, {title: string, summary: string, draws: number, unit: string}>} */
const KINDS = {
  draws: {
    title: "the draws: their distribution",
    summary:
      "Histograms, clouds, measures and laws of the estimates at one batch; or a sweep of a field.",
    draws: 256,
    unit: "an estimator",
  },
  anatomy: {
    title: "the variance: data or estimator",
    summary:
      "Draws at several batches separate the noise of the data from that of the estimator, layer by layer, and whether a larger batch or more draws would lower it. The prediction is then checked at another batch size.",
    draws: 16,
    unit: "a batch",
  },
  what_if: {
    title: "one step: what it would do",
    summary:
      "Every draw is taken as a step of many lengths from the checkpoint: the change of the loss, the best learning rate and the decrease to be expected.",
    draws: 64,
    unit: "an estimator",
  },
  adjoint_map: {
    title: "the adjoints: how near to exact",
    summary:
      "Of a network with an equilibrium stage: how near the phantom gradients of every k and λ come to the exact gradient, what theory says of them, what they cost, and how this changes with the spectral radius.",
    draws: 5,
    unit: "timings",
  },
};
const NAMES = /** @type {Kind[]} */ (Object.keys(KINDS));

const SOURCES = {
  honest: "honest: by the estimator itself",
  oracle: "oracle: from the exact gradient",
};

/** How many draws are usual with an instrument. @param {Instrument} instrument */
export const usualDraws = (instrument) => KINDS[kindOf(instrument)].draws;

/** A sweep is draws at several points. @param {Instrument} instrument @returns {Kind} */
const kindOf = (instrument) => (instrument === "sweep" ? "draws" : instrument);

/** Of what kind a microscope was; its `draws` are a number. @param {any} microscope of a run's configuration @returns {Kind} */
const before = (microscope) =>
  NAMES.find((name) => name !== "draws" && microscope?.[name]) ?? "draws";

/**
 * The choice, and the controls that belong to each kind.
 * @param {import("../types.js").Run} run
 * @param {FormNode} draws
 * @param {FormNode} sweep
 * @param {Instrument} [instrument] the one that was chosen already; then there is no choice here
 */
export function kindField(run, draws, sweep, instrument) {
  const id = freshId("kind");
  const microscope = run.config.microscope;
  const chosen = signal(instrument ? kindOf(instrument) : before(microscope));
  const select = h(
    "select",
    {
      id,
      "aria-describedby": `${id}-summary`,
      onchange: () => chosen.set(/** @type {Kind} */ (select.value)),
    },
    NAMES.map((name) =>
      h("option", {value: name, selected: chosen.peek() === name}, KINDS[name].title),
    ),
  );
  followed(draws, chosen);
  const batches = field(
    {
      ...PLAIN,
      name: "batches",
      title: "Batches",
      range: "2 to 1024",
      help: "Batches of the run's size, each drawn anew from the training set. With more batches the noise of the data is known more exactly; from 8 batches on its standard error is shown.",
    },
    microscope?.anatomy?.batches ?? 16,
  );
  const rates = field(
    {
      ...PLAIN,
      kind: "text",
      name: "rates",
      title: "Learning rates",
      help: "Separated by commas: 0.01, 0.1, 1. Empty: about the best ones, and the run's own.",
    },
    (microscope?.what_if?.rates ?? []).join(", "),
  );
  const source = field(
    {
      ...PLAIN,
      kind: "choice",
      name: "source",
      title: "Drawn",
      choices: Object.keys(SOURCES),
      words: SOURCES,
      help: "An honest draw is made by the estimator itself. An oracle computes the same draws, of the same noise, from the exact gradient; it is the faster, the more tangents a draw has. Forward gradients of weights and of activities have an oracle; all others are drawn honestly, and figures name them. Only honest draws test the code of an estimator.",
    },
    microscope?.source ?? "honest",
  );
  const adjoints = adjointFields(microscope?.adjoint_map);
  const shown = (/** @type {Kind} */ kind, /** @type {FormNode} */ node) =>
    h("div", {hidden: () => chosen() !== kind}, node.element);
  const element = h(
    "div",
    {class: "group"},
    h(
      "div",
      {class: "field", hidden: instrument !== undefined},
      h("span", {class: "label"}, h("label", {for: id}, "Look at")),
      h("span", {class: "control"}, select),
    ),
    h("p", {class: "quiet sweep-note", id: `${id}-summary`}, () => KINDS[chosen()].summary),
    instrument !== "draws" && shown("draws", sweep),
    shown("draws", source),
    shown("anatomy", batches),
    shown("what_if", rates),
    shown("adjoint_map", adjoints),
  );
  const only = (
    /** @type {Kind} */ kind,
    /** @type {FormNode} */ inner,
    /** @type {() => any} */ read,
  ) => ({
    ...inner,
    read: () => (chosen.peek() === kind ? read() : null),
    child: (/** @type {string | number} */ name) =>
      kind === "draws" || kind === "adjoint_map" ? inner.child(name) : inner,
  });
  return {
    element,
    /** @type {() => Kind} */
    chosen,
    /** @type {Record<"sweep" | "source" | "anatomy" | "what_if" | "adjoint_map", FormNode>} */
    nodes: {
      sweep: only("draws", sweep, sweep.read),
      source: {...source, read: () => (chosen.peek() === "draws" ? source.read() : "honest")},
      anatomy: only("anatomy", batches, () => ({batches: batches.read()})),
      what_if: only("what_if", rates, () => ({rates: list(rates.read())})),
      adjoint_map: only("adjoint_map", adjoints, adjoints.read),
    },
  };
}

/** Lists of an adjoint map: their names, titles, help and usual values. */
const LISTS = [
  [
    "steps",
    "Steps k",
    "Damped steps, or terms of the series: whole numbers from 1 to 1000.",
    "1, 2, 3, 5, 8, 13, 20",
  ],
  ["damping", "Damping λ", "Share of f in a step: above 0 and at most 1.", "0.25, 0.5, 0.75, 1"],
  [
    "factors",
    "Factors c",
    "All weights that multiply the state are scaled by c, which scales the spectral radius; the equilibrium is solved anew. From 0 to 100; 1 is the network as it is.",
    "0.5, 0.75, 1, 1.25, 1.5",
  ],
  [
    "solvers",
    "Solvers",
    "Solvers whose time and memory are compared: anderson, broyden, fixed_point. Empty: no comparison.",
    "anderson, broyden",
  ],
];

/** @param {Record<string, any[]> | null | undefined} before @returns {FormNode} */
function adjointFields(before) {
  const fields = Object.fromEntries(
    LISTS.map(([name, title, help, usual]) => [
      name,
      field({...PLAIN, kind: "text", name, title, help}, before?.[name]?.join(", ") ?? usual),
    ]),
  );
  const nodes = Object.values(fields);
  return {
    element: h(
      "div",
      {class: "group"},
      nodes.map((node) => node.element),
    ),
    read: () =>
      Object.fromEntries(
        Object.entries(fields).map(([name, node]) => [name, list(node.read()) ?? []]),
      ),
    child: (name) => fields[name],
    // What concerns several lists is said below the first.
    complain: (problem) =>
      problem ? nodes[0].complain(problem) : nodes.forEach((node) => node.complain("")),
    focus: () => nodes[0].focus(),
  };
}

/** What is usual of one kind becomes what is usual of the next. @param {FormNode} draws @param {() => Kind} chosen */
function followed(draws, chosen) {
  const input = draws.element.querySelector("input");
  let usual = KINDS[untracked(chosen)].draws;
  effect(() => {
    const next = KINDS[chosen()].draws;
    if (input && input.value === String(usual)) input.value = String(next);
    usual = next;
    draws.element.querySelector(".unit")?.replaceChildren(KINDS[chosen()].unit);
  });
}

/** What is no number stays a word. @param {any} text */
function list(text) {
  const parts = String(text)
    .split(",")
    .map((part) => part.trim())
    .filter(Boolean);
  if (parts.length === 0) return null;
  return parts.map((part) => (Number.isNaN(Number(part)) ? part : Number(part)));
}
