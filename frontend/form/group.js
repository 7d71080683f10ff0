// @ts-check
/** Several controls that are one object: a component's fields, the probe's. */
import {h} from "../lib/h.js";
import {signal} from "../lib/signal.js";
import {component} from "./component.js";
import {dataFolder} from "./data-folder.js";
import {field} from "./field.js";
import {freshId, problemLine} from "./node.js";

/** @typedef {import("./schema.js").Spec} Spec */
/** @typedef {import("./node.js").FormNode} FormNode */

/**
 * @param {Spec[]} specs
 * @param {Record<string, any>} values
 * @returns {FormNode}
 */
export function group(specs, values) {
  const {line, message} = problemLine(freshId("group"));
  const nodes = new Map(
    specs.map((spec) => [spec.name, control(spec, values[spec.name] ?? spec.initial)]),
  );
  const all = [...nodes.values()];
  const unused = signal("");

  /** A field that the other choices leave without effect is hidden, and named. */
  function follow() {
    const left = specs.filter(({usedIf}) => !usedIf.every((where) => holds(where, nodes)));
    for (const {name} of specs) {
      const {element} = /** @type {FormNode} */ (nodes.get(name));
      element.hidden = left.some((spec) => spec.name === name) && !isComplained(element);
    }
    unused.set(left.map(({title}) => title).join(", "));
  }
  follow();

  return {
    element: h(
      "div",
      {class: "group", oninput: follow},
      all.map((node) => node.element),
      h("p", {class: "quiet unused", hidden: () => !unused()}, () => [
        `Not used with these choices: ${unused()}.`,
      ]),
      line,
    ),
    read: () => Object.fromEntries([...nodes].map(([name, node]) => [name, node.read()])),
    child(name) {
      const node = nodes.get(String(name));
      // What is to be said of a field is said where it can be seen.
      if (node) node.element.hidden = false;
      return node;
    },
    complain(text) {
      message.set(text);
      if (text === "") all.forEach((node) => node.complain(""));
    },
    focus: () => all[0]?.focus(),
  };
}

/** @param {HTMLElement} element */
const isComplained = (element) => element.querySelector(".problem:not([hidden])") !== null;

/** Whether one of the fields has one of its values. @param {Record<string, string[]>} where @param {Map<string, FormNode>} nodes */
const holds = (where, nodes) =>
  Object.entries(where).some(([name, values]) => values.includes(nodes.get(name)?.read()));

/** @param {Spec} spec @param {any} value @returns {FormNode} */
function control(spec, value) {
  if (spec.kind === "component") return component(spec, value);
  if (spec.kind === "folder") return dataFolder(spec, value);
  if (spec.kind === "group") return titled(spec, value ?? {});
  return field(spec, value);
}

/** @param {Spec} spec @param {any} value @returns {FormNode} */
function titled(spec, value) {
  const inner = group(spec.parts, value);
  return {...inner, element: h("fieldset", null, h("legend", null, spec.title), inner.element)};
}
