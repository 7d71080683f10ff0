// @ts-check
/** One control: a label, its help, an input in the form that suits the schema, its unit. */
import {h} from "../lib/h.js";
import {freshId, help, problemLine} from "./node.js";

/** @typedef {import("./schema.js").Spec} Spec */
/** @typedef {import("./node.js").FormNode} FormNode */
/** @typedef {HTMLInputElement | HTMLSelectElement} Input */

/** What a control by itself says over. @type {Spec} */
export const PLAIN = {
  name: "",
  kind: "integer",
  title: "",
  help: "",
  unit: "",
  optional: false,
  initial: null,
  choices: [],
  range: "",
  family: "",
  parts: [],
  usedIf: [],
};

/**
 * @param {Spec} spec
 * @param {any} value shown as it is: 1e-3 stays 1e-3
 * @returns {FormNode}
 */
export function field(spec, value) {
  const id = freshId(spec.name);
  const ids = {tip: `${id}-tip`, unit: `${id}-unit`, problem: `${id}-problem`};
  const text = [spec.help, spec.range && `Allowed: ${spec.range}.`].filter(Boolean).join(" ");
  const {line, message} = problemLine(ids.problem);
  const input = control(spec, value, {
    id,
    "aria-describedby": [text && ids.tip, spec.unit && ids.unit, ids.problem]
      .filter(Boolean)
      .join(" "),
    "aria-invalid": () => message() !== "" && "true",
    oninput: () => message.set(""),
  });
  const element = h(
    "div",
    {class: `field field-${spec.kind}`},
    h(
      "span",
      {class: "label"},
      h("label", {for: id}, spec.title),
      text && help(spec.title, text, ids.tip),
    ),
    h(
      "span",
      {class: "control"},
      input,
      spec.unit && h("span", {class: "unit", id: ids.unit}, spec.unit),
    ),
    line,
  );
  return {
    element,
    read: () => readers[spec.kind === "boolean" ? "boolean" : "text"](input, spec),
    child: () => undefined,
    complain: message.set,
    focus: () => input.focus(),
  };
}

/** @param {Spec} spec @param {any} value @param {Record<string, any>} props @returns {Input} */
function control(spec, value, props) {
  if (spec.kind === "boolean")
    return h("input", {...props, type: "checkbox", checked: Boolean(value)});
  if (spec.kind === "choice") return choice(spec, value, props);
  const numeric = spec.kind === "number" || spec.kind === "integer";
  return h("input", {
    ...props,
    type: "text",
    inputmode: numeric && (spec.kind === "integer" ? "numeric" : "decimal"),
    class: numeric && "number",
    autocomplete: "off",
    spellcheck: "false",
    placeholder: spec.optional && numeric && (spec.empty ?? "none"),
    value: value == null ? "" : String(value),
  });
}

/** @param {Spec} spec @param {any} value @param {Record<string, any>} props */
function choice(spec, value, props) {
  const options = spec.optional ? [null, ...spec.choices] : spec.choices;
  const select = h(
    "select",
    props,
    options.map((option) =>
      h(
        "option",
        {value: String(option ?? "")},
        spec.words?.[String(option)] ?? String(option ?? "none"),
      ),
    ),
  );
  select.value = String(value ?? "");
  return select;
}

/** @type {Record<string, (input: any, spec: Spec) => any>} */
const readers = {
  boolean: (input) => input.checked,
  text: (input, spec) => parsed(input.value, spec),
};

/**
 * What is not a number is sent as it was typed: the lab's answer names it.
 * @param {string} text
 * @param {Spec} spec
 */
function parsed(text, spec) {
  const trimmed = text.trim();
  if (trimmed === "" && spec.optional) return null;
  if (spec.kind === "choice")
    return spec.choices.find((option) => String(option) === trimmed) ?? trimmed;
  if (spec.kind === "text") return text;
  const value = Number(trimmed);
  return trimmed === "" || Number.isNaN(value) ? trimmed : value;
}
