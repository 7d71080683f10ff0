// @ts-check
/** What a run was made of and what happened to it, read when its details are opened. */
import * as api from "../api.js";
import {exportLinks, SPREADSHEETS} from "../lib/export-links.js";
import {count, date} from "../lib/format.js";
import {h} from "../lib/h.js";
import {computed, signal} from "../lib/signal.js";
import {studyLink} from "./study.js";

/** @typedef {import("../types.js").Run} Run */

/** @param {string} id @param {() => Run} run */
export function facts(id, run) {
  const events = signal(/** @type {import("../types.js").RunEvent[]} */ ([]));
  const problem = signal("");
  const words = computed(() => summary(run()));
  const config = computed(() => JSON.stringify(run().config, null, 2));
  // Not read while the facts are made, or they would be made anew at every step of the run.
  const study = computed(() => run().study ?? "");
  api.events(id).then(events.set, (error) => problem.set(error.message));
  return h(
    "div",
    {class: "facts"},
    h("p", null, words),
    () => study() && h("p", null, studyLink(study())),
    h(
      "p",
      null,
      "Every point: ",
      ...exportLinks((kind) => api.exportUrl(id, kind)),
      h("span", {class: "quiet"}, ` ${SPREADSHEETS}`),
    ),
    () => problem() && h("p", {class: "problem"}, problem()),
    h("ul", {class: "events"}, () =>
      events().map((event) =>
        h("li", null, `step ${event.step ?? "–"} · ${event.kind} · ${event.text}`),
      ),
    ),
    h("details", null, h("summary", null, "Configuration"), h("pre", {tabindex: "0"}, config)),
  );
}

/** @param {number} n */
const deaths = (n) => n > 0 && (n === 1 ? "its worker died once" : `its worker died ${n} times`);

/** @param {Run} run */
function summary({labels, device, facts, attempt, created, events}) {
  const versions = Object.entries(facts?.versions ?? {}).map(
    ([name, version]) => `${name} ${version}`,
  );
  return [
    labels.driver && `Driver ${labels.driver}`,
    labels.shadows.length > 0 &&
      `${labels.driver ? "shadows" : "Measured:"} ${labels.shadows.join(", ")}`,
    device && `on ${device}`,
    facts?.parameters && `${count(facts.parameters)} parameters`,
    attempt > 1 && `attempt ${attempt}`,
    deaths(events.filter(({kind}) => kind === "death").length),
    `made ${date(created)}`,
    ...versions,
  ]
    .filter(Boolean)
    .join(" · ");
}
