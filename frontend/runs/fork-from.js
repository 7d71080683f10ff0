// @ts-check
/** The dialog that forks the run under a microscope: with which of its estimators, how fast. */
import {Refusal, Silence, figure, run as readRun} from "../api.js";
import {PLAIN, field} from "../form/field.js";
import {freshId, problemLine} from "../form/node.js";
import {icon} from "../icons.js";
import {fork} from "../lab.js";
import {count} from "../lib/format.js";
import {h} from "../lib/h.js";
import {effect, signal, untracked} from "../lib/signal.js";
import {parameter} from "../state.js";
import {find} from "./known-runs.js";

/** @typedef {import("../types.js").Run} Run */

const subject = signal(/** @type {Run | null} */ (null));

/** Ask what the fork begins with. @param {Run} run a microscope's */
export const openForkFrom = (run) => subject.set(run);

export function forkFromDialog() {
  const place = h("div");
  const dialog = h(
    "dialog",
    {class: "dialog", "aria-labelledby": "fork-from-title", onclose: () => subject.set(null)},
    h("h2", {id: "fork-from-title"}, () => `Fork from step ${count(subject()?.parent_step ?? 0)}`),
    h(
      "p",
      {class: "quiet"},
      "A new run that begins with the weights of this checkpoint and goes on with one of the estimators as its driver; the others are its shadows.",
    ),
    place,
  );
  effect(() => {
    const run = subject();
    if (!run) return place.replaceChildren();
    untracked(() => place.replaceChildren(form(run, () => dialog.close())));
    dialog.showModal();
  });
  return dialog;
}

/** @param {Run} run @param {() => void} close */
function form(run, close) {
  const {line, message} = problemLine(freshId("fork-from"));
  const busy = signal(false);
  const nodes = controls(run);

  async function submit(/** @type {Event} */ event) {
    event.preventDefault();
    if (busy.peek()) return;
    message.set("");
    for (const node of [nodes.lr, nodes.steps]) node.complain("");
    busy.set(true);
    try {
      await fork(await readRun(run.parent ?? ""), {
        step: run.parent_step ?? null,
        config: read(run, nodes),
      });
      close();
    } catch (error) {
      if (!(error instanceof Refusal || error instanceof Silence)) throw error;
      message.set(explain(error, nodes));
    } finally {
      busy.set(false);
    }
  }

  return h(
    "form",
    {class: "microscope", novalidate: true, onsubmit: submit},
    nodes.driver.element,
    nodes.lr.element,
    nodes.steps.element,
    nodes.optimizer.element,
    h("div", {role: "alert"}, line),
    h(
      "div",
      {class: "dialog-end"},
      h("button", {type: "button", class: "plain", onclick: close}, "Close"),
      h(
        "button",
        {class: "primary", type: "submit", "aria-disabled": () => String(busy())},
        icon("play"),
        () => (busy() ? "Starting…" : "Start the fork"),
      ),
    ),
  );
}

