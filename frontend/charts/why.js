// @ts-check
/** "Why, layer by layer": for each layer the cause of an estimator's error, and a remedy. */
import {append, h} from "../lib/h.js";
import {computed, effect, signal, untracked} from "../lib/signal.js";
import {counted} from "../lib/format.js";
import {parameter} from "../state.js";
import {labelled} from "./picks.js";

/** @typedef {import("../types.js").Diagnosis} Diagnosis */

/** @type {Record<string, string>} */
const CAUSES = {
  fine: "no fault",
  scale: "scale",
  direction: "direction",
  variance: "variance",
  rounding: "rounding of the loss",
  reference: "gradient is rounding",
  "no signal": "no signal",
  dead: "no gradient",
  "not finite": "not finite",
  unknown: "cannot be told",
};

/** @typedef {(run: string, estimator: string, stage?: string) => Promise<Diagnosis>} Ask */

/**
 * @param {import("./board.js").Context} context
 * @param {Ask} diagnose
 */
export function why(context, diagnose) {
  // The estimator that the address asks about: a finding leads here.
  const asked = parameter("why");
  const open = signal(untracked(asked) !== "");
  const details = /** @type {HTMLDetailsElement} */ (
    h(
      "details",
      {
        class: "why",
        ontoggle: () => {
          open.set(details.open);
          if (!details.open) asked.set("");
        },
      },
      h("summary", null, "Why, layer by layer"),
      () => open() && answer(context, diagnose, untracked(asked)),
    )
  );
  details.open = untracked(open);
  return details;
}

/**
 * @param {import("./board.js").Context} context
 * @param {Ask} diagnose
 * @param {string} first the estimator that is asked about first; "": the driver
 */
function answer(context, diagnose, first) {
  const diagnosis = signal(/** @type {Diagnosis | null} */ (null));
  const problem = signal("");
  const again = signal(0);
  const chosen = signal(first);
  // As text, so that a run's reports ask nothing.
  const asked = computed(() => {
    const run = context.focused();
    const labels = run ? [run.labels.driver, ...run.labels.shadows].filter(Boolean) : [];
    const label = labels.includes(chosen()) ? chosen() : (labels[0] ?? "");
    return JSON.stringify({id: run?.id ?? "", number: run?.number, labels, label});
  });
  let latest = 0;
  let isFirst = true;

  /** @param {string} id @param {string} label */
  async function read(id, label) {
    const mine = ++latest;
    try {
      const answer = await diagnose(id, label);
      if (mine !== latest) return;
      diagnosis.set(answer);
      if (isFirst && first) requestAnimationFrame(() => place.scrollIntoView());
      isFirst = false;
      problem.set("");
    } catch (error) {
      if (mine === latest) problem.set(error instanceof Error ? error.message : String(error));
    }
  }

  const place = h("div", {class: "why-answer"});
  effect(() => {
    again();
    const {id, label} = JSON.parse(asked());
    untracked(() => id && read(id, label));
  });
  append(place, [
    h(
      "div",
      {class: "picks"},
      () => picker(JSON.parse(asked()), chosen),
      h(
        "button",
        {type: "button", class: "plain", onclick: () => again.update((n) => n + 1)},
        "Look again",
      ),
    ),
    h("p", {class: "problem", role: "status", hidden: () => !problem()}, problem),
    () => {
      const answer = diagnosis();
      if (!answer) return null;
      const {id, number} = JSON.parse(asked());
      return table(answer, number, (stage) => diagnose(id, answer.estimator, stage));
    },
  ]);
  return place;
}

/**
 * @param {{labels: string[], label: string}} asked
 * @param {import("../lib/signal.js").Signal<string>} chosen
 */
function picker({labels, label}, chosen) {
  const select = h(
    "select",
    {onchange: () => chosen.set(select.value)},
    labels.map((option) => h("option", {value: option, selected: option === label}, option)),
  );
  return labelled("Estimator", select);
}

/**
 * @param {Diagnosis} answer
 * @param {number} number of the run
 * @param {(stage: string) => Promise<Diagnosis>} inside
 */
function table({estimator, probes, draws, findings, batch}, number, inside) {
  if (findings.length === 0) return h("p", {class: "quiet"}, "There is no probe of it yet.");
  return [
    h("p", null, summed(findings)),
    h(
      "table",
      null,
      h(
        "caption",
        null,
        `${estimator} in run #${number}, from its latest ${counted(probes, "probe")} of ${counted(draws, "draw")}. `,
        "The scaled error is what is left when the learning rate has absorbed the scale.",
        batch && ` ${sentence(batch)}`,
      ),
      h(
        "thead",
        null,
        h(
          "tr",
          null,
          ...["Layer", "Cause", "Explanation"].map((text) => h("th", {scope: "col"}, text)),
        ),
      ),
      findings.map((finding) => rows(finding, inside)),
    ),
  ];
}

/** How many stages fail by what: of many, the table is long. @param {Diagnosis["findings"]} findings */
function summed(findings) {
  const stages = findings.filter(({layer}) => layer !== "");
  const causes = [...new Set(stages.map(({cause}) => cause))];
  const many = (/** @type {string} */ cause) =>
    stages.filter((finding) => finding.cause === cause).length;
  const counts = causes.map((cause) => `${CAUSES[cause] ?? cause} ${many(cause)}`);
  return `${counted(stages.length, "stage")}: ${counts.join(", ")}. A stage opens to its tensors.`;
}

/**
 * A stage, and below it, once it is opened, its tensors.
 * @param {Diagnosis["findings"][number]} finding
 * @param {(stage: string) => Promise<Diagnosis>} inside
 */
function rows(finding, inside) {
  const open = signal(false);
  const tensors = signal(/** @type {Diagnosis["findings"]} */ ([]));
  const problem = signal("");

  async function toggle() {
    open.update((is) => !is);
    if (!open.peek() || tensors.peek().length) return;
    try {
      tensors.set((await inside(finding.layer)).findings);
      problem.set("");
    } catch (error) {
      problem.set(error instanceof Error ? error.message : String(error));
    }
  }

  const name = finding.layer
    ? h(
        "button",
        {
          type: "button",
          class: "plain opener",
          "aria-expanded": () => String(open()),
          onclick: toggle,
        },
        () => `${open() ? "▾" : "▸"} ${finding.layer}`,
      )
    : "whole network";
  return h(
    "tbody",
    null,
    row(name, finding),
    () =>
      open() &&
      tensors().map((tensor) =>
        row(h("span", {class: "within"}, bare(tensor.layer, finding.layer)), tensor),
      ),
    () => open() && problem() && h("tr", null, h("td", {colspan: "3", class: "problem"}, problem)),
  );
}

/** A tensor's name within its stage. @param {string} name @param {string} stage */
const bare = (name, stage) => (name.startsWith(`${stage}.`) ? name.slice(stage.length + 1) : name);

/** @param {any} name @param {Diagnosis["findings"][number]} finding */
const row = (name, {cause, text}) =>
  h(
    "tr",
    {"data-cause": cause},
    h("th", {scope: "row"}, name),
    h("td", null, CAUSES[cause] ?? cause),
    h("td", null, text),
  );

/** @param {string} text */
const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}.`;
