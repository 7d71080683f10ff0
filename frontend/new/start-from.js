// @ts-check
/** Where a new run can start: presets, papers of the gallery, and the lab's own runs, with a search. */
import * as api from "../api.js";
import {freshId} from "../form/node.js";
import {marker} from "../home/looks.js";
import {icon} from "../icons.js";
import {date} from "../lib/format.js";
import {h} from "../lib/h.js";
import {effect, onEnd, signal, untracked} from "../lib/signal.js";

/** @typedef {import("../types.js").Run} Run */
/** @typedef {import("../types.js").GalleryCard} GalleryCard */
/** @typedef {import("./draft.js").Draft} Draft */

const MOST_RUNS = 5;
const MOST_PAPERS = 3;
const MOST_FOUND = 8;
const TYPED_MS = 250;

/**
 * @param {Draft} draft
 * @param {(number: number | string) => void} load fill the form with a run's configuration
 */
export function startFrom(draft, load) {
  const id = freshId("start");
  const sought = signal("");
  const runs = signal(/** @type {Run[]} */ ([]));
  const cards = signal(/** @type {GalleryCard[]} */ ([]));
  const chosen = () => draft.origin()?.title ?? "";
  const fits = (/** @type {string[]} */ ...texts) =>
    texts.join(" ").toLowerCase().includes(sought().trim().toLowerCase());

  readRuns("");
  api.gallery().then(cards.set, ignoreSilence);
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  effect(() => {
    const text = sought().trim();
    clearTimeout(timer);
    if (text) timer = setTimeout(() => untracked(() => readRuns(text)), TYPED_MS);
  });
  onEnd(() => clearTimeout(timer));

  /** @param {string} search */
  function readRuns(search) {
    const limit = search ? MOST_FOUND : MOST_RUNS;
    api
      .runs({limit, search, kind: "training"})
      .then(({runs: found}) => search === sought.peek().trim() && runs.set(found), ignoreSilence);
  }

  const input = h("input", {
    id,
    type: "search",
    placeholder: "Presets, papers, runs…",
    autocomplete: "off",
    "aria-label": "Search presets, papers and runs",
    oninput: () => {
      if (input.value === "" && sought.peek() !== "") readRuns("");
      sought.set(input.value);
    },
  });
  const presets = () =>
    draft.known.presets.filter(({title, text, config}) =>
      fits(title, text, JSON.stringify(config)),
    );
  const papers = () =>
    sought()
      ? cards().filter(({title, question, paper}) =>
          fits(title, question, paper.citation, paper.title),
        )
      : cards();
  return h(
    "section",
    {class: "card start-from", "aria-labelledby": `${id}-title`},
    h("h2", {id: `${id}-title`}, "Start from"),
    h("div", {class: "find"}, icon("lens"), input),
    () =>
      list(
        "Presets",
        presets().map((preset) =>
          h(
            "button",
            {
              type: "button",
              class: "start",
              "aria-pressed": () => String(chosen() === preset.title),
              onclick: () => draft.fill(preset.config, {start: preset.title, isNamed: false}),
            },
            h("b", null, preset.title),
            h("span", {class: "marks"}, estimatorsOf(preset.config).map(marker)),
            h("span", {class: "quiet"}, preset.text),
            h("span", {class: "quiet time"}, about(preset.seconds)),
          ),
        ),
      ),
    () =>
      list(
        "Your runs",
        runs().map((run) =>
          h(
            "a",
            {
              class: "start",
              href: api.newRunFrom(run),
              "aria-current": () => chosen() === called(run) && "true",
              onclick: (/** @type {MouseEvent} */ event) => {
                if (event.ctrlKey || event.metaKey || event.shiftKey) return;
                event.preventDefault();
                load(run.number);
              },
            },
            h("b", null, called(run)),
            h("span", {class: "quiet"}, `${run.status}, ${date(run.created)}`),
          ),
        ),
      ),
    () =>
      list(
        "Papers",
        papers()
          .slice(0, sought() ? MOST_FOUND : MOST_PAPERS)
          .map(({name, title, paper}) =>
            h(
              "a",
              {class: "start", href: api.entryAddress(name)},
              h("b", null, title),
              h("span", {class: "quiet"}, paper.citation),
            ),
          ),
        !sought() &&
          cards().length > MOST_PAPERS &&
          h("a", {class: "all", href: "/gallery"}, `All ${cards().length} experiments`),
      ),
    h("p", {class: "quiet", role: "status"}, () =>
      sought() && presets().length + papers().length + runs().length === 0
        ? `Nothing fits “${sought()}”.`
        : "",
    ),
  );
}

/** The names of its estimators, without those that wrap them. @param {any} config */
const estimatorsOf = ({estimator, shadows = []}) =>
  [estimator, ...shadows].map(({name, inner}) => inner?.name ?? name);

/** @param {number} seconds */
const about = (seconds) => (seconds < 60 ? `${seconds} s` : `${Math.round(seconds / 60)} min`);

/** What a run is called where a draft starts from it. @param {Run} run */
export const called = ({number, name, labels}) => `#${number} ${name || labels.driver}`;

/** @param {string} title @param {HTMLElement[]} items @param {any} [more] */
const list = (title, items, more) =>
  items.length > 0 && [
    h("h3", {class: "quiet"}, title),
    h(
      "ul",
      {class: "starts"},
      items.map((item) => h("li", null, item)),
    ),
    more,
  ];

/** @param {unknown} error */
function ignoreSilence(error) {
  if (!(error instanceof api.Silence)) throw error; // the banner says that the lab is silent
}
