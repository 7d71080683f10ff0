// @ts-check
/** How long to train: one number, and what it counts. */
import {h} from "../lib/h.js";
import {severalNote} from "./field.js";
import {inWords, numbers, several} from "./several.js";
import {freshId, hint, problemLine} from "./node.js";

/** @typedef {import("./node.js").FormNode} FormNode */

/**
 * Steps or epochs: one number and what it counts.
 * @param {import("./schema.js").Spec} steps @param {import("./schema.js").Spec} epochs @param {any} config
 * @returns {FormNode}
 */
export function duration(steps, epochs, config) {
  const id = freshId("length");
  const {line, message} = problemLine(`${id}-problem`);
  const described = `${id}-tip ${id}-problem`;
  const input = h("input", {
    id,
    type: "text",
    inputmode: "decimal",
    class: "number",
    autocomplete: "off",
    "aria-describedby": described,
    "aria-invalid": () => message() !== "" && "true",
    oninput: () => {
      message.set("");
      count();
    },
    value: inWords(config.epochs ?? config.steps ?? 2000),
  });
  const unit = h(
    "select",
    {class: "unit-choice", "aria-label": "Length counted in"},
    ["steps", "epochs"].map((name) => h("option", null, name)),
  );
  unit.value = config.epochs != null ? "epochs" : "steps";
  const value = () => numbers(input.value, unit.value === "steps" ? "integer" : "number");
  const note = severalNote();
  const count = () => note.set(several(value()));
  count();
  unit.addEventListener("input", count);
  return {
    element: h(
      "div",
      {class: "field"},
      h("span", {class: "label"}, h("label", {for: id}, "Length")),
      h("span", {class: "control"}, input, unit),
      hint(`${steps.help} ${epochs.help}`, `${id}-tip`),
      note.element,
      line,
    ),
    read: () => ({[unit.value]: value()}),
    child: () => undefined,
    complain: message.set,
    focus: () => input.focus(),
  };
}
