// @ts-check
/** The tab of a run's settings, its log and its data. */
import {h} from "../lib/h.js";
import {untracked} from "../lib/signal.js";
import {facts} from "../runs/facts.js";

/** @param {() => import("../types.js").Run} run */
export const setup = (run) =>
  h(
    "section",
    {class: "card", "aria-labelledby": "setup-title"},
    h("h2", {id: "setup-title"}, "Setup and log"),
    facts(untracked(run).id, run),
  );
