// @ts-check
/** What is wrong with a run and what its estimators are like, the most severe first. */
import {sample} from "../charts/line-sample.js";
import {icon} from "../icons.js";
import {count} from "../lib/format.js";
import {h} from "../lib/h.js";
import {computed, effect, onEnd, signal, untracked} from "../lib/signal.js";
import {followFindings, unbroken} from "../runs/findings.js";
import {hasEnded} from "../runs/pending.js";
import {learnShades} from "../shades.js";

/** @typedef {import("../types.js").Run} Run */
/** @typedef {import("../types.js").RunFinding} RunFinding */

/** The least time between two announcements to a screen reader, in ms. */
const ANNOUNCE_MS = 10_000;
/** @type {Record<RunFinding["where"], string>} what the link to a tab is called */
const TABS = {"": "", variance: "Why", layers: "Layers", microscope: "Microscope", setup: "Log"};
/** @type {Record<string, string>} where the kind says it better */
const PLACES = {crossing: "Plane"};

/** @param {() => Run} run */
export function findings(run) {
  const newest = followFindings(run);
  const {number} = untracked(run);
  const card = h("section", {class: "card findings", "aria-labelledby": "findings-title"});
  card.dataset.span = "3";
  const shown = steady(card, newest);
  card.append(
    h("h2", {id: "findings-title"}, "Findings"),
    h(
      "ol",
      {class: "finding-list", tabindex: "0", "aria-labelledby": "findings-title"},
      () => shown()?.map((finding) => item(finding, run)) ?? [],
    ),
    h("p", {class: "quiet", hidden: () => shown()?.length !== 0}, () => nothing(run())),
    h("p", {class: "sr", role: "status"}, spoken(newest)),
    h(
      "p",
      {class: "foot more"},
      h("span", null, "Larger batch or more draws?"),
      h("a", {class: "act tiny", href: `/runs/${number}/microscope`}, icon("lens"), "Microscope"),
    ),
  );
  return card;
}

/**
 * The list without what came while the reader points at it or is in it.
 * @param {HTMLElement} card @param {() => RunFinding[] | null} newest
 */
function steady(card, newest) {
  const shown = signal(newest());
  const isRead = () => card.matches(":hover, :focus-within") && (shown.peek()?.length ?? 0) > 0;
  const take = () => shown.set(newest());
  effect(() => {
    newest();
    untracked(() => isRead() || take());
  });
  card.addEventListener("pointerleave", take);
  card.addEventListener("focusout", () => requestAnimationFrame(() => isRead() || take()));
  return shown;
}

/** @param {RunFinding} finding @param {() => Run} run */
function item(finding, run) {
  const {title, text, severity, look, where, kind} = finding;
  if (look) learnShades({[look.colour.light]: look.colour.dark});
  const place = PLACES[kind] ?? TABS[where];
  return h(
    "li",
    {"data-severity": severity, "data-kind": kind},
    h(
      "b",
      null,
      look
        ? sample({colour: look.colour.light, dash: "", symbol: look.marker})
        : severity > 1 && h("span", {class: "finding-mark"}, icon("warning")),
      title,
    ),
    h(
      "div",
      {class: "finding-body"},
      text && h("span", null, unbroken(text)),
      h(
        "span",
        {class: "finding-links"},
        remedy(finding, run),
        place &&
          h(
            "a",
            {href: addressOf(finding, untracked(run).number), "aria-label": `${place}: ${title}`},
            place,
          ),
      ),
    ),
  );
}

/** @param {RunFinding} finding @param {number} number of the run */
const addressOf = ({where, kind, estimator}, number) =>
  `/runs/${number}/${where}` +
  (where === "variance" && kind !== "crossing" && estimator
    ? `?why=${encodeURIComponent(estimator)}`
    : "");

/** A link that does what a finding advises. @param {RunFinding} finding @param {() => Run} run */
function remedy({action}, run) {
  const {number, kind, config} = untracked(run);
  if (!action || kind === "attached") return null;
  const rate = Number(config.optimizer?.lr);
  const lower = action === "lower rate" && rate > 0;
  const words = lower ? `Duplicate & edit at ${rateText(rate / 10)}` : "Duplicate & edit";
  const query = lower ? `from=${number}&rate=${rateText(rate / 10)}` : `from=${number}`;
  return h("a", {class: "act tiny", href: `/new?${query}`}, icon("copy"), words);
}

/** @param {number} rate */
const rateText = (rate) => String(Number(rate.toPrecision(3)));

/** @param {Run} run */
const nothing = ({status, step}) =>
  hasEnded(status) || step > 0
    ? `Nothing to report until step ${count(step)}.`
    : "Findings come with the first steps.";

/** What a screen reader says: the most severe finding that is new, at most every 10 s. @param {() => RunFinding[] | null} newest */
function spoken(newest) {
  const words = signal("");
  /** @type {Set<string>} */
  const said = new Set();
  let last = -Infinity;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const titles = computed(() => JSON.stringify((newest() ?? []).map(({title}) => title)));
  const say = () => {
    timer = undefined;
    const fresh = /** @type {string[]} */ (JSON.parse(titles())).filter((each) => !said.has(each));
    if (fresh.length === 0) return;
    fresh.forEach((each) => said.add(each));
    last = performance.now();
    words.set(fresh[0]);
  };
  effect(() => {
    titles();
    untracked(
      () => (timer ??= setTimeout(say, Math.max(0, last + ANNOUNCE_MS - performance.now()))),
    );
  });
  onEnd(() => clearTimeout(timer));
  return words;
}
