// @ts-check
/** What can be done from everywhere, by a key or from the command palette. */
import {focused, order, pageRun, toggle} from "./lab.js";
import {bindKey} from "./keys.js";
import {PAGES} from "./pages.js";
import {tab} from "./router.js";
import {hasEnded} from "./runs/pending.js";
import {TAB_NAMES} from "./run/tab-names.js";
import {go, parameter} from "./state.js";

/**
 * @typedef {object} Command
 * @property {string} keys as they are pressed: "n", or "g h"; "" for none
 * @property {string} title a verb first
 * @property {() => boolean | void} act
 * @property {() => boolean} [applies] whether it is possible now; always if it does not say
 */

/** The run that commands are about. */
const run = () => pageRun() ?? focused();
const isTrained = () => run()?.kind === "training";

/** @type {Command[]} */
export const COMMANDS = [
  ...PAGES.flatMap(({pattern, name, key}) =>
    name ? [{keys: `g ${key}`, title: `Go to ${name}`, act: () => go(pattern)}] : [],
  ),
  {keys: "n", title: "Configure a new run", act: () => go("/new")},
  {
    keys: " ",
    title: "Pause or resume the run",
    act: () => toggle(/** @type {any} */ (run())),
    applies: () => ["running", "paused"].includes(run()?.status ?? ""),
  },
  {
    keys: ".",
    title: "Let the paused run make one step",
    act: () => void order(/** @type {any} */ (run()), "step"),
    applies: () => run()?.status === "paused",
  },
  {
    keys: "d",
    title: "Duplicate and edit the run",
    act: () => go(`/new?from=${run()?.number}`),
    applies: isTrained,
  },
  {
    keys: "m",
    title: "Look at the run with the microscope",
    act: () => go(`/runs/${run()?.number}/microscope`),
    applies: isTrained,
  },
  {
    keys: "",
    title: "Cancel the run",
    act: () => void order(/** @type {any} */ (run()), "cancel"),
    applies: () => run() !== undefined && !hasEnded(run()?.status ?? ""),
  },
  {keys: "]", title: "Next tab of the run", act: () => moveTab(1), applies: hasTabs},
  {keys: "[", title: "Previous tab of the run", act: () => moveTab(-1), applies: hasTabs},
  {keys: "j", title: "Next layer of the measures", act: () => moveLayer(1)},
  {keys: "k", title: "Previous layer of the measures", act: () => moveLayer(-1)},
  {keys: "x", title: "Next horizontal axis", act: nextAxis},
  {keys: "t", title: "Show the chart under the pointer as a table", act: toggleTable},
];

/** Bind the keys of all commands. */
export function bindCommands() {
  for (const {keys, act, applies} of COMMANDS)
    if (keys) bindKey(keys, () => (applies && !applies() ? false : act()));
}

function hasTabs() {
  return pageRun() !== undefined;
}

/** @param {number} by */
function moveTab(by) {
  const at = Math.max(0, TAB_NAMES.indexOf(tab()));
  const next = TAB_NAMES[(at + by + TAB_NAMES.length) % TAB_NAMES.length];
  const {number} = /** @type {import("./types.js").Run} */ (pageRun());
  go(next ? `/runs/${number}/${next}` : `/runs/${number}`);
}

/** @param {number} by */
function moveLayer(by) {
  const rows = /** @type {{stage: string}[]} */ (run()?.facts?.layers ?? []);
  const stages = ["", ...new Set(rows.map(({stage}) => stage))];
  const layer = parameter("layer");
  const at = Math.max(0, stages.indexOf(layer()));
  layer.set(stages[(at + by + stages.length) % stages.length]);
}

/** Choose the next entry of the control that says what charts are drawn over. */
function nextAxis() {
  const labels = /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(".pick label"));
  const label = [...labels].find(({textContent}) => textContent === "Horizontal axis");
  const select = label?.parentElement?.querySelector("select");
  if (!select) return false;
  select.selectedIndex = (select.selectedIndex + 1) % select.options.length;
  select.dispatchEvent(new Event("change", {bubbles: true}));
}

/** Show numbers in the place of the chart under the pointer, or that has the focus. */
function toggleTable() {
  const chart = document.querySelector("figure.chart:hover, figure.chart:focus-within");
  if (!chart) return false;
  chart.dispatchEvent(new Event("toggletable"));
}
