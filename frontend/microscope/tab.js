// @ts-check
/**
 * The tab of the microscope: a checkpoint of the run, an instrument, and what it showed. The
 * address says all three: `?step=` and `?instrument=`, or `?look=`, the number of a look.
 */
import * as api from "../api.js";
import {boards} from "../charts/board.js";
import {forks} from "../runs/change.js";
import {icon} from "../icons.js";
import {bindKey} from "../keys.js";
import {catalogue, complaint} from "../lab.js";
import {count} from "../lib/format.js";
import {h} from "../lib/h.js";
import {menu} from "../lib/menu.js";
import {computed, effect, signal, untracked} from "../lib/signal.js";
import {runs} from "../runs/known-runs.js";
import {hasEnded, pending} from "../runs/pending.js";
import {actions, actionsPlace} from "../runs/run-actions.js";
import {progress} from "../runs/run-row.js";
import {badge} from "../runs/run-state.js";
import {go, parameter} from "../state.js";
import {isLive} from "../stream.js";
import {checkpointRail} from "./checkpoint-rail.js";
import {contextOf} from "../run/context.js";
import {form} from "./instrument-form.js";
import {
  instrumentOf,
  instruments,
  isInstrument,
  look as startLook,
  titleOf,
} from "./instruments.js";

/** @typedef {import("../types.js").Run} Run */
/** @typedef {import("./instruments.js").Instrument} Instrument */

/** The microscopes of a run, newest first. @param {Run} run */
export const looks = (run) =>
  runs().filter(({kind, parent}) => kind === "microscope" && parent === run.id);

/** @param {() => Run} run */
export function microscopes(run) {
  const {id, number, kind} = untracked(run);
  if (kind === "attached")
    return h(
      "p",
      {class: "empty"},
      "The loop of a script keeps its weights to itself: without checkpoints the microscope has nothing to look at.",
    );
  const place = choice(run);
  const checkpoints = checkpointsOf(run);
  const busy = signal(/** @type {Instrument | ""} */ (""));
  const at = computed(() => place.step() ?? checkpoints().at(-1) ?? null);
  const shown = computed(() => shownLook(run(), at(), place)?.id ?? "");
  const shownRun = () => /** @type {Run} */ (runs().find((other) => other.id === shown()));

  /** @param {number} step */
  const choose = (step) =>
    go(`/runs/${number}/microscope?step=${step}&instrument=${place.instrument()}`);

  /** @param {number} by */
  function move(by) {
    const steps = checkpoints.peek();
    const now = steps.indexOf(untracked(at) ?? -1);
    const next = steps[Math.min(steps.length - 1, Math.max(0, now + by))];
    if (next !== undefined) choose(next);
  }
  bindKey("ArrowLeft", () => move(-1));
  bindKey("ArrowRight", () => move(1));

  /** Show what the instrument showed here, or let it look now. @param {Instrument} name */
  async function use(name) {
    const step = untracked(at);
    if (step === null || busy.peek()) return;
    go(`/runs/${number}/microscope?step=${step}&instrument=${name}`);
    if (untracked(shown)) return;
    busy.set(name);
    complaint.set("");
    try {
      await startLook(run(), step, name);
    } catch (error) {
      complaint.set(/** @type {Error} */ (error).message);
    } finally {
      busy.set("");
    }
  }

  return [
    h(
      "section",
      {class: "card", "aria-labelledby": "rail-title"},
      h(
        "div",
        {class: "section-head"},
        h("h2", {id: "rail-title"}, () =>
          at() === null ? "No checkpoint yet" : `Checkpoint of step ${count(at() ?? 0)}`,
        ),
        h("span", {class: "quiet"}, "Choose one on the loss curve, or press ← →"),
        h("div", {class: "picks"}, () =>
          at() === null
            ? null
            : menu({
                name: "act",
                button: [icon("copy"), "Fork from here…"],
                panel: () => forks(run, at() ?? undefined),
              }),
        ),
      ),
      checkpointRail({
        ...{run: id, steps: checkpoints, chosen: at, choose},
        last: computed(() => Math.max(run().steps ?? 0, checkpoints().at(-1) ?? 0)),
      }),
    ),
    h(
      "div",
      {class: "instruments", role: "group", "aria-label": "Instruments"},
      instruments(hasEquilibrium(untracked(run))).map(({name, title, question}) =>
        h(
          "button",
          {
            type: "button",
            class: "instrument",
            "aria-pressed": () => String(place.instrument() === name),
            onclick: () => use(name),
          },
          h("b", null, title),
          h("span", null, () => (busy() === name ? "Starting…" : question)),
        ),
      ),
    ),
    settings(run, at, place.instrument),
    () => shown() === "" && at() !== null && nothingYet(place.instrument(), busy, use),
    () => shown() !== "" && head(shownRun),
    () => shown() !== "" && boards(contextOf(shownRun)),
    pastLooks(run, shown),
  ];
}

