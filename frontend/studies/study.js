// @ts-check
/** One study: how far it is, its figures, its table, its verdicts, and orders to it. */
import * as api from "../api.js";
import {chart} from "../charts/chart.js";
import {icon} from "../icons.js";
import {count} from "../lib/format.js";
import {h} from "../lib/h.js";
import {polled} from "../lib/polled.js";
import {computed, signal} from "../lib/signal.js";
import {go} from "../state.js";
import {orders} from "./orders.js";
import {badge, progress} from "./progress.js";
import {studyTable} from "./table.js";

/** @typedef {import("../types.js").StudyResults} StudyResults */
/** @typedef {import("../types.js").StudyFailure} StudyFailure */

/** Failures that are listed. */
const MOST = 50;
const PHASES = {timing: "timing the steps", tuning: "tuning", report: "report"};

export const title = "Study";

/** @param {{study: string}} params */
export function page({study: id}) {
  const {
    value: study,
    problem,
    read,
  } = polled(
    () => api.studyResults(id),
    ({status}) => status === "running",
  );
  const isRead = computed(() => study() !== null);
  return h(
    "div",
    {class: "centre"},
    () =>
      problem() &&
      h(
        "p",
        {class: "problem", role: "alert"},
        `${problem()}. `,
        h("a", {href: "/studies"}, "All studies"),
        " · ",
        h("a", {href: api.runsAddress(id)}, "Its runs"),
      ),
    () => isRead() && content(id, /** @type {() => StudyResults} */ (study), read),
  );
}

/** @param {string} id @param {() => StudyResults} study @param {() => Promise<void>} read */
function content(id, study, read) {
  const results = computed(() => study().results);
  const figures = computed(() => JSON.stringify(study().figures));
  return [
    head(id, study, read),
    () => failures(results().failures),
    h(
      "section",
      {"aria-labelledby": "figures-title", class: "charts"},
      h("h2", {id: "figures-title", class: "sr"}, "Figures"),
      () =>
        JSON.parse(figures()).map((/** @type {StudyResults["figures"][0]} */ figure) =>
          figureChart(id, figure),
        ),
    ),
    section("table", "Table", () => studyTable(results)),
    () =>
      results().table.rows.length > 1 && section("verdicts", "Verdicts", () => verdicts(results())),
    () =>
      study().document.tuning != null &&
      section("choices", "Tuned values", () => choices(results())),
  ];
}

/** @param {string} name @param {string} title @param {() => any} body */
const section = (name, title, body) =>
  h(
    "section",
    {id: name, "aria-labelledby": `${name}-title`},
    h("div", {class: "section-head"}, h("h2", {id: `${name}-title`}, title)),
    body(),
  );

/** @param {string} id @param {() => StudyResults} study @param {() => Promise<void>} read */
function head(id, study, read) {
  const status = computed(() => study().status);
  const failed = () => study().results.failures.length;
  document.title = `${study().name} · Gradient Lab`;
  return h(
    "section",
    {class: "study-head", "aria-labelledby": "study-name"},
    h(
      "div",
      {class: "section-head"},
      h("h1", {id: "study-name"}, () => study().name),
      h("span", {class: "status-place", role: "status"}, () => badge(status())),
      h("span", {class: "quiet"}, () => `phase: ${PHASES[study().phase]}`),
      h("a", {href: api.runsAddress(id)}, "Its runs"),
    ),
    progress(() => ({...study(), failed: failed()})),
    orders(id, study, read),
  );
}

/** The runs that ended without a result, and why. @param {StudyFailure[]} failed */
function failures(failed) {
  if (failed.length === 0) return null;
  const more = failed.length - MOST;
  return h(
    "section",
    {class: "study-failures", "aria-labelledby": "failures-title"},
    h("h2", {id: "failures-title"}, icon("warning"), ` What failed: ${count(failed.length)}`),
    h(
      "ul",
      null,
      failed
        .slice(0, MOST)
        .map((failure) =>
          h(
            "li",
            null,
            h("a", {href: api.runsAddress("", [failure.run])}, `Run ${failure.number}`),
            ` ${placeOf(failure)}: ${failure.reason}`,
          ),
        ),
    ),
    more > 0 && h("p", {class: "quiet"}, `${count(more)} more are in the table.`),
  );
}

/** @param {StudyFailure} failure */
const placeOf = ({variant, phase, value, seed}) =>
  [variant, phase !== "report" && phase, value != null && `at ${value}`, `seed ${seed}`]
    .filter(Boolean)
    .join(", ");

/** @param {string} id @param {StudyResults["figures"][0]} figure */
const figureChart = (id, {name, title, help, reading}) =>
  chart({
    key: name,
    figure: name,
    title,
    help: `${help} ${reading}`,
    ask: () => ({runs: ""}),
    fetch: (figure, _ask, signal) => api.studyFigure(id, figure, signal),
    runs: () => [],
    dataUrl: null,
    concerns: () => false,
    size: "tall",
    links: {
      address: (runs) => api.runsAddress("", runs),
      open: (runs) => go(api.runsAddress("", runs)),
    },
  });

/** @param {StudyResults["results"]} results */
function verdicts({table, leaderboard}) {
  const said = table.rows.flatMap(({verdict}) => verdict?.sentence ?? []);
  // The leaderboard's sentence has the verdict on its first place in it.
  const others = [...new Set(said)].filter((one) => !leaderboard.sentence.includes(one));
  const all = [leaderboard.sentence, ...others].filter(Boolean);
  if (all.length === 0) return h("p", {class: "quiet"}, "Too early to say: no seed is paired yet.");
  return h(
    "ul",
    {class: "verdicts"},
    all.map((sentence) => h("li", null, sentence)),
  );
}

/** What was chosen for each variant, and what must be said of it. @param {StudyResults["results"]} results */
function choices({choices}) {
  const all = Object.entries(choices);
  if (all.length === 0) return h("p", {class: "quiet"}, "No tuning run has ended yet.");
  return h(
    "ul",
    {class: "choices"},
    all.map(([label, choice]) =>
      h(
        "li",
        null,
        choice.at_edge && icon("warning"),
        h("b", null, label),
        [
          choice.value != null && ` ${choice.field} ${choice.value}`,
          choice.also != null && ` ${choice.also_field} ${choice.also}`,
        ]
          .filter(Boolean)
          .join(","),
        choice.note && `: ${choice.note}`,
      ),
    ),
  );
}
