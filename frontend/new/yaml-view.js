// @ts-check
/** The configuration as text: written by hand, pasted, or from a file that was opened or dropped. */
import * as api from "../api.js";
import {sentence} from "../form/node.js";
import {h} from "../lib/h.js";
import {signal} from "../lib/signal.js";
import {go} from "../state.js";
import {leaveForStudies} from "../studies/starter.js";

/** @typedef {import("./draft.js").Draft} Draft */

/** As many characters as the lab reads. */
const LONGEST = 1_000_000;

/**
 * @param {Draft} draft
 * @param {() => void} done the form is filled
 */
export function yamlView(draft, done) {
  const problems = signal(/** @type {string[]} */ ([]));
  const study = signal("");
  const text = h("textarea", {
    id: "run-yaml",
    rows: "22",
    spellcheck: "false",
    autocomplete: "off",
    "aria-describedby": "run-yaml-answer",
    "aria-invalid": () => problems().length > 0 && "true",
    oninput: () => {
      problems.set([]);
      study.set("");
    },
    onkeydown: (/** @type {KeyboardEvent} */ event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      event.stopPropagation();
      void use();
    },
  });

  async function use(origin = "the YAML") {
    problems.set([]);
    study.set("");
    try {
      const {kind, config} = await api.readDraft(text.value);
      if (kind === "study") return study.set(text.value);
      const told = await api.inspectDraft(config, "");
      if (told.problems.length > 0)
        return problems.set(
          told.problems.map(({loc, msg}) =>
            sentence([loc.join("."), msg].filter(Boolean).join(": ")),
          ),
        );
      draft.fill(config, {start: origin, isNamed: Boolean(config.name)});
      done();
    } catch (error) {
      if (!(error instanceof api.Refusal || error instanceof api.Silence)) throw error;
      problems.set(error.message.split("\n").map(sentence));
    }
  }

  const element = h(
    "section",
    {class: "card yaml-view", "aria-labelledby": "run-yaml-title"},
    h("h2", {id: "run-yaml-title"}, "The run as YAML"),
    h("label", {for: "run-yaml", class: "quiet"}, "A run's configuration or a study, YAML or JSON"),
    text,
    h("div", {id: "run-yaml-answer", role: "status"}, () => [
      problems().map((problem) => h("p", {class: "problem"}, problem)),
      study() &&
        h(
          "p",
          null,
          "This is a study of methods. It is checked and started on the page of studies. ",
          [
            h(
              "button",
              {
                type: "button",
                class: "act",
                onclick: () => {
                  leaveForStudies(study());
                  go("/studies");
                },
              },
              "Go on with it there",
            ),
          ],
        ),
    ]),
    h("button", {type: "button", class: "act", onclick: () => use()}, "Use it in the form"),
  );

  return {
    element,
    /** Show what the draft is now. */
    show() {
      text.value = draft.answer.peek()?.yaml ?? "";
      problems.set([]);
      study.set("");
      text.focus();
    },
    /** @param {File} file */
    async open(file) {
      if (file.size > 4 * LONGEST) {
        problems.set([`${file.name} is too large for a run or a study.`]);
        return;
      }
      text.value = await file.text();
      await use(file.name);
    },
  };
}
