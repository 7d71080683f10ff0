// @ts-check
/** All studies, newest first, and the way to start another one. */
import * as api from "../api.js";
import {readAgain} from "../lib/again.js";
import {date} from "../lib/format.js";
import {each, h} from "../lib/h.js";
import {computed, signal} from "../lib/signal.js";
import {badge, progress} from "./progress.js";
import {starter} from "./starter.js";

/** @typedef {import("../types.js").ListedStudy} ListedStudy */

const MOST = 200;
const RUNNING_MS = 1000;
const IDLE_MS = 4000;

export const title = "Studies";

export function page() {
  const studies = signal(/** @type {ListedStudy[] | null} */ (null));
  const problem = signal("");
  readAgain(async () => {
    try {
      studies.set(await api.studies(MOST));
      problem.set("");
    } catch (error) {
      if (!(error instanceof api.Refusal)) throw error;
      problem.set(error.message);
    }
    return studies.peek()?.some(({status}) => status === "running") ? RUNNING_MS : IDLE_MS;
  });
  const isEmpty = computed(() => studies()?.length === 0);
  return h(
    "div",
    {class: "centre"},
    h(
      "section",
      {"aria-labelledby": "studies-title"},
      h("div", {class: "section-head"}, h("h1", {id: "studies-title"}, "Studies")),
      h("p", {class: "problem", role: "alert", hidden: () => !problem()}, problem),
      () => isEmpty() && h("p", {class: "empty"}, "No study yet. The example below is one."),
      h(
        "ul",
        {class: "study-list"},
        each(
          () => studies() ?? [],
          (study) => study.id,
          row,
        ),
      ),
      () =>
        studies()?.length === MOST &&
        h("p", {class: "quiet"}, `The newest ${MOST} studies are listed.`),
    ),
    starter(),
  );
}

/** @param {() => ListedStudy} study */
function row(study) {
  const status = computed(() => study().status);
  const {id, created} = study();
  return h(
    "li",
    {class: "study-row"},
    h("a", {href: api.studyAddress(id)}, () => study().name),
    h("span", {class: "status-place"}, () => badge(status())),
    progress(study),
    h("time", {class: "quiet", datetime: created}, date(created)),
  );
}
