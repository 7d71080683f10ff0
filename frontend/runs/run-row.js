// @ts-check
/** One run in the list. */
import {figure} from "../api.js";
import {h} from "../lib/h.js";
import {computed, signal} from "../lib/signal.js";
import {count, duration} from "../lib/format.js";
import {icon} from "../icons.js";
import {addressOfRun, focused} from "../lab.js";
import {focus, show, shown, visit} from "../state.js";
import {isLive} from "../stream.js";
import {runSample} from "./colour.js";
import {changes, forks} from "./change.js";
import {facts} from "./facts.js";
import {findingsCount, findingsLine, findingsOf} from "./findings.js";
import {hasEnded, pending} from "./pending.js";
import {nats, percent, results} from "./results.js";
import {actions, actionsPlace} from "./run-actions.js";
import {badge, isMicroscope, isOpenEnded, pace, SLOTS, unitOf} from "./run-state.js";
import {drawing, where} from "../microscope/swept-words.js";

/** @typedef {import("../types.js").Run} Run */

/** @param {() => Run} run */
export function row(run) {
  const id = run().id;
  const microscope = isMicroscope(run());
  const list = findingsOf(run);
  const isShown = computed(() => shown().includes(id));
  const isFocused = computed(() => focused()?.id === id);
  const status = computed(() => run().status);
  const error = computed(() => run().error ?? "");
  const open = signal(false);
  const trained = !microscope && run().kind !== "attached";
  const steerable = computed(() => trained && !hasEnded(status()));
  const forkable = computed(() => trained && status() !== "queued");
  return h(
    "li",
    {
      class: "run",
      "data-run": id,
      "data-status": status,
      "data-kind": run().kind ?? "training",
      "data-focused": () => String(isFocused()),
    },
    h(
      "div",
      {class: "run-head"},
      h(
        "label",
        {class: "swatch"},
        h("input", {
          type: "checkbox",
          checked: isShown,
          "aria-label": () => `Show run ${run().number} in the charts`,
          onchange: (/** @type {Event} */ event) =>
            visit(() => show(id, /** @type {HTMLInputElement} */ (event.target).checked)),
        }),
        () => isShown() && runSample(id),
      ),
      h(
        "a",
        {
          class: "run-number",
          href: () => addressOfRun(run()),
          "aria-label": () => `Open run ${run().number}`,
          title: "Open its page",
        },
        () => `#${run().number}`,
      ),
      h(
        "button",
        {
          type: "button",
          class: "run-name",
          "aria-pressed": () => String(isFocused()),
          title: microscope ? "Show what was drawn" : "Show its layers and carpets",
          onclick: () => showCharts(id),
        },
        microscope && [icon("lens"), " "],
        () => run().name || run().labels.driver,
      ),
      h("span", {class: "status-place", "aria-live": "polite"}, () =>
        badge(status(), pending(id), isLive()),
      ),
      findingsCount(run, list),
    ),
    progress(run),
    () => origin(run()),
    findingsLine(list),
    actionsPlace(() => actions(status(), id, run, microscope)),
    () =>
      error() &&
      h(
        "details",
        {class: "run-error"},
        h("summary", null, lastLine(error())),
        h("pre", {tabindex: "0"}, error()),
      ),
    () => steerable() && folded("Change driver or learning rate", () => changes(run)),
    () => forkable() && folded("Fork from a checkpoint", () => forks(run)),
    h(
      "details",
      {
        class: "run-facts",
        ontoggle: (/** @type {Event} */ event) =>
          open.set(/** @type {HTMLDetailsElement} */ (event.target).open),
      },
      h("summary", null, "Details"),
      () => open() && facts(id, run),
    ),
  );
}

/** A form, drawn when it is opened. @param {string} title @param {() => HTMLElement} form */
function folded(title, form) {
  const open = signal(false);
  return h(
    "details",
    {
      class: "run-facts",
      ontoggle: (/** @type {Event} */ event) => {
        const details = /** @type {HTMLDetailsElement} */ (event.target);
        open.set(details.open);
        if (details.open) details.scrollIntoView({block: "nearest"});
      },
    },
    h("summary", null, title),
    () => open() && form(),
  );
}

/** A traceback's last line says what happened. @param {string} error */
const lastLine = (error) => error.trim().split("\n").at(-1) ?? error;

/** @param {string} id */
function showCharts(id) {
  if (!shown.peek().includes(id)) show(id, true);
  focus.set(id);
}

/** @param {() => Run} run */
export function progress(run) {
  return h(
    "div",
    {class: "run-progress"},
    h("progress", {
      max: () => run().steps || 1,
      value: () => run().step,
      hidden: () => isOpenEnded(run()),
      "aria-label": () => `Progress of run ${run().number}`,
    }),
    h("span", {class: "run-steps"}, () =>
      isOpenEnded(run())
        ? `${count(run().step)} ${unitOf(run())}`
        : `${count(run().step)} / ${count(run().steps)} ${unitOf(run())}`,
    ),
    h("span", {class: "run-rate", title: () => run().status === "queued" && SLOTS}, () =>
      pace(run()),
    ),
    h("span", {class: "run-result"}, () => result(run())),
  );
}

/** Whose loop an attached run is, and what measuring it costs. @param {Run} run */
export function origin({kind, config, overhead, silent, status}) {
  if (kind !== "attached") return null;
  const {host, path} = config.attached ?? {};
  const words = [
    [path, host && `on ${host}`].filter(Boolean).join(" "),
    overhead != null && `overhead ${percent(overhead)}`,
    silent != null && !hasEnded(status) && `no word for ${duration(silent)}`,
  ];
  return h(
    "p",
    {class: "run-origin"},
    h("span", {class: "status", title: ATTACHED}, "attached"),
    words.filter(Boolean).join(" · "),
  );
}

const tested = results(figure);

/** How a finished run did on examples that it never saw. @param {Run} run */
function result(run) {
  if (isMicroscope(run))
    return [
      drawing(run),
      where(run),
      `seed ${run.config.microscope.seed}`,
      run.config.microscope.source === "oracle" && "oracle draws",
    ]
      .filter(Boolean)
      .join(" · ");
  const {accuracy, loss} = tested(run);
  return [
    accuracy != null && `test accuracy ${percent(accuracy)}`,
    loss != null && `test loss ${nats(loss)}`,
  ]
    .filter(Boolean)
    .join(" · ");
}

const ATTACHED =
  "A training loop of a script of your own, which reports with gradlab.attach. The lab neither starts it nor ends it.";
