// @ts-check
/** Estimators compared with one of them: by probes of a run, by seeds, or at a checkpoint. */
import {h} from "../lib/h.js";
import {computed, signal} from "../lib/signal.js";
import {layer} from "../state.js";
import {chart} from "./chart.js";
import {MEASURES} from "./measures.js";
import {labelled, pick} from "./pick.js";

/** @typedef {import("../types.js").Run} Run */

const HELP =
  "A measure's mean difference to the reference, with its 95 % interval; hollow where it holds zero. One run: the probes of both at the same weights and batch are pairs, and the interval is of the mean over these probes. Runs of five or more seeds: a seed is a pair, and the interval speaks of other seeds too. A microscope: both at one checkpoint, the noise of each its own.";
const FINAL = [
  ["test/accuracy", "Test accuracy, by driver"],
  ["test/loss", "Test loss, by driver"],
];

/**
 * @param {import("./board.js").Shared} shared
 * @param {() => string} ids the run in focus first
 * @param {boolean} [trained] whether runs are compared by what they end with, too
 */
export function paired(shared, ids, trained = false) {
  const metric = signal("scaled_error");
  const reference = signal("");
  const options = [
    ...MEASURES.map((one) => [one.metrics[0], one.title]),
    ...(trained ? FINAL : []),
  ];
  // As text, so that a run's reports leave the choice as it is.
  const labels = computed(() => labelsOf(shared.runs()).join("\n"));
  const asked = () => (labels().split("\n").includes(reference()) ? reference() : "");
  return chart({
    ...shared,
    key: "paired",
    figure: "paired",
    title: "Paired comparison",
    help: HELP,
    wide: true,
    tall: true,
    controls: () => [
      pick("Measure", metric, options),
      () => against(labels().split("\n"), asked(), reference),
    ],
    concerns: (name, where) => name === metric() && (where === layer() || isOfTheRun(name)),
    ask: () => ({
      runs: ids(),
      metric: metric(),
      estimator: asked(),
      ...(!isOfTheRun(metric()) && {layer: layer()}),
    }),
  });
}

/** @param {string} metric */
const isOfTheRun = (metric) => metric.includes("/");

/** @param {Run[]} runs */
const labelsOf = (runs) => [
  ...new Set(runs.flatMap(({labels}) => [labels.driver, ...labels.shadows])),
];

/**
 * @param {string[]} labels @param {string} chosen
 * @param {import("../lib/signal.js").Signal<string>} reference
 */
function against(labels, chosen, reference) {
  const select = h(
    "select",
    {onchange: () => reference.set(select.value)},
    [["", "the driver"], ...labels.map((one) => [one, one])].map(([value, text]) =>
      h("option", {value, selected: value === chosen}, text),
    ),
  );
  return labelled("Reference", select);
}
