// @ts-check
/** Components of one's own: read the plug-in folder again, and see what failed there. */
import {h} from "./lib/h.js";
import {signal} from "./lib/signal.js";
import {say} from "./lib/take.js";
import {icon} from "./icons.js";
import {catalogue, refreshCatalogue} from "./lab.js";

const BUTTON = "refresh-estimators";
const busy = signal(false);
const problem = signal("");

/** Reads the folder again. */
const refreshButton = () =>
  h(
    "button",
    {
      type: "button",
      id: BUTTON,
      class: "tool",
      onclick: refresh,
      "aria-label": "Refresh",
      "aria-disabled": () => busy() && "true",
      title: "Refresh: read the plug-ins folder again",
    },
    icon("refresh"),
  );

async function refresh() {
  if (busy.peek()) return;
  busy.set(true);
  problem.set("");
  try {
    await refreshCatalogue();
    say(outcome(catalogue.peek()?.failures ?? []));
  } catch (error) {
    problem.set(error instanceof Error ? error.message : String(error));
  } finally {
    busy.set(false);
  }
  // The form was drawn anew, and what had the focus with it.
  if (document.activeElement === document.body) document.getElementById(BUTTON)?.focus();
}

/** @param {{source: string}[]} failures */
function outcome(failures) {
  if (failures.length === 0) return "The plug-in folder was read; every file in it loads.";
  const names = failures.map(({source}) => source.split("/").at(-1)).join(", ");
  return `The plug-in folder was read; ${names} failed to load. The reason is below the form.`;
}

/** Which components are one's own, and which files failed to load. */
export function plugins() {
  return h(
    "section",
    {class: "plugins", "aria-labelledby": "plugins-title"},
    h("div", {class: "plugins-head"}, h("h2", {id: "plugins-title"}, "Plug-ins"), refreshButton()),
    h("p", {class: "quiet"}, () => own(catalogue())),
    () =>
      catalogue()?.folder &&
      h("p", {class: "quiet"}, "Folder: ", h("code", null, catalogue()?.folder)),
    () => problem() && h("p", {class: "problem", role: "alert"}, problem()),
    () => (catalogue()?.failures ?? []).map(failure),
  );
}

const LISTS = /** @type {const} */ ([
  "estimators",
  "networks",
  "datasets",
  "losses",
  "optimizers",
  "schedules",
  "figures",
]);
const EMPTY =
  "Drop a Python file with an estimator, a network, a data set, a loss, an optimiser, a schedule " +
  "or a figure into the lab's plugins folder and press ↻ (Refresh): it joins " +
  "the form above, a figure the charts of a run.";

/** @param {import("./types.js").Catalogue | null} known */
function own(known) {
  /** @type {Pick<import("./types.js").Component, "title" | "source">[]} */
  const components = LISTS.map((list) => known?.[list] ?? []).flat();
  const titles = components
    .filter((component) => component.source.kind !== "builtin")
    .map((component) => component.title);
  return titles.length ? `Yours: ${titles.join(", ")}.` : EMPTY;
}

/** A file of the plug-in folder, which is named above, by its name. @param {string} source */
function called(source) {
  const folder = `${catalogue.peek()?.folder}/`;
  return source.startsWith(folder) ? source.slice(folder.length) : source;
}

/** @param {{source: string, traceback: string}} failure */
function failure({source, traceback}) {
  return h(
    "details",
    {class: "failure"},
    h("summary", null, icon("warning"), `${called(source)} failed to load`),
    h("pre", {tabindex: "0"}, traceback),
  );
}