/** The step and the instrument of the address; of a look, its own. @param {() => Run} run */
function choice(run) {
  const [step, instrument, look] = ["step", "instrument", "look"].map(parameter);
  const named = computed(() => looks(run()).find(({number}) => String(number) === look()));
  return {
    named,
    step: () => {
      if (step() !== "" && Number.isInteger(Number(step()))) return Number(step());
      return named()?.parent_step ?? null;
    },
    instrument: /** @type {() => Instrument} */ (
      computed(() => {
        if (isInstrument(instrument())) return instrument();
        const now = named();
        return now ? instrumentOf(now) : "draws";
      })
    ),
  };
}

/** The look of the address, else the newest at this step with this instrument. @param {Run} run @param {number | null} step @param {ReturnType<typeof choice>} place */
function shownLook(run, step, {named, instrument}) {
  const suits = (/** @type {Run} */ look) =>
    look.parent_step === step && instrumentOf(look) === instrument();
  const now = named();
  return now && suits(now) ? now : looks(run).find(suits);
}

/** The steps of a run's checkpoints, read again while it writes more. @param {() => Run} run */
function checkpointsOf(run) {
  const steps = signal(/** @type {number[]} */ ([]));
  const {id} = untracked(run);
  // A new one can only be there when the run has gone on or has ended.
  const progress = computed(() => (hasEnded(run().status) ? -1 : Math.floor(run().step / 100)));
  effect(() => {
    progress();
    api.checkpoints(id).then(
      (read) => read.join() !== steps.peek().join() && steps.set(read),
      () => undefined, // there is none before the run has begun
    );
  });
  return steps;
}

/** @param {Run} run */
const hasEquilibrium = ({config}) =>
  catalogue.peek()?.networks.find(({name}) => name === config.network?.name)?.has_equilibrium ===
  true;

/** What is drawn, how often and from which seed, before it is drawn. @param {() => Run} run @param {() => number | null} at @param {() => Instrument} instrument */
function settings(run, at, instrument) {
  const isOpen = signal(false);
  // The components that a form offers; a catalogue that is read anew makes no other form.
  const hasCatalogue = computed(() => catalogue() !== null);
  return h(
    "details",
    {
      class: "card instrument-settings",
      ontoggle: (/** @type {Event} */ event) =>
        isOpen.set(/** @type {HTMLDetailsElement} */ (event.target).open),
    },
    h("summary", null, () => `Settings of ${titleOf(instrument()).toLowerCase()}`),
    () => {
      const [step, name] = [at(), instrument()];
      if (!isOpen() || step === null || !hasCatalogue()) return null;
      const place = h("div");
      untracked(async () => {
        const {config, ...rest} = run();
        const [estimator, ...shadows] = await api
          .checkpointEstimators(rest.id, step)
          .catch(() => [config.estimator, ...config.shadows]);
        const asked = {...config, estimator, shadows, microscope: {step}};
        place.replaceChildren(form({...rest, config: asked}, name));
      });
      return place;
    },
  );
}

/** What stands where nothing was measured yet. @param {Instrument} name @param {() => string} busy @param {(name: Instrument) => any} use */
const nothingYet = (name, busy, use) =>
  h(
    "section",
    {class: "card empty", "aria-label": "Nothing measured here"},
    h("p", null, `${titleOf(name)}: nothing was measured at this checkpoint yet.`),
    h(
      "button",
      {
        type: "button",
        class: "primary",
        "aria-disabled": () => busy() !== "" && "true",
        onclick: () => use(name),
      },
      icon("lens"),
      () => (busy() === name ? "Starting…" : "Measure now"),
    ),
  );

/** What the look is doing, and what can be done with it. @param {() => Run} look */
function head(look) {
  const {id} = untracked(look);
  const status = computed(() => look().status);
  const error = computed(() => look().error ?? "");
  return h(
    "section",
    {
      class: "card run look-head",
      "aria-label": () => `Look ${look().number}`,
      "data-run": id,
      "data-kind": "microscope",
      "data-status": status,
    },
    h("b", null, () => look().name),
    h("span", {class: "status-place", "aria-live": "polite"}, () =>
      badge(status(), pending(id), isLive()),
    ),
    progress(look),
    actionsPlace(() => actions(status(), id, look, true)),
    () => error() && h("pre", {class: "problem", tabindex: "0"}, error()),
  );
}

/** @param {() => Run} run @param {() => string} shown */
const pastLooks = (run, shown) =>
  h(
    "section",
    {
      class: "card looks",
      "aria-labelledby": "looks-title",
      hidden: () => looks(run()).length === 0,
    },
    h("h2", {id: "looks-title"}, "Past looks"),
    h("ul", null, () =>
      looks(run()).map((look) =>
        h(
          "li",
          null,
          h(
            "a",
            {
              href: `/runs/${run().number}/microscope?look=${look.number}`,
              "aria-current": () => shown() === look.id && "true",
            },
            `#${look.number} ${titleOf(instrumentOf(look))} at step ${count(look.parent_step ?? 0)}`,
          ),
          h(
            "span",
            {class: "quiet"},
            ` ${count(look.config.microscope.draws)} draws, seed ${look.config.microscope.seed}, ${look.status}`,
          ),
        ),
      ),
    ),
  );
