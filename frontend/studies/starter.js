// @ts-check
/** A study's file, pasted or opened: checked by the lab while it is written, then started. */
import * as api from "../api.js";
import {counted} from "../lib/format.js";
import {h} from "../lib/h.js";
import {signal} from "../lib/signal.js";
import {sentence} from "../form/node.js";
import {go} from "../state.js";

const TYPED_MS = 400;
/** As many characters as the lab reads. */
const LONGEST = 1_000_000;
const EXAMPLE = `name: exact or forward
base:
  dataset: {name: digits}
  network: {name: mlp, width: 32}
  estimator: {name: backprop}
  steps: 300
methods:
  - {label: backprop}
  - {label: forward gradient, config: {estimator: {name: forward_gradient}}}
tuning: {values: [0.01, 0.1, 1], seeds: [100], steps: 100}
seeds: [0, 1, 2]
baseline: backprop
`;

/** The text of a study that another page hands over. */
let handedOver = "";

/** Let the page of studies begin with this text. @param {string} text */
export const leaveForStudies = (text) => (handedOver = text);

/** @typedef {{problems: string[], valid: string, busy: boolean}} Answer */

/** @type {Answer} */
const ASKING = {problems: [], valid: "", busy: true};

export function starter() {
  const answer = signal(ASKING);
  /** The last text that was sent; an older answer says nothing. */
  let asked = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let typing;
  const text = h("textarea", {
    id: "study-text",
    rows: "14",
    spellcheck: "false",
    autocomplete: "off",
    "aria-describedby": "study-answer",
    "aria-invalid": () => answer().problems.length > 0 && "true",
    value: handedOver || EXAMPLE,
    oninput: () => {
      asked += 1;
      answer.set(ASKING);
      clearTimeout(typing);
      typing = setTimeout(check, TYPED_MS);
    },
  });
  const file = h("input", {
    id: "study-file",
    type: "file",
    accept: ".yaml,.yml,.json",
    onchange: () => file.files?.[0] && open(file.files[0]),
  });

  /** @param {File} chosen */
  async function open(chosen) {
    if (chosen.size > 4 * LONGEST) return refuse(`${chosen.name} is too large for a study.`);
    text.value = await chosen.text();
    file.value = ""; // the same file, once it is mended, is news
    await check();
  }

  /** @param {string} problem */
  const refuse = (problem) => answer.set({problems: [problem], valid: "", busy: false});

  async function check() {
    clearTimeout(typing);
    const mine = (asked += 1);
    answer.set(ASKING);
    const now = await api.checkStudy(text.value).then(
      ({variants, cells}) => ({
        problems: [],
        valid: `Valid: ${counted(variants.length, "variant")}, ${counted(cells, "run")}.`,
        busy: false,
      }),
      refused,
    );
    if (mine === asked) answer.set(now);
  }

  async function start(/** @type {Event} */ event) {
    event.preventDefault();
    clearTimeout(typing);
    const mine = (asked += 1);
    answer.set(ASKING);
    try {
      const {id} = await api.startStudy(text.value);
      go(api.studyAddress(id));
    } catch (error) {
      if (mine !== asked) return;
      answer.set(refused(error));
      text.focus();
    }
  }
  handedOver = "";
  void check();
  return h(
    "section",
    {"aria-labelledby": "start-title"},
    h("div", {class: "section-head"}, h("h2", {id: "start-title"}, "Start a study")),
    h(
      "form",
      {class: "study-starter", onsubmit: start, ondragover: accept, ondrop: drop},
      h("label", {for: "study-text"}, "The study, in YAML or JSON"),
      text,
      h("label", {for: "study-file"}, "Or open a file"),
      file,
      h("div", {id: "study-answer", role: "status"}, () => [
        answer().busy && h("p", {class: "quiet"}, "Checking …"),
        answer().valid && h("p", {class: "quiet"}, answer().valid),
        answer().problems.map((problem) => h("p", {class: "problem"}, problem)),
      ]),
      h(
        "button",
        {type: "submit", class: "primary", disabled: () => answer().problems.length > 0},
        "Start the study",
      ),
    ),
  );

  /** @param {DragEvent} event */
  function accept(event) {
    if (event.dataTransfer?.types.includes("Files")) event.preventDefault();
  }

  /** @param {DragEvent} event */
  function drop(event) {
    const [dropped] = event.dataTransfer?.files ?? [];
    if (!dropped) return;
    event.preventDefault();
    void open(dropped);
  }
}

/** @param {unknown} error @returns {Answer} */
function refused(error) {
  if (error instanceof api.Refusal && error.problems.length > 0) {
    const problems = error.problems.map(({loc, msg}) =>
      sentence([loc.join("."), msg].filter(Boolean).join(": ")),
    );
    return {problems, valid: "", busy: false};
  }
  const message = error instanceof Error ? error.message : String(error);
  return {problems: message.split("\n").map(sentence), valid: "", busy: false};
}
