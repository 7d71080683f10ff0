// @ts-check
/** One run in the list. */
import {figure} from "../api.js";
import {h} from "../lib/h.js";
import {computed, signal} from "../lib/signal.js";
import {count, duration, rate} from "../lib/format.js";
import {icon} from "../icons.js";
import {focused} from "../lab.js";
import {focus, show, shown} from "../state.js";
import {isLive} from "../stream.js";
import {runSample} from "./colour.js";
import {changes, forks} from "./change.js";
import {facts} from "./facts.js";
import {findingsLine} from "./findings.js";
import {FOLLOWING, hasEnded, pending} from "./pending.js";
import {nats, percent, results} from "./results.js";
import {actions, actionsPlace} from "./run-actions.js";
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

/** @param {() => Run} run */
export function row(run) {
  const id = run().id;
  const microscope = isMicroscope(run());
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
      h("span", {class: "status-place", "aria-live": "polite"}, () =>
        badge(status(), pending(id), isLive()),
      ),
    ),
    progress(run),
    () => origin(run()),
    findingsLine(run),
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

/** @param {Status} status @param {import("./pending.js").Kind | undefined} order @param {boolean} live */
function badge(status, order, live) {
  const [name, text] = STATUS[status];
  // What goes on while the server does not answer, the page does not know.
  if (!live && !hasEnded(status))
    return h("span", {class: "status"}, icon("clock"), `last seen ${text}`);
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

/** Whether nobody knows how many steps the loop of a script has. @param {Run} run */
const isOpenEnded = ({kind, config}) => kind === "attached" && config.steps == null;

/** Whose loop an attached run is, and what measuring it costs. @param {Run} run */
function origin({kind, config, overhead, silent, status}) {
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

/** What a run counts. @param {Run} run */
function unitOf(run) {
  if (!isMicroscope(run)) return "steps";
  return run.config.microscope.adjoint_map ? "measurements" : "draws";
}

/** @param {Run} run */
function pace(run) {
  if (!isLive() && !hasEnded(run.status)) return "";
  if (run.status === "running") return speed(run);
  if (run.status === "queued")
    return run.attempt > 0 ? "goes on at the next free slot" : "waiting for a slot";
  if (run.status === "paused") return paused(run);
  return run.seconds == null ? "" : `took ${duration(run.seconds)}`;
}

/** @param {Run} run */
function paused({kind, seconds, set_aside}) {
  const inSlot = set_aside ? "its slot is free" : "in its slot";
  const slot = kind === "attached" ? "its script waits" : inSlot;
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

const ATTACHED =
  "A training loop of a script of your own, which reports with gradlab.attach. The lab neither starts it nor ends it.";
const SLOTS = "As many runs go at a time as the lab has slots; gradlab serve --slots N raises it.";
