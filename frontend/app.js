// @ts-check
/** The lab's page: a form of new runs, the list of runs, and the charts of those shown. */
import * as api from "./api.js";
import {boards, studyBoard} from "./charts/board.js";
import {runForm} from "./form/run-form.js";
import {page as home} from "./home/page.js";
import {icon} from "./icons.js";
import {keysDialog} from "./keys.js";
import {figures, focused, followLab, shownRuns} from "./lab.js";
import {clock} from "./lib/format.js";
import {append, h} from "./lib/h.js";
import {computed, effect, untracked} from "./lib/signal.js";
import {announcement} from "./lib/take.js";
import {pages} from "./pages.js";
import {loadPlotly} from "./plot.js";
import {plugins} from "./plugins.js";
import {forkFromDialog, openForkFrom} from "./runs/fork-from.js";
import {microscopeDialog} from "./runs/microscope.js";
import {listed, ofStudy, total} from "./runs/known-runs.js";
import {openRuns} from "./runs/open-runs.js";
import {runList} from "./runs/run-list.js";
import {followStudy, studyHead} from "./runs/study.js";
import {access, door, enter, followFragment} from "./session.js";
import {shareButton} from "./share.js";
import {addressOf, followState} from "./state.js";
import {followTab, heard, isLive, on, openStream} from "./stream.js";
import {followTheme, themeButton} from "./theme.js";

const keys = keysDialog();

function tools() {
  return h(
    "div",
    {class: "tools"},
    () => access() === "in" && shareButton(),
    themeButton(),
    h(
      "button",
      {
        type: "button",
        class: "tool",
        "aria-label": "Help and keys",
        title: "Help and keys (?)",
        onclick: () => keys.showModal(),
      },
      "?",
    ),
  );
}

const silent = computed(() => !isLive() || access() === "silent");

const banner = () =>
  h("div", {role: "status", class: "banner-place"}, () =>
    silent()
      ? h(
          "p",
          {class: "banner"},
          icon("warning"),
          `Not live since ${clock(untracked(heard))}: the server does not answer. Nothing is lost; trying again …`,
        )
      : null,
  );

function lab() {
  const any = computed(() => shownRuns().length > 0);
  const ofAny = computed(() => ofStudy().length > 0);
  return h(
    "div",
    {class: "lab"},
    h(
      "aside",
      {class: "side", id: "new-run", "aria-label": "New run"},
      h("h2", null, "New run"),
      runForm(),
      plugins(),
    ),
    h(
      "div",
      {class: "centre"},
      studyHead,
      () => ofAny() && studyBoard({...context, runs: ofStudy, focused: () => undefined}),
      runList(),
      () => (any() ? boards(context) : listed() && total() > 0 && nothingShown()),
    ),
  );
}

/** @type {import("./charts/board.js").Context} */
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
const nothingShown = () =>
  h(
    "p",
    {class: "empty"},
    "No run is shown. Tick a run above to see its charts, or press Run to start another.",
  );

/** @param {HTMLElement} page */
function show(page) {
  append(page, [
    h("header", {class: "top"}, h("h1", null, "Gradient Lab"), pages("/"), tools()),
    banner(),
    h("main", {id: "main", tabindex: "-1"}, () =>
      access() === "in" ? home({}) : access() === "out" ? door() : null,
    ),
    h("div", {class: "said", role: "status"}, announcement),
    keys,
    microscopeDialog(),
    forkFromDialog(),
  ]);
}

followTheme();
followState();
followFragment();
followLab();
followStudy();
followTab();
on("denied", () => access.set("out"));
effect(() => {
  // Everything is read as soon as the stream is open.
  if (access() === "in") untracked(openStream);
});
const whenIdle =
  globalThis.requestIdleCallback ?? ((/** @type {() => void} */ f) => setTimeout(f, 200));
effect(() => {
  // Once the page is usable, so that Run need not wait for it; a chart asks again if this fails.
  if (access() === "in" && listed()) whenIdle(() => void loadPlotly().catch(() => undefined));
});
show(/** @type {HTMLElement} */ (document.querySelector("#page")));
enter();
