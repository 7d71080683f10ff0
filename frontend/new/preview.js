// @ts-check
/** What will run: how many runs of what size, about how long, the same as YAML, and the button. */
import {icon} from "../icons.js";
import {count, duration} from "../lib/format.js";
import {h} from "../lib/h.js";
import {computed} from "../lib/signal.js";
import {copy} from "../lib/take.js";
import {starting} from "./form.js";
import {amount, lengthWords} from "./titles.js";

/** @typedef {import("./draft.js").Draft} Draft */
/** @typedef {import("./form.js").SettingsForm} SettingsForm */

/** @param {number} n */
const startingWords = (n) => (n === 0 ? "" : n === 1 ? "Starting 1 run…" : `Starting ${n} runs…`);

/** @param {Draft} draft @param {SettingsForm} form */
export function preview(draft, form) {
  const runs = computed(() => draft.answer()?.runs ?? 1);
  const isStudy = computed(() => Object.keys(draft.answer()?.varied ?? {}).length > 0);
  return h(
    "section",
    {class: "card preview", "aria-labelledby": "preview-title"},
    h("h2", {id: "preview-title"}, "What will run"),
    h("p", {class: "what", role: "status"}, () => sentence(draft)),
    form.name,
    h("dl", {class: "sizes"}, () => facts(draft, form)),
    h(
      "div",
      {role: "alert"},
      () => form.wrong() > 0 && problems(form.wrong(), form.visitProblem),
      form.lines,
    ),
    h("p", {class: "quiet starting", role: "status"}, () => startingWords(starting())),
    h(
      "button",
      {class: "primary go", type: "submit"},
      icon("play"),
      () => (isStudy() ? "Run the study" : "Run"),
      h("kbd", {"aria-hidden": "true"}, "Ctrl ↵"),
    ),
    () =>
      isStudy() &&
      h(
        "button",
        {type: "button", class: "plain", onclick: () => form.begin(true)},
        `Only the first of ${runs()} runs`,
      ),
    yaml(draft),
  );
}

/** @param {Draft} draft */
function sentence({answer, now}) {
  const told = answer();
  const fields = Object.entries(told?.varied ?? {});
  if (!told || fields.length === 0) return `One run of ${lengthWords(now())}.`;
  const sizes = fields.map(([path, n]) => `${n} ${called(path)}`).join(" × ");
  return `A study of ${count(told.runs)} runs: ${sizes}.`;
}

/** A field as several of it are called: seeds, learning rates. @param {string} path */
function called(path) {
  const name = path.split(".").at(-1)?.replaceAll("_", " ") ?? path;
  if (name === "lr") return "learning rates";
  return name.endsWith("s") ? name : `${name}s`;
}

/** @param {Draft} draft @param {SettingsForm} form */
function facts({answer, origin, known}, form) {
  const told = answer();
  if (!told) return null;
  const preset = known.presets.find(({title}) => title === origin()?.title);
  const {seconds, basis, weights, layers, runs, slots} = told;
  const several = runs > 1 ? ` on ${amount(slots, "worker")}` : "";
  const time =
    seconds !== null
      ? [h("b", null, duration(seconds)), `${several}, ${basis}`]
      : preset && form.differ().length === 0
        ? [h("b", null, duration(preset.seconds)), " on 2 cores, as it was measured elsewhere"]
        : [`${basis}.`];
  return [
    fact("About", time),
    weights !== null &&
      fact("Network", [
        h("b", null, count(weights)),
        ` weights in ${amount(layers ?? 0, "layer")}`,
      ]),
  ];
}

/** @param {string} title @param {any[]} content */
const fact = (title, content) => h("div", null, h("dt", null, title), h("dd", null, content));

/** @param {number} number @param {() => void} onclick */
const problems = (number, onclick) =>
  h(
    "button",
    {type: "button", class: "form-problems", onclick},
    icon("warning"),
    number === 1 ? "1 field needs attention" : `${number} fields need attention`,
  );

/** @param {Draft} draft */
const yaml = ({answer}) =>
  h(
    "details",
    {class: "yaml", open: matchMedia("(width >= 720px)").matches},
    h("summary", null, "The same as YAML"),
    h("pre", {tabindex: "0", role: "region", "aria-label": "YAML"}, () => answer()?.yaml ?? ""),
    h(
      "button",
      {type: "button", class: "act", onclick: () => copy(answer.peek()?.yaml ?? "")},
      icon("copy"),
      "Copy",
    ),
  );
