// @ts-check
/** One run in the list. */
import {exportUrl, figure} from "../api.js";
import {edit} from "../form/run-form.js";
import {h} from "../lib/h.js";
import {computed, signal} from "../lib/signal.js";
import {count, duration, rate} from "../lib/format.js";
import {icon} from "../icons.js";
import {focused, order, resample} from "../lab.js";
import {focus, show, shown} from "../state.js";
import {runSample} from "./colour.js";
import {changes, forks} from "./change.js";
import {facts} from "./facts.js";
import {openMicroscope} from "./microscope.js";
import {pending} from "./pending.js";
import {nats, percent, results} from "./results.js";
import {drawing, where} from "./swept-words.js";

/** @typedef {import("../types.js").Run} Run */
/** @typedef {import("../types.js").Status} Status */

/** @type {Record<Status, [import("../icons.js").Icon, string]>} */
const STATUS = {
  queued: ["clock", "queued"],
  running: ["play", "running"],
  paused: ["pause", "paused"],
  finished: ["check", "finished"],
  diverged: ["warning", "diverged"],
  failed: ["warning", "failed"],
  cancelled: ["stop", "cancelled"],
};

/** @type {Status[]} */
const ENDED = ["finished", "diverged", "failed", "cancelled"];

/** @type {Record<import("./pending.js").Kind, string>} what a run does that was given an order */
const FOLLOWING = {
  pause: "pausing…",
  resume: "resuming…",
  step: "stepping…",
  cancel: "cancelling…",
  delete: "deleting…",
};

/** @param {() => Run} run */
export function row(run) {
  const id = run().id;
  const microscope = isMicroscope(run());
  const isShown = computed(() => shown().includes(id));
  const isFocused = computed(() => focused()?.id === id);
  const status = computed(() => run().status);
  const error = computed(() => run().error ?? "");
  const open = signal(false);
  const steerable = computed(() => !ENDED.includes(status()) && run().kind !== "microscope");
  const forkable = computed(() => status() !== "queued" && run().kind !== "microscope");
  return h(
    "li",
    {
      class: "run",
      "data-run": id,
      "data-status": status,
      "data-kind": microscope ? "microscope" : "training",
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
            show(id, /** @type {HTMLInputElement} */ (event.target).checked),
        }),
        () => isShown() && runSample(id),
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
        h("span", {class: "run-number"}, () => `#${run().number}`),
        " ",
        microscope && [icon("lens"), " "],
        () => run().name || run().labels.driver,
      ),
      h("span", {class: "status-place", "aria-live": "polite"}, () => badge(status(), pending(id))),
    ),
    progress(run),
    h("div", {class: "run-actions"}, () => actions(status(), id, run, microscope)),
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

/** @param {Run} run */
const isMicroscope = (run) => run.kind === "microscope";

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

/** @param {Status} status @param {import("./pending.js").Kind} [order] */
function badge(status, order) {
  const [name, text] = STATUS[status];
  if (order) return h("span", {class: "status"}, icon("clock"), FOLLOWING[order]);
  return h("span", {class: `status status-${status}`}, icon(name), text);
}

/** @param {() => Run} run */
function progress(run) {
  return h(
    "div",
    {class: "run-progress"},
    h("progress", {
      max: () => run().steps || 1,
      value: () => run().step,
      "aria-label": () => `Progress of run ${run().number}`,
    }),
    h(
      "span",
      {class: "run-steps"},
      () =>
        `${count(run().step)} / ${count(run().steps)} ${isMicroscope(run()) ? "draws" : "steps"}`,
    ),
    h("span", {class: "run-rate", title: () => run().status === "queued" && SLOTS}, () =>
      pace(run()),
    ),
    h("span", {class: "run-result"}, () => result(run())),
  );
}

/** @param {Run} run */
function pace(run) {
  if (run.status === "running") return speed(run);
  if (run.status === "queued")
    return run.attempt > 0 ? "goes on at the next free slot" : "waiting for a slot";
  if (run.status === "paused") return paused(run);
  return run.seconds == null ? "" : `took ${duration(run.seconds)}`;
}

/** @param {Run} run */
function paused({seconds, set_aside}) {
  const slot = set_aside ? "its slot is free" : "in its slot";
  return seconds == null ? slot : `${slot} · ${duration(seconds)} so far`;
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

/** What the first steps cost says little about the rest. */
const FORECAST_AFTER_S = 3;

/** @param {Run} run */
function speed({rate: perSecond, seconds, eta, kind}) {
  if (!perSecond) return "";
  if (kind === "microscope") return `${count(Math.round(perSecond))} draws/s`;
  if (eta == null || (seconds ?? 0) < FORECAST_AFTER_S) return rate(perSecond);
  return `${rate(perSecond)} · ${duration(eta)} left`;
}

const SLOTS = "As many runs go at a time as the lab has slots; gradlab serve --slots N raises it.";

/** @param {Status} status @param {string} id @param {() => Run} run @param {boolean} microscope */
function actions(status, id, run, microscope) {
  const act = (
    /** @type {import("../icons.js").Icon} */ name,
    /** @type {string} */ text,
    /** @type {import("./pending.js").Kind} */ kind,
  ) =>
    h(
      "button",
      {
        type: "button",
        class: "act",
        onclick: () => order(run(), kind),
        "aria-disabled": () => [kind, "cancel"].includes(pending(id) ?? "") && "true",
        "aria-label": () => `${text} run ${run().number}`,
      },
      icon(name),
      text,
    );
  const ended = ENDED.includes(status);
  return [
    !microscope && status === "running" && act("pause", "Pause", "pause"),
    status === "paused" && act("play", "Resume", "resume"),
    status === "paused" && act("step", "Step", "step"),
    !ended && act("stop", "Cancel", "cancel"),
    microscope && does("refresh", "Resample", "with the next seed:", run, resample),
    does("lens", "Microscope", "on", run, openMicroscope),
    !microscope &&
      h(
        "button",
        {
          type: "button",
          class: "act",
          onclick: () => edit(run().config),
          "aria-label": () => `Edit a copy of run ${run().number}`,
        },
        icon("copy"),
        "Edit a copy",
      ),
    ended &&
      h(
        "a",
        {
          class: "act",
          href: exportUrl(id, "html"),
          download: "",
          "aria-label": () => `Download run ${run().number} as HTML`,
        },
        icon("down"),
        "HTML",
      ),
    ended && removal(run),
  ];
}

/**
 * @param {import("../icons.js").Icon} name @param {string} text @param {string} how
 * @param {() => Run} run @param {(run: Run) => any} act
 */
const does = (name, text, how, run, act) =>
  h(
    "button",
    {
      type: "button",
      class: "act",
      onclick: () => act(run()),
      "aria-label": () => `${text} ${how} run ${run().number}`,
    },
    icon(name),
    text,
  );

/** Deleting takes two presses: the second one says what it does. @param {() => Run} run */
function removal(run) {
  const armed = signal(false);
  return h(
    "button",
    {
      type: "button",
      class: () => (armed() ? "act danger" : "act"),
      "aria-label": () => `${armed() ? "Really delete" : "Delete"} run ${run().number}`,
      onclick: () => (armed.peek() ? order(run(), "delete") : armed.set(true)),
      onblur: () => armed.set(false),
    },
    icon("bin"),
    () => (armed() ? "Delete for good" : "Delete"),
  );
}
