// @ts-check
/** The page of runs: the list of them, and the charts of those that are ticked. */
import * as api from "../api.js";
import {boards, studyBoard} from "../charts/board.js";
import {figures, focused, shownRuns} from "../lab.js";
import {h} from "../lib/h.js";
import {computed, effect, untracked} from "../lib/signal.js";
import {shareButton} from "../share.js";
import {addressOf, show, shown, study} from "../state.js";
import {openForkFrom} from "./fork-from.js";
import {listed, ofStudy, runs, total} from "./known-runs.js";
import {openRuns} from "./open-runs.js";
import {runList} from "./run-list.js";
import {studyHead} from "./study.js";

export const title = "Runs";

export function page() {
  showNewest();
  const any = computed(() => shownRuns().length > 0);
  const ofAny = computed(() => ofStudy().length > 0);
  return h(
    "div",
    {class: "centre"},
    studyHead,
    () => ofAny() && studyBoard({...context, runs: ofStudy, focused: () => undefined}),
    runList(shareButton()),
    () => (any() ? boards(context) : listed() && total() > 0 && nothingShown()),
  );
}

/** @type {import("../charts/board.js").Context} */
const context = {
  runs: shownRuns,
  focused,
  figures,
  fetch: api.figure,
  diagnose: api.diagnosis,
  forkFrom: openForkFrom,
  dataUrl: (run, kind) => api.exportUrl(run.id, kind),
  links: {address: addressOf, open: openRuns},
};

/** Without a choice in the address the newest run is shown. */
function showNewest() {
  let isChosen = shown.peek().length > 0 || study.peek() !== "";
  effect(() => {
    const [newest] = runs();
    if (isChosen || !listed() || !newest) return;
    isChosen = true;
    untracked(() => show(newest.id, true));
  });
}

const nothingShown = () =>
  h("p", {class: "empty"}, "No run is shown. Tick a run above to see its charts.");
