// @ts-check
/** Five papers as cards: what each says, with a picture that the lab made, and the time it takes. */
import * as api from "../api.js";
import {duration} from "../gallery/words.js";
import {icon} from "../icons.js";
import {h} from "../lib/h.js";
import {signal} from "../lib/signal.js";

/** @typedef {import("../types.js").GalleryCard} GalleryCard */

const COUNT = 5;

/** The cards of the papers that have words of their own. @param {GalleryCard[]} cards */
const covers = (cards) =>
  cards.filter(({name, paper}) => paper.says && name === `${paper.key}-${paper.cover}`);

export function papers() {
  const shown = signal(/** @type {GalleryCard[] | null} */ (null));
  const total = signal(0);
  const problem = signal("");
  api.gallery().then(
    (cards) => {
      total.set(cards.length);
      shown.set(covers(cards));
    },
    (error) => problem.set(error.message),
  );
  return h(
    "section",
    {class: "papers", "aria-labelledby": "papers-title"},
    h(
      "div",
      {class: "section-head"},
      h("h2", {id: "papers-title"}, "Start from a paper"),
      h(
        "span",
        {class: "quiet"},
        "One click repeats its experiment here, beside what was published",
      ),
      h("a", {href: "/gallery"}, () =>
        total() ? `All ${total()} experiments` : "All experiments",
      ),
    ),
    h("p", {class: "problem", role: "alert"}, problem),
    h("ul", {class: "paper-cards"}, () => shown()?.map(card) ?? Array.from({length: COUNT}, empty)),
  );
}

const empty = () => h("li", {class: "paper-card", "aria-hidden": "true"});

/** @param {GalleryCard} entry */
const card = ({name, paper, minutes, newest}) =>
  h(
    "li",
    {class: "paper-card"},
    h("img", {
      src: api.entryPictureUrl(name, `${newest?.id}-${newest?.ended}`),
      alt: "",
      width: "320",
      height: "180",
    }),
    h(
      "div",
      null,
      h("h3", null, h("a", {href: api.entryAddress(name)}, paper.says)),
      h("p", {class: "quiet"}, paper.title),
      h(
        "p",
        {class: "paper-foot"},
        h("span", null, `${paper.authors}, ${paper.year}`),
        h("span", null, icon("clock"), duration(minutes.short)),
      ),
    ),
  );
