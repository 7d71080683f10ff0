// @ts-check
/** The shadows: further estimators as chips, each with its own fields, added and taken away. */
import {h} from "../lib/h.js";
import {signal} from "../lib/signal.js";
import {icon} from "../icons.js";
import {about, badge, catalogueName, members, options} from "./component.js";
import {group} from "./group.js";
import {freshId, hint, problemLine} from "./node.js";
import {specs} from "./schema.js";

/** @typedef {import("./node.js").FormNode} FormNode */

const SHADOWS = {
  title: "Shadows",
  add: "Add a shadow…",
  none: "None. Add an estimator to measure it beside the driver.",
};

/**
 * @param {string} text of the help
 * @param {any[]} values
 * @param {typeof SHADOWS} [called] what the list is called, where it is of something else
 * @param {() => Record<string, string>} [unsuited] why estimators cannot be measured, by name
 * @returns {FormNode}
 */
export function shadows(text, values, called = SHADOWS, unsuited = undefined) {
  const id = freshId("shadows");
  const {line, message} = problemLine(`${id}-problem`);
  const list = h("ul", {class: "shadow-list"});
  const empty = h("p", {class: "quiet"}, called.none);
  /** @type {FormNode[]} */
  let chips = [];
  const adder = h(
    "select",
    {
      id,
      "aria-describedby": `${id}-tip ${id}-problem`,
      onchange: () => add({name: adder.value}, true),
    },
    h("option", {value: ""}, called.add),
    options(members("estimators"), "", unsuited),
  );

  /** @param {any} value @param {boolean} [byHand] */
  function add(value, byHand = false) {
    const added = chip(value, () => remove(added));
    chips.push(added);
    list.append(added.element);
    adder.value = "";
    changed();
    if (byHand) added.focus();
  }

  /** @param {FormNode} gone */
  function remove(gone) {
    chips = chips.filter((other) => other !== gone);
    gone.element.remove();
    adder.focus();
    changed();
  }

  function changed() {
    empty.hidden = chips.length > 0;
    message.set("");
    list.dispatchEvent(new Event("input", {bubbles: true}));
  }

  for (const value of values) add(value);
  return {
    element: h(
      "div",
      {class: "shadows"},
      h("span", {class: "label"}, h("label", {for: id}, called.title)),
      empty,
      list,
      adder,
      hint(text, `${id}-tip`),
      line,
    ),
    read: () => chips.map((each) => each.read()),
    child: (index) => chips[Number(index)],
    complain(words) {
      message.set(words);
      if (words === "") chips.forEach((each) => each.complain(""));
    },
    focus: () => adder.focus(),
  };
}

/** @param {any} value @param {() => void} onRemove @returns {FormNode} */
function chip(value, onRemove) {
  const entry = members("estimators").find((component) => component.name === value.name);
  const title = entry?.title ?? value.name;
  const own = entry ? specs(entry.schema) : [];
  const fields = entry ? group(own, value) : plain(value);
  const changed = signal(changes(own, fields.read()));
  const {line, message} = problemLine(freshId("chip"));
  const summary = h(
    "summary",
    null,
    h("span", {class: "shadow-title"}, title),
    entry && [badge(entry), catalogueName(entry)],
    h("span", {class: "quiet", hidden: () => !changed()}, changed),
  );
  const details = h(
    "details",
    {class: "shadow-details", oninput: () => changed.set(changes(own, fields.read()))},
    summary,
    entry && about(entry, false),
    fields.element,
  );
  const remove = h(
    "button",
    {
      type: "button",
      class: "tool",
      "aria-label": `Remove shadow ${title}`,
      title: "Remove",
      onclick: onRemove,
    },
    icon("cross"),
  );
  return {
    element: h("li", {class: "shadow"}, details, remove, line),
    read: () => ({name: value.name, ...fields.read()}),
    child: (name) => open(details, fields.child(name)),
    complain(text) {
      message.set(text);
      if (text === "") fields.complain("");
    },
    focus: () => summary.focus(),
  };
}

/**
 * The fields that are not at their defaults, which distinguish two of one estimator.
 * @param {import("./schema.js").Spec[]} own @param {Record<string, any>} values
 */
function changes(own, values) {
  const named = (/** @type {any} */ value) => value?.name ?? value;
  return own
    .filter(({name, initial}) => named(values[name]) !== named(initial))
    .map(({name}) => `${name}=${named(values[name])}`)
    .join(", ");
}

/**
 * A field inside a closed chip opens it when it is spoken of.
 * @param {HTMLDetailsElement} details
 * @param {FormNode | undefined} node
 */
function open(details, node) {
  if (node) details.open = true;
  return node;
}

/**
 * A component that is no longer in the catalogue keeps its fields as they were.
 * @param {any} value
 * @returns {FormNode}
 */
function plain({name: _name, ...fields}) {
  return {...group([], {}), read: () => fields};
}
