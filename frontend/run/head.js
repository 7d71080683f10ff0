// @ts-check
/** The head of a run's page: its name, what it does, what can be done with it, and its recipe. */
import {h} from "../lib/h.js";
import {row} from "../runs/run-row.js";

/** @param {() => import("../types.js").Run} run */
export const head = (run) =>
  h(
    "header",
    {class: "run-page-head"},
    h("p", {class: "crumbs"}, h("a", {href: "/runs"}, "Runs"), ` / #${run().number}`),
    h("h1", null, () => run().name || run().labels.driver),
    h("ul", {class: "run-list"}, row(run)),
  );
