// @ts-check
/** The sweep of a microscope: which field of the estimators takes which values. */
import {PLAIN, field} from "../form/field.js";
import {freshId, problemLine} from "../form/node.js";
import {specs} from "../form/schema.js";
import {catalogue} from "../lab.js";
import {h} from "../lib/h.js";
import {signal} from "../lib/signal.js";

/** @typedef {import("../form/node.js").FormNode} FormNode */

/**
 * One field drawn at several values, or none.
 * @param {FormNode} estimators
 * @returns {FormNode}
 */
export function sweptField(estimators) {
  const id = freshId("sweep");
  const names = signal(sweepable(estimators.read()).join("\n"));
  const {line, message} = problemLine(`${id}-problem`);
  const refresh = () => names.set(sweepable(estimators.read()).join("\n"));
  estimators.element.addEventListener("input", refresh);
  const values = field(
    {...PLAIN, kind: "text", name: "values", title: "Values", help: "Separated by commas: 1, 4, 16, 64. Everything is drawn anew at each of them."},
    "1, 4, 16, 64",
  );
  const chosen = signal("");
  const select = h(
    "select",
    {id, "aria-describedby": `${id}-problem`, oninput: () => chosen.set(select.value)},
    h("option", {value: ""}, "nothing: one point"),
    () => names().split("\n").map((name) => h("option", {value: name, selected: () => chosen() === name}, name)),
  );
  return {
    element: h(
      "div",
      {class: "pair"},
      h(
        "div",
        {class: "field"},
        h("span", {class: "label"}, h("label", {for: id}, "Sweep")),
        h("span", {class: "control"}, select),
        line,
      ),
      h("div", {hidden: () => chosen() === ""}, values.element),
    ),
    read: () => (select.value === "" ? null : {field: select.value, values: list(values.read())}),
    child: (name) => (String(name) === "values" ? values : undefined),
    complain(text) {
      message.set(text);
      if (text === "") values.complain("");
    },
    focus: () => select.focus(),
  };
}

/** Fields of these estimators that can be told off a line, and the batch size. @param {any[]} chosen */
function sweepable(chosen) {
  const known = chosen.map(({name}) => catalogue.peek()?.estimators.find((one) => one.name === name));
  const found = known.flatMap((one) =>
    one ? specs(one.schema).filter(({kind}) => ["integer", "number", "choice", "boolean"].includes(kind)) : [],
  );
  return [...new Set([...found.map(({name}) => name), "batch_size"])];
}

/** What is no number stays a word. @param {any} text */
const list = (text) =>
  String(text)
    .split(",")
    .map((one) => one.trim())
    .filter(Boolean)
    .map((one) => (one === "true" || one === "false" ? one === "true" : Number.isNaN(Number(one)) ? one : Number(one)));
