// @ts-check
/** What can be done with a run: buttons that say what they do, and when they wait. */
import {exportUrl} from "../api.js";
import {icon} from "../icons.js";
import {microscopeAddress, order, remove, resample} from "../lab.js";
import {append, h} from "../lib/h.js";
import {effect} from "../lib/signal.js";
import {FOLLOWING, hasEnded, isFinal, pending} from "./pending.js";

/** @typedef {import("../types.js").Run} Run */
/** @typedef {import("../types.js").Status} Status */

/** Whether an order counts no more: a run follows it already, or ends. A step more always counts. */
const isGiven = (
  /** @type {import("./pending.js").Kind | undefined} */ before,
  /** @type {import("./pending.js").Kind} */ kind,
) => (before === kind && kind !== "step") || isFinal(before);

const capital = (/** @type {string} */ text) => text[0].toUpperCase() + text.slice(1);

/** @type {Record<string, string>} where the focus goes when an action has done its work */
const NEXT = {pause: "resume", resume: "pause", step: "pause"};

/** The place of a run's actions: the focus outlives those that a change of status takes away. @param {() => any} actions */
export function actionsPlace(actions) {
  const place = h("div", {class: "run-actions"});
  /** The action that the reader went to; what the focus fell back on is not one. */
  let pressed = "";
  const button = (/** @type {string} */ act) =>
    /** @type {HTMLElement | null} */ (place.querySelector(`[data-act="${act}"]`));
  place.addEventListener("focusin", ({target}) => {
    pressed = /** @type {Element} */ (target).getAttribute("data-act") ?? "";
  });
  effect(() => {
    const had = place.contains(document.activeElement);
    const act = pressed;
    const fresh = new DocumentFragment();
    append(fresh, actions());
    place.replaceChildren(fresh);
    if (!had) return;
    const next =
      button(act) ?? button(NEXT[act]) ?? place.parentElement?.querySelector(".run-name, h1");
    /** @type {HTMLElement | null | undefined} */ (next)?.focus();
    pressed = act;
  });
  return place;
}

/** @param {Status} status @param {string} id @param {() => Run} run @param {boolean} microscope */
export function actions(status, id, run, microscope) {
  // Its loop is its script's: the lab has neither its configuration nor its checkpoints.
  const attached = run().kind === "attached";
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
        "data-act": kind,
        "aria-disabled": () => isGiven(pending(id), kind) && "true",
        "aria-label": () => `${text} run ${run().number}`,
      },
      icon(name),
      () => (pending(id) === kind ? capital(FOLLOWING[kind]) : text),
    );
  const ended = hasEnded(status);
  return [
    !microscope && status === "running" && act("pause", "Pause", "pause"),
    status === "paused" && act("play", "Resume", "resume"),
    status === "paused" && act("step", "Step", "step"),
    !ended && act("stop", "Cancel", "cancel"),
    microscope && does("refresh", "Draw again", "with the next seed:", run, resample),
    !microscope && !attached && lens(run),
    !microscope &&
      !attached &&
      h(
        "a",
        {
          class: "act",
          href: () => `/new?from=${run().number}`,
          "aria-label": () => `Duplicate and edit run ${run().number}`,
        },
        icon("copy"),
        "Duplicate & edit",
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
      "aria-label": () => [text, how, `run ${run().number}`].filter(Boolean).join(" "),
    },
    icon(name),
    text,
  );

/** The way to the microscope on a run. @param {() => Run} run */
const lens = (run) =>
  h(
    "a",
    {
      class: "act",
      href: () => microscopeAddress(run()),
      "aria-label": () => `Microscope on run ${run().number}`,
    },
    icon("lens"),
    "Microscope",
  );

/** @param {() => Run} run */
const removal = (run) => does("bin", "Delete", "", run, remove);
