// @ts-check
/** The page of a new run; `?from=NUMBER` starts from the configuration of another one. */
import {edit, runForm} from "../form/run-form.js";
import {h} from "../lib/h.js";
import {effect, untracked} from "../lib/signal.js";
import {say} from "../lib/take.js";
import {plugins} from "../plugins.js";
import {listed, readRun, runs} from "../runs/known-runs.js";
import {parameter} from "../state.js";

export const title = "New run";

export function page() {
  const from = parameter("from");
  effect(() => {
    const number = from();
    if (number && listed()) untracked(() => copyOf(number));
  });
  return h(
    "section",
    {class: "centre new-run", id: "new-run", "aria-labelledby": "new-run-title"},
    h("h1", {id: "new-run-title"}, "New run"),
    runForm(),
    plugins(),
  );
}

/** @param {string} number of the run to start from */
async function copyOf(number) {
  const isThere = await readRun(number);
  const run = runs.peek().find((one) => String(one.number) === number);
  if (isThere && run) edit(run.config);
  else say(`There is no run ${number} in this lab.`);
}
