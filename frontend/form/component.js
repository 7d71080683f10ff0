// @ts-check
/** A component of the catalogue: a choice by name, what it promises and needs, and its fields. */
import {h} from "../lib/h.js";
import {effect, signal, untracked} from "../lib/signal.js";
import {catalogue} from "../lab.js";
import {words} from "../lib/format.js";
import {prose} from "../lib/prose.js";
import {group} from "./group.js";
import {freshId, hint, problemLine} from "./node.js";
import {specs} from "./schema.js";

/** @typedef {import("../types.js").Component} Component */
/** @typedef {import("./node.js").FormNode} FormNode */

/** @type {Record<string, string>} */
const NONE = {};

/** @param {string} family a list of the catalogue @returns {Component[]} */
export function members(family) {
  const list = /** @type {any} */ (catalogue.peek())?.[family];
  if (!list) throw new Error(`invalid family of components: ${family}`);
  return list;
}

/**
 * @param {{name: string, title: string, help: string, family: string, optional?: boolean, unsuited?: () => Record<string, string>}} spec
 * @param {any} value `{name, ...fields}`
 * @returns {FormNode}
 */
export function component(spec, value) {
  const list = members(spec.family);
  const id = freshId(spec.name);
  const chosen = signal(value?.name ?? (spec.optional ? "" : list[0]?.name));
  const {line, message} = problemLine(`${id}-problem`);
  const unsuited = spec.unsuited ?? (() => NONE);
  const select = h(
    "select",
    {
      id,
      "aria-describedby": `${id}-tip ${id}-problem`,
      "aria-invalid": () => message() !== "" && "true",
      oninput: () => {
        message.set("");
        chosen.set(select.value);
      },
    },
    spec.optional && h("option", {value: ""}, "none"),
    options(list, chosen.peek(), unsuited),
  );
  select.value = chosen.peek();
  const body = h("div", {class: "component-body"});
  let fields = group([], {});
  effect(() => {
    const entry = list.find((component) => component.name === chosen());
    untracked(() => {
      fields = entry
        ? group(specs(entry.schema), entry.name === value?.name ? value : {})
        : group([], {});
      body.replaceChildren(...(entry ? [about(entry), fields.element] : []));
    });
  });
  return {
    element: h(
      "div",
      {class: "component"},
      h(
        "div",
        {class: "field field-component"},
        h("span", {class: "label"}, h("label", {for: id}, spec.title)),
        h("span", {class: "control"}, select),
        spec.help && hint(spec.help, `${id}-tip`),
        line,
      ),
      body,
    ),
    read: () => (select.value === "" ? null : {name: select.value, ...fields.read()}),
    child: (name) => fields.child(name),
    complain(text) {
      message.set(text);
      if (text === "") fields.complain("");
    },
    focus: () => select.focus(),
  };
}

/**
 * Grouped by family; a name that is not in the catalogue stays choosable, so that it can be
 * refused in words.
 * @param {Component[]} list
 * @param {string} chosen
 * @param {() => Record<string, string>} unsuited why each does not suit, by name
 */
export function options(list, chosen = "", unsuited = () => NONE) {
  const families = new Map(
    list.map((component) => [groupName(component), /** @type {Component[]} */ ([])]),
  );
  for (const component of list) families.get(groupName(component))?.push(component);
  const unknown = chosen !== "" && !list.some((component) => component.name === chosen);
  const items = (/** @type {Component[]} */ components) =>
    components.map(({name, title}) =>
      h("option", {value: name, title: () => unsuited()[name]}, () =>
        unsuited()[name] ? `${title} (does not suit)` : title,
      ),
    );
  const grouped = families.size > 1;
  return [
    unknown && h("option", {value: chosen}, `${chosen} (not in the catalogue)`),
    grouped
      ? [...families].map(([label, components]) => h("optgroup", {label}, items(components)))
      : items(list),
  ];
}

/** @param {Component} component */
const groupName = (component) =>
  component.source.kind === "builtin" ? words(component.family || "other") : "Plug-ins";

const CLAIMS = {
  exact: ["exact", "Equals the exact gradient."],
  unbiased: ["unbiased", "Equals the exact gradient on average."],
  biased: ["biased", "Differs from the exact gradient even on average."],
  depends: [
    "bias depends on settings",
    "Whether it is exact, unbiased or biased depends on its settings and on the network.",
  ],
};

/** What an estimator promises of its mean. @param {Component} entry */
export function badge(entry) {
  if (!entry.claim) return null;
  const [text, title] = CLAIMS[entry.claim];
  return h("span", {class: `badge badge-${entry.claim}`, title}, text);
}

/** What charts and files call it. @param {Component} entry */
export const catalogueName = (entry) => h("code", {class: "catalogue-name"}, entry.name);

/** The rest of a component's documentation. @param {Component} entry */
function more({doc, summary, title}) {
  const [, ...rest] = doc.split(/\n\s*\n/);
  if (rest.length === 0 || !doc.startsWith(summary)) return null;
  return h(
    "details",
    {class: "doc"},
    h("summary", null, `More on ${title}`),
    rest.map((text) => h("p", null, prose(text))),
  );
}

/** The file of a plug-in, and the beginning of its hash. @param {Component["source"]} source */
const origin = ({file, hash}) =>
  h(
    "p",
    {class: "needs"},
    `From ${file}, SHA-256 `,
    h("code", {title: hash}, `${hash.slice(0, 12)}…`),
    ".",
  );

/**
 * What a component is called, what it claims, is and needs.
 * @param {Component} entry
 * @param {boolean} [named] whether its name and claim are to be said here
 */
export function about(entry, named = true) {
  const needs = (entry.needs ?? []).map((need) => need.text);
  return h(
    "div",
    {class: "about"},
    h(
      "p",
      null,
      named && [catalogueName(entry), " ", badge(entry) ?? "·", " "],
      prose(entry.summary),
    ),
    needs.length > 0 && h("p", {class: "needs"}, `Needs ${needs.join("; ")}.`),
    !!entry.inferred?.length &&
      h("p", {class: "needs"}, `Worked out by the lab: ${entry.inferred.join("; ")}.`),
    entry.source.kind !== "builtin" && origin(entry.source),
    more(entry),
  );
}
