// @ts-check
/** The sweep of a microscope: which field of the estimators, of the network or of the batch takes
 * which values. */
import {PLAIN, field} from "../form/field.js";
import {freshId, problemLine} from "../form/node.js";
import {count} from "../lib/format.js";
import {h} from "../lib/h.js";
import {effect, signal, untracked} from "../lib/signal.js";
import {NETWORK, called, ofBatch, ofEstimators, ofNetwork, suggested} from "./swept-values.js";

/** @typedef {import("../form/node.js").FormNode} FormNode */
/** @typedef {import("../types.js").Run} Run */
/** @typedef {import("./swept-values.js").Sweepable} Sweepable */

/**
 * One field drawn at several values, or none.
 * @param {FormNode} estimators
 * @param {Run} run
 * @returns {FormNode}
 */
export function sweptField(estimators, run) {
  const id = freshId("sweep");
  const {line, message} = problemLine(`${id}-problem`);
  const {config} = run;
  const before = config.microscope?.sweep;
  const groups = () => [
    ["Estimators", ofEstimators(estimators.read())],
    ["Network, each at its initialisation", ofNetwork(config.network)],
    ["Batch", [ofBatch(config.batch_size)]],
  ];
  // As text, so that a keystroke in an estimator's field leaves the choice as it is.
  const offered = signal("");
  const chosen = signal(before?.field ?? "");
  const find = () =>
    groups()
      .flatMap(([, all]) => /** @type {Sweepable[]} */ (all))
      .find(({path}) => path === chosen());
  const refresh = () => {
    if (!untracked(find)) chosen.set(""); // its estimator was taken away
    offered.set(JSON.stringify(groups()));
  };
  refresh();
  estimators.element.addEventListener("input", refresh);
  const select = h(
    "select",
    {id, "aria-describedby": `${id}-problem ${id}-note`, oninput: () => chosen.set(select.value)},
    h("option", {value: ""}, "nothing: one point"),
    () => options(JSON.parse(offered()), chosen.peek()),
  );
  const place = h("div");
  const note = h("p", {class: "quiet sweep-note", id: `${id}-note`, hidden: () => chosen() === ""});
  let values = control("");
  effect(() => {
    const swept = find();
    untracked(() => {
      const initial = before?.field === chosen.peek() ? before?.values : swept && suggested(swept);
      values = control((initial ?? []).join(", "), swept);
      place.replaceChildren(...(swept ? [values.element] : []));
      note.replaceChildren(swept ? description(swept, run) : "");
    });
  });
  return {
    element: h(
      "div",
      {class: "group"},
      h(
        "div",
        {class: "field"},
        h("span", {class: "label"}, h("label", {for: id}, "Sweep")),
        h("span", {class: "control"}, select),
        line,
      ),
      place,
      note,
    ),
    read: () => (chosen.peek() === "" ? null : {field: chosen.peek(), values: list(values.read())}),
    child: (name) => (String(name) === "values" ? values : undefined),
    complain(text) {
      message.set(text);
      if (text === "") values.complain("");
    },
    focus: () => select.focus(),
  };
}

/** @param {[string, Sweepable[]][]} groups @param {string} chosen */
const options = (groups, chosen) =>
  groups
    .filter(([, all]) => all.length > 0)
    .map(([label, all]) =>
      h(
        "optgroup",
        {label},
        all.map((sweepable) =>
          h(
            "option",
            {value: sweepable.path, selected: sweepable.path === chosen},
            called(sweepable),
          ),
        ),
      ),
    );

/** The values, separated by commas. @param {string} text @param {Sweepable} [swept] */
const control = (text, swept) =>
  field(
    {
      ...PLAIN,
      kind: "text",
      name: "values",
      title: "Values",
      unit: swept?.spec.unit ?? "",
      help: "Separated by commas; everything is drawn anew at each of them.",
    },
    text,
  );

/** What a field is now and may be, and what a network's costs. @param {Sweepable} of @param {Run} run */
function description({path, spec, now}, {config}) {
  const limits =
    spec.kind === "choice"
      ? `one of ${spec.choices.join(", ")}`
      : spec.range.replace(/\d{4,}/g, (n) => count(Number(n)));
  const [current] = now;
  const sentences = [
    `Now ${now.join(" and ")}${spec.unit && ` (${spec.unit})`}`,
    limits && `allowed: ${limits}`,
  ]
    .filter(Boolean)
    .join("; ");
  if (!path.startsWith(NETWORK)) return `${sentences}.`;
  return `${sentences}. Each value is a network of its own, at its initialisation (seed ${config.seed}), on the same batch: the weights of a checkpoint belong to ${spec.name} ${current} alone.`;
}

/** What is no number stays a word. @param {any} text */
const list = (text) =>
  String(text)
    .split(",")
    .map((part) => part.trim())
    .filter(Boolean)
    .map((part) =>
      part === "true" || part === "false"
        ? part === "true"
        : Number.isNaN(Number(part))
          ? part
          : Number(part),
    );
