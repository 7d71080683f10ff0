// @ts-check
/** The table of a study: a row for each variant, sorted by the column that the reader chooses. */
import {h} from "../lib/h.js";
import {computed} from "../lib/signal.js";
import {parameter} from "../state.js";

/** @typedef {import("../types.js").StudyResults} StudyResults */
/** @typedef {{text: string, key: string | number | null}} Cell `key`: what it is sorted by */

const ARROWS = {ascending: " ↑", descending: " ↓", none: ""};
/** Columns of sentences, which may wrap. */
const SENTENCES = ["notes", "verdict"];
/** The head of a column, after a "-" if the largest is first; "" for the best mean first. */
const sort = parameter("sort");

/** @param {() => StudyResults["results"]} results */
export function studyTable(results) {
  const heads = computed(() => JSON.stringify(results().words.heads));
  const words = (/** @type {"above" | "below"} */ which) =>
    h("p", {class: "quiet", hidden: () => !results().words[which]}, () => results().words[which]);
  return [
    words("above"),
    h(
      "div",
      {class: "table-view", tabindex: "0", role: "region", "aria-label": "Table of the study"},
      h(
        "table",
        {class: "study-table"},
        h(
          "thead",
          null,
          h("tr", null, () => JSON.parse(heads()).map(head)),
        ),
        h("tbody", null, () => rows(results(), sort()).map(row)),
      ),
    ),
    words("below"),
  ];
}

/** @param {string} name */
function head(name) {
  /** @returns {"ascending" | "descending" | false} */
  const order = () => (sort() === name ? "ascending" : sort() === `-${name}` && "descending");
  const next = () => (sort() === name ? `-${name}` : sort() === `-${name}` ? "" : name);
  return h(
    "th",
    {scope: "col", class: SENTENCES.includes(name) && "words", "aria-sort": order},
    h(
      "button",
      {type: "button", title: `Sort by ${name}`, onclick: () => sort.set(next())},
      name,
      h("span", {"aria-hidden": "true"}, () => ARROWS[order() || "none"]),
    ),
  );
}

/**
 * The rows in the order that is asked for; what has no value comes last.
 * @param {StudyResults["results"]} results
 * @param {string} asked
 */
export function rows({words, table}, asked) {
  const name = asked.replace(/^-/, "");
  const at = words.heads.indexOf(name);
  const metric = words.below.split(":")[0];
  const isBest = at < 0;
  const descends = isBest ? table.higher_is_better : asked.startsWith("-");
  const keyed = words.rows.map((texts, i) => ({
    texts,
    key: isBest || name === metric ? table.rows[i].mean : keyOf(texts[at]),
    columns: words.heads,
  }));
  return keyed.sort((a, b) => compare(a.key, b.key, descends));
}

/** @param {string} text */
const keyOf = (text) => {
  const number = Number.parseFloat(text);
  return text === "" || text === "–" ? null : Number.isNaN(number) ? text : number;
};

/** @param {Cell["key"]} a @param {Cell["key"]} b @param {boolean} descends */
function compare(a, b, descends) {
  if (a === null || b === null) return Number(a === null) - Number(b === null);
  const order =
    typeof a === "number" && typeof b === "number"
      ? a - b
      : String(a).localeCompare(String(b), "en", {numeric: true});
  return descends ? -order : order;
}

/** @param {{texts: string[], columns: string[]}} row */
const row = ({texts, columns}) =>
  h(
    "tr",
    null,
    texts.map((text, i) =>
      i === 0
        ? h("th", {scope: "row"}, text)
        : h("td", {class: SENTENCES.includes(columns[i]) && "words"}, text),
    ),
  );
