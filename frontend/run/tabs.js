// @ts-check
/** The tabs of a run's page, each a kind of question about the run. */
import {tabBoard} from "../charts/board.js";
import {h} from "../lib/h.js";
import {untracked} from "../lib/signal.js";
import {contextOf} from "./context.js";
import {overview} from "./overview.js";
import {setup} from "./setup.js";
import {tabControls} from "./tab-names.js";
import {microscopes, looks} from "../microscope/tab.js";

/** @typedef {import("../types.js").Run} Run */
/** @typedef {{name: string, title: string, body: (run: () => Run) => any}} Tab */

/** @type {Tab[]} a name stands in the address; the first tab has none */
export const TABS = [
  {name: "", title: "Overview", body: overview},
  {name: "variance", title: "Bias & variance", body: (run) => tabBoard(contextOf(run), "variance")},
  {name: "layers", title: "Layers", body: (run) => tabBoard(contextOf(run), "layers")},
  {name: "microscope", title: "Microscope", body: microscopes},
  {name: "setup", title: "Setup & log", body: setup},
];

/** @param {() => Run} run @param {() => string} chosen */
export function tabBar(run, chosen) {
  const {number} = untracked(run);
  return h(
    "div",
    {class: "tab-row"},
    h(
      "nav",
      {class: "tabs", "aria-label": `Parts of run ${number}`},
      TABS.map(({name, title}) =>
        h(
          "a",
          {
            href: name ? `/runs/${number}/${name}` : `/runs/${number}`,
            "aria-current": () => chosen() === name && "page",
          },
          title,
          name === "microscope" &&
            (() => {
              const count = looks(run()).length;
              return count > 0 && h("span", {class: "tab-count"}, count);
            }),
        ),
      ),
    ),
    h("div", {class: "picks"}, tabControls),
  );
}
