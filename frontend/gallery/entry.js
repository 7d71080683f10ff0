// @ts-check
/** One entry of the gallery: its words, what was measured beside what was published, its figures. */
import * as api from "../api.js";
import {chart} from "../charts/chart.js";
import {icon} from "../icons.js";
import {date} from "../lib/format.js";
import {h} from "../lib/h.js";
import {polled} from "../lib/polled.js";
import {computed, signal, untracked} from "../lib/signal.js";
import {say} from "../lib/take.js";
import {go, parameter} from "../state.js";
import {announce} from "../stream.js";
import {badge, progress} from "../studies/progress.js";
import {comparison} from "./comparison.js";
import {about, duration} from "./words.js";

/** @typedef {import("../types.js").GalleryEntry} GalleryEntry */
/** @typedef {import("../types.js").GalleryFigure} GalleryFigure */

/** The study that is shown; "" for the newest. */
const chosen = parameter("study");

export const title = "Gallery";

/** @param {{entry: string}} params */
export function page({entry: name}) {
  const {
    value: entry,
    problem,
    read,
  } = polled(
    () => api.galleryEntry(name, chosen()),
    ({newest}) => newest?.status === "running",
  );
  const isRead = computed(() => entry() !== null);
  return h(
    "div",
    {class: "centre"},
    () =>
      problem() &&
      h(
        "p",
        {class: "problem", role: "alert"},
        `${problem()}. `,
        h("a", {href: "/gallery"}, "All entries"),
      ),
    () => isRead() && content(/** @type {() => GalleryEntry} */ (entry), read),
  );
}

/** @param {() => GalleryEntry} entry @param {() => Promise<void>} read */
function content(entry, read) {
  // The words of an entry never change: what is measured is read in the parts that show it.
  const {name, title, question, paper, claim} = untracked(entry);
  document.title = `${title} · Gallery · Gradient Lab`;
  const study = computed(() => entry().study);
  const figures = computed(() => JSON.stringify(entry().figures));
  const comparisons = computed(() => JSON.stringify(entry().comparisons));
  return [
    h(
      "section",
      {class: "gallery-head", "aria-labelledby": "entry-title"},
      h(
        "p",
        {class: "quiet"},
        h("a", {href: "/gallery"}, "Gallery"),
        " · ",
        h("a", {href: `https://arxiv.org/abs/${paper.arxiv}`, rel: "noreferrer"}, paper.citation),
      ),
      h("h1", {id: "entry-title"}, title),
      h("p", null, question),
      claim && h("p", null, h("b", null, "The paper: "), claim.text, ` (${claim.read})`),
      starter(name, entry, read),
      () => state(entry()),
    ),
    () =>
      JSON.parse(comparisons()).map((/** @type {any} */ one) =>
        comparison(one, entry().not_the_same),
      ),
    differences(entry),
    h(
      "section",
      {"aria-labelledby": "figures-title", class: "charts"},
      h("h2", {id: "figures-title", class: "sr"}, "Figures"),
      () =>
        study()
          ? JSON.parse(figures()).map((/** @type {GalleryFigure} */ f) => figure(study(), f))
          : [],
    ),
  ];
}

/** @param {string} name @param {() => GalleryEntry} entry @param {() => Promise<void>} read */
function starter(name, entry, read) {
  const full = signal(false);
  const busy = signal(false);
  const problem = signal("");
  const length = () => (full() ? "full" : "short");
  const isRunning = () => ["running", "paused"].includes(entry().newest?.status ?? "");

  async function start() {
    if (busy.peek()) return;
    busy.set(true);
    problem.set("");
    try {
      await api.startEntry(name, length());
      chosen.set("");
      say("The experiment was started.");
      await read();
    } catch (error) {
      problem.set(/** @type {Error} */ (error).message);
    } finally {
      busy.set(false);
    }
  }
  return [
    h(
      "div",
      {class: "gallery-start"},
      h(
        "button",
        {
          type: "button",
          class: "primary",
          "aria-disabled": () => String(busy() || isRunning()),
          "aria-describedby": "gallery-about",
          onclick: () => !isRunning() && start(),
        },
        icon("play"),
        () =>
          entry().newest?.status === "paused"
            ? "Paused: resume it on the page of its study"
            : isRunning()
              ? "Running"
              : `Run (about ${duration(entry().minutes[length()])})`,
      ),
      h(
        "label",
        {class: "gallery-length"},
        h("input", {
          type: "checkbox",
          checked: full,
          onchange: (/** @type {Event} */ event) =>
            full.set(/** @type {HTMLInputElement} */ (event.target).checked),
        }),
        " Full length",
      ),
      h("span", {class: "quiet", id: "gallery-about"}, () => about(entry())),
    ),
    h("p", {class: "problem", role: "alert", hidden: () => !problem()}, problem),
  ];
}

/** The study that is shown, and the way to the others. @param {GalleryEntry} entry */
function state({studies, study, newest}) {
  const shown = studies.find(({id}) => id === study);
  if (!shown) return h("p", {class: "quiet"}, "Not run here yet.");
  return [
    h(
      "div",
      {class: "gallery-state"},
      h("span", {class: "status-place", role: "status"}, badge(shown.status)),
      progress(() => shown),
      h(
        "a",
        {href: api.studyAddress(shown.id)},
        "Its study: table, tuning, runs, pause and cancel",
      ),
    ),
    studies.length > 1 &&
      h(
        "label",
        {class: "gallery-length"},
        "Shown: ",
        h(
          "select",
          {
            onchange: (/** @type {Event} */ event) => {
              const {value} = /** @type {HTMLSelectElement} */ (event.target);
              chosen.set(value === newest?.id ? "" : value);
              announce("refresh", {});
            },
          },
          studies.map(({id, created, length, stand_in}) =>
            h(
              "option",
              {value: id, selected: id === study},
              `${date(created)}, ${length} length${stand_in ? ", stand-in" : ""}`,
            ),
          ),
        ),
      ),
  ];
}

/** @param {() => GalleryEntry} entry */
function differences(entry) {
  const length = computed(
    () => entry().studies.find(({id}) => id === entry().study)?.length ?? "short",
  );
  const all = computed(() => entry().differences[length()] ?? []);
  return h(
    "section",
    {"aria-labelledby": "differences-title", hidden: () => all().length === 0},
    h("h2", {id: "differences-title"}, "What differs from the paper"),
    h("ul", {class: "gallery-differences"}, () => all().map((text) => h("li", null, text))),
  );
}

/** @param {string} study @param {GalleryFigure} placed */
const figure = (study, {key, figure, source, title, help, query}) =>
  chart({
    key,
    figure,
    title,
    help,
    ask: () => query,
    fetch: (name, ask, signal) =>
      source === "study" ? api.studyFigure(study, name, signal) : api.figure(name, ask, signal),
    runs: () => [],
    dataUrl: null,
    concerns: () => false,
    size: "tall",
    links: {
      address: (runs) => api.runsAddress("", runs),
      open: (runs) => go(api.runsAddress("", runs)),
    },
  });
