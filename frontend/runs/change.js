// @ts-check
/** What a run goes on with, itself or as a fork: another driver, another learning rate. */
import {Refusal, checkpoints} from "../api.js";
import {component} from "../form/component.js";
import {freshId, locate, problemLine} from "../form/node.js";
import {change, fork} from "../lab.js";
import {h} from "../lib/h.js";
import {computed, effect, signal, untracked} from "../lib/signal.js";

/** @typedef {import("../types.js").Run} Run */
/** @typedef {{driver: any, lr: string | undefined}} Asked */

const OTHER = "\0other";
const SPEC = {
  name: "driver",
  title: "Estimator",
  help: "It drives from that step on. Where a run goes on itself, its former driver is measured as a shadow; each keeps its state, and the optimiser its own.",
  family: "estimators",
};

/** The run itself. @param {() => Run} run one that is active */
export const changes = (run) =>
  form(run, {
    button: "Apply",
    doing: "Applying…",
    more: () => [],
    send: (asked) => change(run(), asked),
    labels: true,
  });

/** A new run from one of its checkpoints. @param {() => Run} run one that has begun @param {number} [chosen] the step that is proposed; the newest if none is */
export function forks(run, chosen) {
  const steps = signal(/** @type {number[]} */ ([]));
  const ids = {from: freshId("from"), length: freshId("length")};
  const from = h("select", {id: ids.from}, () =>
    steps().map((step) =>
      h("option", {value: step, selected: step === chosen}, step.toLocaleString("en")),
    ),
  );
  const length = h("input", {
    id: ids.length,
    type: "text",
    inputmode: "numeric",
    placeholder: "unchanged",
    autocomplete: "off",
  });
  checkpoints(run().id).then(
    (checkpoints) => steps.set(checkpoints.reverse()),
    () => steps.set([]),
  );
  return form(run, {
    button: "Start the fork",
    doing: "Starting…",
    labels: false,
    more: () => [
      h("label", {for: ids.from}, "From the checkpoint of step"),
      from,
      h("label", {for: ids.length}, "Steps in all"),
      length,
    ],
    send: ({driver, lr}) =>
      fork(run(), {
        step: from.value === "" ? null : Number(from.value),
        config: {
          ...(driver && {estimator: driver}),
          ...(lr && {optimizer: {lr}}),
          ...(length.value.trim() && {steps: length.value.trim()}),
        },
      }),
  });
}

/**
 * @param {() => Run} run
 * @param {object} options
 * @param {string} options.button
 * @param {string} options.doing the button's words until the lab has answered
 * @param {() => HTMLElement[]} options.more fields that come first
 * @param {(asked: Asked) => Promise<any>} options.send
 * @param {boolean} options.labels whether the run's own shadows can be chosen
 */
function form(run, {button, doing, more, send, labels: own}) {
  const ids = {driver: freshId("driver"), rate: freshId("rate")};
  const {line, message} = problemLine(`${ids.driver}-problem`);
  const chosen = signal("");
  const busy = signal(false);
  const fresh = h("div", {class: "component-body"});
  /** @type {import("../form/node.js").FormNode | null} */
  let node = null;
  effect(() => {
    const other = chosen() === OTHER;
    untracked(() => {
      node = other ? component(SPEC, run().config.estimator) : null;
      fresh.replaceChildren(...(node ? [node.element] : []));
    });
  });
  // As text, so that a run's reports leave a half-made choice as it is.
  const labels = computed(() => JSON.stringify(run().labels));
  const select = h("select", {id: ids.driver, onchange: () => chosen.set(select.value)}, () =>
    drivers(JSON.parse(labels()), own),
  );
  const rate = h("input", {
    id: ids.rate,
    type: "text",
    inputmode: "decimal",
    placeholder: "unchanged",
    autocomplete: "off",
  });

  async function apply() {
    message.set("");
    node?.complain("");
    busy.set(true);
    try {
      await send({
        lr: rate.value.trim() || undefined,
        driver: (node ? node.read() : select.value) || undefined,
      });
      select.value = rate.value = "";
      chosen.set("");
    } catch (error) {
      complain(error);
    }
    busy.set(false);
  }

  /** @param {unknown} error */
  function complain(error) {
    const rest =
      error instanceof Refusal ? error.problems.filter((problem) => !beside(problem)) : [];
    if (error instanceof Refusal && error.problems.length > 0)
      message.set(rest.map((problem) => problem.msg).join(" "));
    else message.set(error instanceof Error ? error.message : String(error));
  }

  /** @param {import("../types.js").Problem} problem @returns {boolean} whether its field shows it */
  function beside({loc, msg}) {
    if (!node || !["driver", "estimator"].includes(String(loc[0]))) return false;
    locate(node, loc.slice(1)).complain(msg);
    return true;
  }

  return h(
    "form",
    {
      class: "run-changes",
      onsubmit: (/** @type {Event} */ event) => {
        event.preventDefault();
        if (!busy.peek()) apply();
      },
    },
    more(),
    h("label", {for: ids.driver}, "Driver"),
    select,
    fresh,
    h("label", {for: ids.rate}, "Learning rate"),
    rate,
    line,
    h("button", {type: "submit", class: "plain", "aria-disabled": () => busy() && "true"}, () =>
      busy() ? doing : button,
    ),
  );
}

/** @param {Run["labels"]} labels @param {boolean} own */
const drivers = ({driver, shadows}, own) => [
  h("option", {value: ""}, `${driver} (unchanged)`),
  own &&
    shadows.length > 0 &&
    h(
      "optgroup",
      {label: "Its shadows"},
      shadows.map((label) => h("option", {value: label}, label)),
    ),
  h("option", {value: OTHER}, "Another estimator…"),
];
