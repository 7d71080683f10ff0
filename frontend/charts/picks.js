// @ts-check
/** Controls of figures' parameters: the reader chooses, and the charts that take one follow. */
import {freshId} from "../form/node.js";
import {h} from "../lib/h.js";
import {computed, effect, onEnd, signal, untracked} from "../lib/signal.js";
import {focus, parameter} from "../state.js";
import {on} from "../stream.js";
import {holds} from "./query.js";

/** @typedef {import("../types.js").PickEntry} PickEntry */
/** @typedef {import("../types.js").Choice} Choice */
/** @typedef {import("../types.js").ParameterEntry} ParameterEntry */
/** @typedef {import("./board.js").Board} Board */
/** @typedef {import("./board.js").Context} Context */
/** @typedef {import("./board.js").Values} Values */
/** @typedef {import("../lib/signal.js").Signal<string>} Text */

/**
 * The control of a parameter, whose value is from then on in `values`. An empty value stands for
 * the default. Null where the parameter does not concern the board's runs.
 * @param {PickEntry} pick
 * @param {Pick<Board, "context" | "catalogue" | "labels">} board
 * @param {Values} values
 * @param {Context} [all] of the runs that the reader can choose among
 */
export function control(pick, board, values, all = board.context) {
  const {context, catalogue} = board;
  const name = pick.parameter;
  const described = catalogue.parameters[name];
  const {when} = described;
  if (name === "runs") return runPick(all);
  if (when && !untracked(context.runs).some((run) => holds(when, run.config))) return null;
  const value = pick.own ? signal("") : parameter(name);
  if (name === "estimator") return estimatorPick(pick, context, value, values);
  if (name === "layer") {
    values.set(name, value);
    return layerPick(context, value);
  }
  const choices = pick.empty ? [{value: "", title: pick.empty}, ...pick.choices] : pick.choices;
  const first = described.default || choices[0]?.value || "";
  values.set(name, () => value() || first);
  if (described.values_of) return offeredPick(pick, described, context, value);
  if (described.control === "slider") return slider(pick, described, value, first);
  return choice(pick.title, value, choices, first);
}

/** @param {string} title @param {HTMLElement} input */
export function labelled(title, input) {
  input.id = freshId("pick");
  return h("span", {class: "pick"}, h("label", {for: input.id}, title), input);
}

/**
 * @param {string} title
 * @param {Text} value
 * @param {Pick<Choice, "value" | "title">[]} choices
 * @param {string} first the default, which is kept as ""
 */
function choice(title, value, choices, first) {
  const select = h(
    "select",
    {onchange: () => value.set(select.value === first ? "" : select.value)},
    choices.map((option) =>
      h(
        "option",
        {value: option.value, selected: () => (value() || first) === option.value},
        option.title,
      ),
    ),
  );
  return labelled(title, select);
}

/** Which of the shown runs. @param {Context} context */
function runPick({runs, focused}) {
  // As text, so that a run's reports leave the choice as it is.
  const options = computed(() => JSON.stringify(runs().map(optionOf)));
  return () => {
    /** @type {string[][]} */
    const all = JSON.parse(options());
    if (all.length < 2) return null;
    const select = h(
      "select",
      {onchange: () => focus.set(select.value)},
      all.map(([id, text]) => h("option", {value: id, selected: () => focused()?.id === id}, text)),
    );
    return labelled("Run", select);
  };
}

/** @param {import("../types.js").Run} run */
const optionOf = (run) => [run.id, `#${run.number} ${run.name}`];

/**
 * One of the estimators of the board's runs; one that no run has counts as no choice.
 * @param {PickEntry} pick
 * @param {Context} context
 * @param {Text} value
 * @param {Values} values
 */
function estimatorPick({title, empty}, context, value, values) {
  // As text, so that a run's reports leave the choice as it is.
  const labels = computed(() => {
    const all = context.runs().flatMap((run) => [run.labels.driver, ...run.labels.shadows]);
    return [...new Set(all)].filter(Boolean).join("\n");
  });
  const chosen = () => (labels().split("\n").includes(value()) ? value() : "");
  values.set("estimator", chosen);
  return () => {
    const options = labels()
      .split("\n")
      .map((label) => ({value: label, title: label}));
    return choice(title, value, [{value: "", title: empty}, ...options], "");
  };
}

