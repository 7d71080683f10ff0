// @ts-check
/** One control: a label, its help, an input in the form that suits the schema, its unit. */
import {h} from "../lib/h.js";
import {signal} from "../lib/signal.js";
import {freshId, hint, problemLine} from "./node.js";
import {inWords, numbers, several, words} from "./several.js";

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
  several: false,
};

const OTHER = "\u0000several";

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
  const note = severalNote();
  const props = {
    id,
    "aria-describedby": [text && ids.tip, spec.unit && ids.unit, ids.problem]
      .filter(Boolean)
      .join(" "),
    "aria-invalid": () => message() !== "" && "true",
    oninput: () => {
      message.set("");
      if (spec.several && input.value === OTHER) takeSeveral();
      note.set(several(read()));
    },
  };
  let input = control(spec, value, props);
  const read = () => readers[input.type === "checkbox" ? "boolean" : "text"](input, spec);

  /** A text in place of the list to choose from. */
  function takeSeveral() {
    const text = plainText(spec, spec.choices, props);
    input.replaceWith(text);
    input = text;
    input.focus();
  }
  note.set(several(read()));
  const element = h(
    "div",
    {class: `field field-${spec.kind}`},
    h("span", {class: "label"}, h("label", {for: id}, spec.title)),
    h(
      "span",
      {class: "control"},
      input,
      spec.unit && h("span", {class: "unit", id: ids.unit}, spec.unit),
    ),
    text && hint(text, ids.tip),
    note.element,
    line,
  );
  return {
    element,
    read,
    child: () => undefined,
    complain: message.set,
    focus: () => input.focus(),
  };
}

/** @param {Spec} spec @param {any} value @param {Record<string, any>} props @returns {Input} */
function control(spec, value, props) {
  if (spec.kind === "boolean")
    return h("input", {...props, type: "checkbox", checked: Boolean(value)});
  if (spec.kind === "choice" && !Array.isArray(value)) return choice(spec, value, props);
  return plainText(spec, value, props);
}

/** @param {Spec} spec @param {any} value @param {Record<string, any>} props @returns {HTMLInputElement} */
function plainText(spec, value, props) {
  const numeric = spec.kind === "number" || spec.kind === "integer";
  return h("input", {
    ...props,
    type: "text",
    inputmode: numeric && (spec.kind === "integer" ? "numeric" : "decimal"),
    class: numeric && "number",
    autocomplete: "off",
    spellcheck: "false",
    placeholder: spec.optional && numeric && (spec.empty ?? "none"),
    value: inWords(value),
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
    spec.several && spec.choices.length > 1 && h("option", {value: OTHER}, "several…"),
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
  if (spec.kind === "choice") {
    const chosen = (/** @type {string} */ word) =>
      spec.choices.find((option) => String(option) === word) ?? word;
    return spec.several && trimmed.includes(",") ? words(trimmed).map(chosen) : chosen(trimmed);
  }
  if (spec.kind === "text") return text;
  if (spec.several) return numbers(trimmed, spec.kind);
  const value = Number(trimmed);
  return trimmed === "" || Number.isNaN(value) ? trimmed : value;
}

/** Says below a control that it has several values. */
export function severalNote() {
  const number = signal(0);
  const element = h("p", {class: "quiet several", hidden: () => number() < 2}, () => [
    `${number()} values: makes a study`,
  ]);
  return {element, set: number.set};
}
