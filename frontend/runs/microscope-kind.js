// @ts-check
/** The kind of a microscope: draws at one point, the anatomy of their variance, or one step. */
import {PLAIN, field} from "../form/field.js";
import {freshId} from "../form/node.js";
import {h} from "../lib/h.js";
import {effect, signal, untracked} from "../lib/signal.js";

/** @typedef {import("../form/node.js").FormNode} FormNode */
/** @typedef {"draws" | "anatomy" | "what_if"} Kind */

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
};
const NAMES = /** @type {Kind[]} */ (Object.keys(KINDS));

const SOURCES = {
  honest: "honest: by the estimator itself",
  oracle: "oracle: from the exact gradient",
};

/** @param {any} microscope of a run's configuration @returns {Kind} */
const before = (microscope) =>
  microscope?.anatomy ? "anatomy" : microscope?.what_if ? "what_if" : "draws";

/**
 * The choice, and the controls that belong to each kind.
 * @param {import("../types.js").Run} run
 * @param {FormNode} draws
 * @param {FormNode} sweep
 */
export function kindField(run, draws, sweep) {
  const id = freshId("kind");
  const microscope = run.config.microscope;
  const chosen = signal(before(microscope));
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
  const shown = (/** @type {Kind} */ kind, /** @type {FormNode} */ node) =>
    h("div", {hidden: () => chosen() !== kind}, node.element);
  const element = h(
    "div",
    {class: "group"},
    h(
      "div",
      {class: "field"},
      h("span", {class: "label"}, h("label", {for: id}, "Look at")),
      h("span", {class: "control"}, select),
    ),
    h("p", {class: "quiet sweep-note", id: `${id}-summary`}, () => KINDS[chosen()].summary),
    shown("draws", sweep),
    shown("draws", source),
    shown("anatomy", batches),
    shown("what_if", rates),
  );
  const only = (
    /** @type {Kind} */ kind,
    /** @type {FormNode} */ inner,
    /** @type {() => any} */ read,
  ) => ({
    ...inner,
    read: () => (chosen.peek() === kind ? read() : null),
    child: (/** @type {string | number} */ name) => (kind === "draws" ? inner.child(name) : inner),
  });
  return {
    element,
    /** @type {Record<"sweep" | "source" | "anatomy" | "what_if", FormNode>} */
    nodes: {
      sweep: only("draws", sweep, sweep.read),
      source: {...source, read: () => (chosen.peek() === "draws" ? source.read() : "honest")},
      anatomy: only("anatomy", batches, () => ({batches: batches.read()})),
      what_if: only("what_if", rates, () => ({rates: list(rates.read())})),
    },
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
