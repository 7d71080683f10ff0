// @ts-check
/** A study: its runs alone in the list, all of them in its figures, and the way in and out. */
import * as api from "../api.js";
import {counted} from "../lib/format.js";
import {h} from "../lib/h.js";
import {effect, signal, untracked} from "../lib/signal.js";
import {shown, study, visit} from "../state.js";
import {listed, ofStudy, readShown, readStudy} from "./known-runs.js";

const name = signal("");
const problem = signal("");

/** Read the study that the address names, whenever it names another one. */
export function followStudy() {
  effect(() => {
    const id = study();
    // The list of runs replaces what is known of runs, so it comes first.
    if (id && listed()) untracked(() => read(id));
  });
  addEventListener("popstate", () => void readShown());
}

/** @param {string} id */
async function read(id) {
  name.set("");
  problem.set("");
  try {
    const found = await readStudy(id);
    if (study.peek() === id) name.set(found);
  } catch (error) {
    if (study.peek() !== id) return;
    const gone = error instanceof api.Refusal && [404, 422].includes(error.status);
    problem.set(gone ? `There is no study ${id} in this lab.` : String(error));
  }
}

/** What stands above the list of runs while a study is looked at. */
export const studyHead = () =>
  study() !== "" &&
  h(
    "section",
    {class: "study", "aria-labelledby": "study-name"},
    h(
      "div",
      {class: "section-head"},
      h("h2", {id: "study-name"}, () => `Study ${name()}`),
      h("span", {class: "quiet"}, () => counted(ofStudy().length, "run")),
      h("a", {href: () => api.studyAddress(study())}, "Its table and verdicts"),
      h(
        "button",
        {type: "button", class: "plain", onclick: showAll},
        "Show all runs of this study",
      ),
      h("button", {type: "button", class: "plain", onclick: leave}, "Leave the study"),
    ),
    h("p", {class: "problem", role: "status", hidden: () => !problem()}, problem),
  );

const showAll = () => visit(() => shown.set(ofStudy().map((run) => run.id)));

const leave = () => visit(() => study.set(""));

/** The way from a run to the page of its study. @param {string} id */
export const studyLink = (id) => h("a", {href: api.studyAddress(id)}, "Its study");