/** The whole network, its stages, their tensors: of all shown runs. @param {Context} context @param {Text} layer */
function layerPick(context, layer) {
  const rows = () => context.runs().flatMap((run) => run.facts?.layers ?? []);
  const names = (/** @type {string} */ key) =>
    computed(() => [...new Set(rows().map((row) => row[key]))].join("\n"));
  const [stages, tensors] = [names("stage"), names("name")];
  return () => {
    const list = (/** @type {string} */ text) =>
      text
        .split("\n")
        .filter(Boolean)
        .map((name) => h("option", {value: name}, name));
    const known = [stages(), tensors()].join("\n").split("\n");
    const select = h(
      "select",
      {onchange: () => layer.set(select.value)},
      h("option", {value: ""}, "whole network"),
      layer() !== "" && !known.includes(layer()) && h("option", {value: layer()}, layer()),
      h("optgroup", {label: "Stages"}, list(stages())),
      h("optgroup", {label: "Tensors"}, list(tensors())),
    );
    select.value = layer();
    return labelled("Layer", select);
  };
}

/**
 * One of the choices, in their order, from the first to the last.
 * @param {Pick<PickEntry, "title" | "choices">} pick
 * @param {Pick<ParameterEntry, "unit">} parameter
 * @param {Text} value
 * @param {string} first
 */
function slider({title, choices}, {unit}, value, first) {
  const at = () =>
    Math.max(
      0,
      choices.findIndex((option) => option.value === (value() || first)),
    );
  const input = h("input", {
    type: "range",
    min: "0",
    max: String(choices.length - 1),
    step: "1",
    value: () => String(at()),
    "aria-valuetext": () => `${choices[at()].title} ${unit}`,
    oninput: () => {
      const chosen = choices[Number(input.value)].value;
      value.set(chosen === first ? "" : chosen);
    },
  });
  const box = labelled(title, input);
  box.append(h("output", {for: input.id, class: "slider-value"}, () => choices[at()].title));
  return box;
}

/**
 * Values that a figure of the run offers, once it has any.
 * @param {PickEntry} pick
 * @param {Pick<ParameterEntry, "unit" | "control" | "values_of">} parameter
 * @param {Context} context
 * @param {Text} value
 */
function offeredPick({title, choices}, {unit, control: kind, values_of: source}, context, value) {
  const [figure, key] = /** @type {[string, string]} */ (source);
  // As text, so that an answer that says the same again leaves the control as it is.
  const offered = signal("[]");
  const ids = computed(() =>
    context
      .runs()
      .map((run) => run.id)
      .join(","),
  );
  effect(() => {
    const runs = ids();
    const gone = new AbortController();
    onEnd(() => gone.abort());
    const read = () =>
      // A failure is told by the charts beside it, which ask the same server.
      context.fetch(figure, {runs}, gone.signal).then(
        ({meta}) => !gone.signal.aborted && meta[key] && offered.set(JSON.stringify(meta[key])),
        () => undefined,
      );
    if (runs) read();
    /** @type {Set<string>} metrics that have come since, each of which may add a value */
    const heard = new Set();
    onEnd(
      on("points", ({run, series}) => {
        if (!runs.split(",").includes(run)) return;
        const before = heard.size;
        for (const {metric} of series) heard.add(metric);
        if (heard.size > before || offered.peek() === "[]") read();
      }),
    );
  });
  return () => {
    const options = [...choices, ...JSON.parse(offered()).map(optionFrom)];
    if (kind !== "slider") return choice(title, value, options, "");
    // One value alone leaves nothing to choose.
    return options.length > 1 && slider({title, choices: options}, {unit}, value, "");
  };
}

/** A value by itself, or with its title. @param {string | number | Choice} offered @returns {Choice} */
const optionFrom = (offered) =>
  typeof offered === "object" ? offered : {value: String(offered), title: String(offered)};
