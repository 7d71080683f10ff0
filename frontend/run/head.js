// @ts-check
/** The head of a run's page: its name, what it does, what can be done with it, and its recipe. */
import {catalogue, complaint} from "../lab.js";
import {count} from "../lib/format.js";
import {h} from "../lib/h.js";
import {menu} from "../lib/menu.js";
import {titleOfEstimator} from "../lib/estimator-title.js";
import {computed} from "../lib/signal.js";
import {line, networkWords, titleOf} from "../new/titles.js";
import {changes, forks} from "../runs/change.js";
import {findingsCount, findingsOf} from "../runs/findings.js";
import {hasEnded, pending} from "../runs/pending.js";
import {actions, actionsPlace} from "../runs/run-actions.js";
import {badge, isOpenEnded, pace, SLOTS} from "../runs/run-state.js";
import {origin} from "../runs/run-row.js";
import {shareButton} from "../share.js";
import {isLive} from "../stream.js";

/** @typedef {import("../types.js").Run} Run */

/** @param {() => Run} run */
export function head(run) {
  const {id, number} = run();
  const status = computed(() => run().status);
  const error = computed(() => run().error ?? "");
  return h(
    "header",
    {class: "run-page-head run", "data-run": id, "data-status": status},
    h("p", {class: "crumbs"}, h("a", {href: "/runs"}, "Runs"), ` / #${number}`),
    h(
      "div",
      {class: "run-title"},
      h(
        "h1",
        {tabindex: "-1"},
        () => run().name || titleOfEstimator(catalogue(), run().labels.driver),
      ),
      h(
        "div",
        {class: "run-doing"},
        h("span", {class: "status-place", "aria-live": "polite"}, () =>
          badge(status(), pending(id), isLive()),
        ),
        findingsCount(run, findingsOf(run)),
        h("span", {class: "run-steps"}, () => steps(run())),
        h("span", {class: "run-rate", title: () => status() === "queued" && SLOTS}, () =>
          pace(run()),
        ),
      ),
      actionsPlace(() => actions(status(), id, run, false)),
      // Not among those: a change of status would close its dialog.
      shareButton(),
    ),
    () => origin(run()),
    h("div", {role: "alert"}, () => complaint() && h("p", {class: "problem"}, complaint())),
    () => error() && failure(error()),
    chips(run, status),
    h("progress", {
      class: "run-page-progress",
      max: () => run().steps || 1,
      value: () => run().step,
      hidden: () => isOpenEnded(run()),
      "aria-label": `Progress of run ${number}`,
    }),
  );
}

/** @param {Run} run */
const steps = (run) =>
  isOpenEnded(run) ? `${count(run.step)} steps` : `${count(run.step)} of ${count(run.steps)} steps`;

/** A traceback's last line says what happened. @param {string} error */
const failure = (error) =>
  h(
    "details",
    {class: "run-error"},
    h("summary", null, error.trim().split("\n").at(-1)),
    h("pre", {tabindex: "0"}, error),
  );

/** What the run is made of: what can be changed while it goes on, then what a copy can change. @param {() => Run} run @param {() => import("../types.js").Status} status */
function chips(run, status) {
  const trained = run().kind !== "attached";
  const steerable = computed(() => trained && !hasEnded(status()));
  // As text, so that a run's reports leave an open panel as it is.
  const driver = computed(() => run().labels.driver);
  const rate = computed(() => String(run().config.optimizer?.lr ?? ""));
  const title = () => titleOfEstimator(catalogue(), driver());
  return h(
    "div",
    {class: "chips", role: "group", "aria-label": "Recipe"},
    () =>
      steerable()
        ? menu({
            name: "chip chip-now",
            button: [h("span", null, "Driver"), title, h("span", null, "Learning rate"), rate],
            panel: () => changes(run),
          })
        : [fixed("Driver", title), trained && fixed("Learning rate", rate)],
    trained && parts(run).map(([name, text]) => fixed(name, text)),
    () =>
      trained &&
      status() !== "queued" &&
      menu({name: "chip", button: "Fork from a checkpoint…", panel: () => forks(run)}),
  );
}

/** @param {() => Run} run @returns {[string, () => string][]} */
function parts(run) {
  const {dataset, network, optimizer, batch_size: batch, seed} = run().config;
  return [
    ["Data", () => (catalogue() ? titleOf("datasets", dataset) : dataset.name)],
    ["Network", () => (catalogue() ? networkWords(network) : network.name)],
    // The learning rate has a chip of its own.
    ["Optimiser", () => (catalogue() ? line("optimizers", optimizer, ["lr"]) : optimizer.name)],
    ["Batch", () => String(batch)],
    ["Seed", () => String(seed)],
  ];
}

/** @param {string} name @param {() => string} text */
const fixed = (name, text) => h("span", {class: "chip"}, h("span", null, name), text);
