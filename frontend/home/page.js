// @ts-check
/** Home: the race, five papers, one's own model; and first of all the runs of who comes back. */
import * as api from "../api.js";
import {h} from "../lib/h.js";
import {computed, signal} from "../lib/signal.js";
import {runs} from "../runs/known-runs.js";
import {numbers, ownModel} from "./own-model.js";
import {papers} from "./papers.js";
import {follow} from "./race.js";
import {strip} from "./strip.js";
import {yourRuns} from "./your-runs.js";

export const title = "Home";

/** @param {Record<string, string>} [_params] of the address: it has none */
export function page(_params) {
  const answer = signal(/** @type {import("./race.js").RaceAnswer | null} */ (null));
  const problem = signal("");
  api.race().then(answer.set, (error) => problem.set(error.message));
  return h(
    "div",
    {class: "home"},
    h("p", {class: "problem", role: "alert"}, problem),
    () => {
      const read = answer();
      return read === null ? h("div", {class: "race waiting"}) : parts(read);
    },
    papers(),
    h("div", {class: "home-cards"}, ownModel(), numbers()),
  );
}

/** @param {import("./race.js").RaceAnswer} answer */
function parts(answer) {
  const race = follow(answer);
  const isRace = (/** @type {string} */ id) => answer.races.includes(id) || id === race.run()?.id;
  const others = computed(() => runs().filter(({id}) => !isRace(id)));
  const isBack = answer.others > 0;
  return [
    isBack && yourRuns(others, answer.others),
    strip(race, {heading: isBack ? "h2" : "h1", charts: !isBack}),
  ];
}