/** @param {Run} run */
function controls(run) {
  const labels = [run.labels.driver, ...run.labels.shadows];
  const rate = parameter("rate");
  const {optimizer} = run.config;
  const [parent, from] = [find(run.parent ?? ""), run.parent_step ?? 0];
  const best = signal(/** @type {Record<string, number>} */ ({}));
  const kept = signal(/** @type {Record<string, number | null>} */ ({}));
  const driver = select(
    "Driver",
    labels.map((label) => [label, label]),
  );
  const lr = field(
    {
      ...PLAIN,
      kind: "number",
      name: "lr",
      title: "Learning rate",
      range: "above 0",
      help: "The rate chosen above the histograms, else the run's own rate at this step where it is above 0, else the rate it began with.",
    },
    rate.peek() || optimizer.lr,
  );
  const input = /** @type {HTMLInputElement} */ (lr.element.querySelector("input"));
  const chosen = signal(driver.input.value);
  driver.input.addEventListener("change", () => chosen.set(driver.input.value));
  // Unknown until the figure comes: the rate that the run began with is another one.
  const own = signal(/** @type {number | null} */ (null));
  figure("what_if", {runs: run.id}).then(
    ({meta}) => {
      best.set(meta.best_rates ?? {});
      kept.set(meta.kept_rates ?? {});
      const usual = meta.learning_rate;
      if (usual === null || usual === undefined) return;
      // What was typed meanwhile stands. A rate of 0 is no rate to train with.
      if (usual > 0 && !rate.peek() && input.value === String(optimizer.lr))
        input.value = short(usual);
      own.set(usual);
    },
    () => undefined, // the run's first rate stands there already
  );
  const take = (/** @type {number} */ value, /** @type {string} */ whose) =>
    h(
      "button",
      {type: "button", class: "plain", onclick: () => (input.value = short(value))},
      `${whose}: ${short(value)}`,
    );
  lr.element.append(
    h("p", {class: "quiet rates"}, () => {
      const [usual, value] = [own(), best()[chosen()]];
      return [
        usual === 0 &&
          "The run's own at this step: 0, the end of its schedule. A fork needs a rate above 0.",
        usual ? take(usual, "The run's own at this step") : null,
        value && [
          " ",
          take(value, "Best of one step"),
          h(
            "span",
            null,
            " The best of one step lowers the loss most in a single step on one batch. It is no rate to train with: kept up, it often diverges within dozens of steps.",
          ),
        ],
        rehearsed(kept()[chosen()], take),
      ];
    }),
  );
  const steps = field(
    {
      ...PLAIN,
      name: "steps",
      title: "Steps in all",
      range: `more than ${count(from)}`,
      optional: true,
      help: "Of the fork, those before the checkpoint included. Empty: as many as the run has.",
    },
    parent && parent.steps > from ? null : 2 * from || null,
  );
  steps.element
    .querySelector("input")
    ?.setAttribute("placeholder", parent ? count(parent.steps) : "as before");
  return {
    driver,
    lr,
    steps,
    optimizer: select("Optimiser", [
      ["sgd", "plain SGD, as the steps above"],
      ["", `${optimizer.name} with its fields, as in the run`],
    ]),
  };
}

/**
 * What was tried for 200 steps, if anything was.
 * @param {number | null | undefined} rate null: none of the rates tried can be kept up
 * @param {(value: number, whose: string) => HTMLElement} take
 */
function rehearsed(rate, take) {
  if (rate === undefined) return null;
  const how =
    "over 200 steps of plain SGD from this checkpoint, which were rehearsed at up to five rates.";
  if (rate === null)
    return h("span", null, ` With none of the rates tried did the loss not rise ${how}`);
  return [
    " ",
    take(rate, "Kept up for 200 steps"),
    h(
      "span",
      null,
      ` The largest rate tried whose mean loss stays finite and does not rise ${how}`,
    ),
  ];
}

/** @param {number} value */
const short = (value) => String(Number(value.toPrecision(3)));

/** @param {string} title @param {string[][]} options value and words */
function select(title, options) {
  const id = freshId("fork");
  const input = h(
    "select",
    {id},
    options.map(([value, text]) => h("option", {value}, text)),
  );
  const element = h(
    "div",
    {class: "field"},
    h("span", {class: "label"}, h("label", {for: id}, title)),
    h("span", {class: "control"}, input),
  );
  return {element, input};
}

/** @param {Run} run @param {ReturnType<typeof controls>} nodes */
function read(run, {driver, lr, steps, optimizer}) {
  const all = [run.config.estimator, ...(run.config.shadows ?? [])];
  const at = driver.input.selectedIndex;
  const length = steps.read();
  return {
    estimator: all[at],
    shadows: all.filter((_, i) => i !== at),
    optimizer: {...(optimizer.input.value && {name: "sgd"}), lr: lr.read()},
    ...(length !== null && {steps: length}),
  };
}

/** Each problem beside its control; what has none is said below. @param {Error} error @param {ReturnType<typeof controls>} nodes */
function explain(error, nodes) {
  if (!(error instanceof Refusal) || error.problems.length === 0) return error.message;
  const rest = error.problems.filter(({loc, msg}) => {
    const name = loc.at(-1);
    const node = name === "lr" ? nodes.lr : name === "steps" ? nodes.steps : null;
    node?.complain(msg);
    return !node;
  });
  return rest.map(({msg}) => msg).join(" ");
}
