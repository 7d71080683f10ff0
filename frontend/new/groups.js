// @ts-check
/** The settings in six groups, folded: each says its values in one line, and how many were changed. */
import {h} from "../lib/h.js";
import {signal} from "../lib/signal.js";
import {amount, hasOwnLoss, lengthWords, line, short, shortOf} from "./titles.js";

/** @typedef {import("../form/node.js").FormNode} FormNode */
/** @typedef {{title: string, parts: string[], line: (config: any) => string}} GroupEntry */

/** @type {GroupEntry[]} */
export const GROUPS = [
  {
    title: "Driver",
    parts: ["estimator", "shadows"],
    line: ({estimator, shadows}) =>
      [
        line("estimators", estimator),
        (shadows ?? []).length > 0 && `beside ${shadows.map(shortOf).join(", ")}`,
      ]
        .filter(Boolean)
        .join(", "),
  },
  {title: "Network", parts: ["network"], line: ({network}) => line("networks", network)},
  {
    title: "Data",
    parts: ["dataset", "loss"],
    line: ({dataset, loss}) =>
      [line("datasets", dataset), !hasOwnLoss(dataset) && line("losses", loss)]
        .filter(Boolean)
        .join(", "),
  },
  {title: "Optimiser", parts: ["optimizer"], line: ({optimizer}) => line("optimizers", optimizer)},
  {
    title: "Measuring",
    parts: ["probe"],
    line: ({probe}) =>
      [
        `${amount(probe?.draws, "draw")} a probe`,
        probe?.every != null ? `every ${amount(probe.every, "step")}` : share(probe?.budget),
      ].join(", "),
  },
  {
    title: "Run",
    parts: ["length", "batch_size", "seed", "device", "on_unconverged_solve"],
    line: (config) =>
      [
        lengthWords(config),
        `batch ${short(config.batch_size)}`,
        `seed ${short(config.seed)}`,
        config.device === "auto" ? "any device" : short(config.device),
      ].join(", "),
  },
];

/** @param {any} budget */
const share = (budget) =>
  typeof budget === "number"
    ? `${Number((100 * budget).toPrecision(3))} % of the time`
    : short(budget);

/** Which groups are open; kept while the form is made anew. */
const open = signal(/** @type {string[]} */ ([]));

/** @param {string} title @param {boolean} isOpen */
function setOpen(title, isOpen) {
  const others = open.peek().filter((each) => each !== title);
  open.set(isOpen ? [...others, title] : others);
}

/** The group that holds a part. @param {string} part */
export const groupOf = (part) =>
  GROUPS.find(({parts}) => parts.includes(part === "steps" || part === "epochs" ? "length" : part));

/**
 * @param {Record<string, FormNode>} nodes
 * @param {() => any} config
 * @param {() => import("./differences.js").Difference[]} differ
 * @param {() => string} twin what is said of a shadow that equals the driver
 * @param {(title: string) => void} opened told of a group that was opened
 */
export const groups = (nodes, config, differ, twin, opened) =>
  GROUPS.map((entry) => group(entry, nodes, config, differ, twin, opened));

/**
 * @param {GroupEntry} entry @param {Record<string, FormNode>} nodes @param {() => any} config
 * @param {() => import("./differences.js").Difference[]} differ @param {() => string} twin
 * @param {(title: string) => void} opened
 */
function group({title, parts, line: words}, nodes, config, differ, twin, opened) {
  const changed = () => differ().filter(({path}) => parts.includes(path.split(".")[0])).length;
  const details = h(
    "details",
    {
      class: "setting-group",
      open: open.peek().includes(title),
      ontoggle: () => {
        setOpen(title, details.open);
        if (details.open) opened(title);
      },
    },
    h(
      "summary",
      null,
      h("b", null, title),
      h("span", {class: "quiet group-line"}, () => words(config())),
      () => changed() > 0 && h("span", {class: "pill"}, `${changed()} changed`),
    ),
    h(
      "fieldset",
      {"aria-label": `${title} settings`},
      parts.map((name) => nodes[name].element),
      parts.includes("shadows") && h("p", {class: "note warning", role: "status"}, twin),
    ),
  );
  return details;
}
