// @ts-check
/** All entries of the gallery, paper by paper, each a card with what was measured here. */
import * as api from "../api.js";
import {readAgain} from "../lib/again.js";
import {each, h} from "../lib/h.js";
import {computed, signal, untracked} from "../lib/signal.js";
import {badge, progress} from "../studies/progress.js";
import {about} from "./words.js";

/** @typedef {import("../types.js").GalleryCard} GalleryCard */

const RUNNING_MS = 2000;
const IDLE_MS = 8000;

export const title = "Gallery";

export function page() {
  const cards = signal(/** @type {GalleryCard[]} */ ([]));
  const problem = signal("");
  const isRead = computed(() => cards().length > 0);
  let before = "";
  readAgain(async () => {
    try {
      const now = await api.gallery();
      const text = JSON.stringify(now);
      if (text !== before) {
        before = text;
        cards.set(now);
      }
      problem.set("");
    } catch (error) {
      if (!(error instanceof api.Refusal)) throw error;
      problem.set(error.message);
    }
    return cards.peek().some(({newest}) => newest?.status === "running") ? RUNNING_MS : IDLE_MS;
  });
  return h(
    "div",
    {class: "centre"},
    h(
      "section",
      {"aria-labelledby": "gallery-title"},
      h("div", {class: "section-head"}, h("h1", {id: "gallery-title"}, "Gallery")),
      h(
        "p",
        {class: "quiet gallery-lead"},
        "The experiments of the papers, each started with one click. Published figures stand " +
          "beside the measured ones, with what differs between the two experiments.",
      ),
      h("p", {class: "problem", role: "alert", hidden: () => !problem()}, problem),
    ),
    // The entries never change: what was measured is read in the cards.
    () => isRead() && untracked(() => byPaper(cards()).map((some) => section(some, cards))),
  );
}

/** @param {GalleryCard[]} cards */
function byPaper(cards) {
  /** @type {Map<string, GalleryCard[]>} */
  const papers = new Map();
  for (const card of cards)
    papers.set(card.paper.key, [...(papers.get(card.paper.key) ?? []), card]);
  return [...papers.values()];
}

/** @param {GalleryCard[]} ofPaper @param {() => GalleryCard[]} cards of all papers */
function section(ofPaper, cards) {
  const {key, title, citation, arxiv} = ofPaper[0].paper;
  return h(
    "section",
    {class: "gallery-paper", "aria-labelledby": `paper-${key}`},
    h("h2", {id: `paper-${key}`}, title),
    h(
      "p",
      {class: "quiet"},
      h("a", {href: `https://arxiv.org/abs/${arxiv}`, rel: "noreferrer"}, citation),
    ),
    h(
      "ul",
      {class: "gallery-cards"},
      each(
        () => cards().filter(({paper}) => paper.key === key),
        (card) => card.name,
        one,
      ),
    ),
  );
}

/** @param {() => GalleryCard} card */
function one(card) {
  const {name, title, question, recorded} = untracked(card);
  const newest = () => card().newest;
  return h(
    "li",
    {class: "gallery-card"},
    () => (recorded || (newest()?.ended ?? 0) > 0) && thumbnail(card()),
    h("h3", null, h("a", {href: api.entryAddress(name)}, title)),
    h("p", null, question),
    h("p", {class: "quiet"}, () => about(card())),
    () =>
      recorded &&
      !newest()?.ended &&
      h("p", {class: "quiet"}, "The picture was made by this experiment on another machine."),
    () => state(newest()),
  );
}

/** @param {import("../types.js").GalleryStudy | null} newest */
const state = (newest) =>
  newest &&
  h(
    "div",
    {class: "gallery-state"},
    badge(newest.status),
    newest.status === "finished" ? ranAs(newest) : progress(() => newest),
  );

/** @param {import("../types.js").GalleryStudy} study */
const ranAs = ({length, stand_in}) =>
  h("span", {class: "quiet"}, `${length} length${stand_in ? ", on the stand-in" : ""}`);

/** The first figure as a picture; none as long as it has no results. @param {GalleryCard} card */
const thumbnail = ({name, newest}) =>
  h("img", {
    src: api.entryPictureUrl(name, `${newest?.id}-${newest?.ended}`),
    alt: "",
    width: "320",
    height: "180",
    loading: "lazy",
    onerror: (/** @type {Event} */ event) => /** @type {HTMLElement} */ (event.target).remove(),
  });
