// @ts-check
/** The tab of a run's settings: what it was made of, how to repeat it, where it ran, its log. */
import * as api from "../api.js";
import {icon} from "../icons.js";
import {exportLinks, SPREADSHEETS} from "../lib/export-links.js";
import {count, date, duration} from "../lib/format.js";
import {h} from "../lib/h.js";
import {computed, effect, signal, untracked} from "../lib/signal.js";
import {copy, saveBlob} from "../lib/take.js";
import {studyLink} from "../runs/study.js";

/** @typedef {import("../types.js").Run} Run */
/** @typedef {import("../types.js").RunEvent} RunEvent */

/** Lines of the log before the older ones are asked for. */
const NEWEST = 50;

/** @param {() => Run} run */
export function setup(run) {
  const {id, number, kind, study, config} = untracked(run);
  return h(
    "div",
    {class: "grid"},
    kind === "attached" ? attached(config) : recipe(config, number),
    card(
      "where",
      "Where and when",
      6,
      facts(run),
      study && h("p", null, studyLink(study)),
      h(
        "p",
        null,
        "Every point: ",
        ...exportLinks((type) => api.exportUrl(id, type)),
        h("span", {class: "quiet"}, ` ${SPREADSHEETS}`),
      ),
    ),
    card("log", "Log", 12, log(run)),
  );
}

/** @param {string} name @param {string} title @param {number} span @param {any[]} content */
function card(name, title, span, ...content) {
  const made = h(
    "section",
    {class: "card", "aria-labelledby": `setup-${name}`},
    h("h2", {id: `setup-${name}`}, title),
    content,
  );
  made.dataset.span = String(span);
  return made;
}

/** What was chosen, as a file that repeats the run. @param {any} config @param {number} number */
function recipe(config, number) {
  const yaml = signal("");
  const problem = signal("");
  api.inspectDraft(config, "").then(
    (draft) => yaml.set(draft.yaml),
    (error) => problem.set(error.message),
  );
  const name = `run-${number}.yaml`;
  const save = () => saveBlob(new Blob([yaml.peek()], {type: "application/yaml"}), name);
  return card(
    "settings",
    "Settings, and how to repeat them",
    6,
    h("p", {class: "quiet"}, "What is not listed is at its default."),
    h("p", {class: "problem", hidden: () => !problem()}, problem),
    h("pre", {tabindex: "0", role: "region", "aria-label": "Settings as YAML"}, yaml),
    h(
      "p",
      {class: "run-actions"},
      act("copy", "Copy", () => copy(yaml.peek())),
      act("down", `Save ${name}`, save),
      h("a", {class: "act", href: `/new?from=${number}`}, icon("plus"), "Duplicate & edit"),
    ),
    h("p", null, "In a terminal, with the saved file:"),
    h("pre", {tabindex: "0"}, `gradlab run ${name}`),
    h("p", null, "Its figures in a notebook:"),
    h("pre", {tabindex: "0"}, `import gradlab\n\ngradlab.show_run(${number})`),
    h(
      "details",
      null,
      h("summary", null, "All settings, those at their defaults included"),
      h("pre", {tabindex: "0"}, JSON.stringify(config, null, 2)),
    ),
  );
}

/** @param {import("../icons.js").Icon} name @param {string} text @param {() => any} onclick */
const act = (name, text, onclick) =>
  h("button", {type: "button", class: "act", onclick}, icon(name), text);

/** @param {any} config of the loop of a script */
const attached = (config) =>
  card(
    "settings",
    "Settings",
    6,
    h("p", {class: "quiet"}, "The script trains; these are the settings of what the lab measures."),
    h("pre", {tabindex: "0"}, JSON.stringify(config, null, 2)),
  );

/** @param {() => Run} run */
function facts(run) {
  // As text, so that a report that changes nothing here draws nothing.
  const rows = computed(() => JSON.stringify(rowsOf(run())));
  return h("dl", {class: "machine-facts"}, () =>
    JSON.parse(rows()).map((/** @type {[string, string]} */ [name, value]) => [
      h("dt", null, name),
      h("dd", null, value),
    ]),
  );
}

/** @param {Run} run @returns {[string, string][]} */
function rowsOf({device, facts, attempt, created, started, finished, seconds, events}) {
  const deaths = events.filter(({kind}) => kind === "death").length;
  const versions = Object.entries(facts?.versions ?? {}).map(
    ([name, version]) => `${name} ${version}`,
  );
  /** @type {[string, string | false | null | undefined][]} */
  const rows = [
    ["Device", device],
    ["Network", facts?.parameters && `${count(facts.parameters)} weights`],
    ["Made", date(created)],
    ["Started", started && date(started)],
    ["Ended", finished && date(finished)],
    ["Time of training", seconds != null && duration(seconds)],
    ["Attempt", attempt > 1 && `${attempt}`],
    ["Deaths of its worker", deaths > 0 && `${deaths}`],
    ["Versions", versions.join(", ")],
  ];
  return rows.flatMap(([name, value]) => (value ? [[name, value]] : []));
}

/** What happened, newest first, read again when more has. @param {() => Run} run */
function log(run) {
  const {id} = untracked(run);
  const events = signal(/** @type {RunEvent[] | null} */ (null));
  const problem = signal("");
  const isWhole = signal(false);
  const news = computed(() => `${run().events.length} ${run().status}`);
  effect(() => {
    news();
    api.events(id).then(events.set, (error) => problem.set(error.message));
  });
  return [
    h("p", {class: "problem", hidden: () => !problem()}, problem),
    () => events()?.length === 0 && h("p", {class: "quiet"}, "Nothing has happened yet."),
    h("ol", {class: "log"}, () => {
      const all = (events() ?? []).toReversed();
      return (isWhole() ? all : all.slice(0, NEWEST)).map(line);
    }),
    () => {
      const more = (events()?.length ?? 0) - NEWEST;
      return (
        more > 0 &&
        !isWhole() &&
        h(
          "button",
          {type: "button", class: "plain", onclick: () => isWhole.set(true)},
          `Show older lines (${count(more)})`,
        )
      );
    },
  ];
}

/** @param {RunEvent} event */
const line = ({at, step, kind, text}) =>
  h(
    "li",
    {"data-kind": kind},
    h("time", {datetime: at}, date(at)),
    h("span", {class: "quiet"}, step == null ? "" : `step ${count(step)}`),
    h("b", null, kind),
    h("span", {class: "log-text"}, text),
  );
