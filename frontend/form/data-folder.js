// @ts-check
/** The field of a data set in files: the folders to choose from, and the state of the chosen one. */
import * as api from "../api.js";
import {h} from "../lib/h.js";
import {effect, onEnd, signal, untracked} from "../lib/signal.js";
import {dataState} from "./data-state.js";
import {field} from "./field.js";
import {fromHub} from "./from-hub.js";

/** @typedef {import("./schema.js").Spec} Spec */
/** @typedef {import("./node.js").FormNode} FormNode */
/** @typedef {{here: string[], fetchable: string[], text: string}} Offered */

/**
 * @param {Spec} spec
 * @param {any} value
 * @returns {FormNode}
 */
export function dataFolder(spec, value) {
  const files = spec.files ?? "";
  const place = h("div", {onchange: () => chosen.set(String(inner.read() ?? ""))});
  const chosen = signal(String(value ?? ""));
  const complaint = signal("");
  const offered = signal(/** @type {Offered} */ ({here: spec.choices, fetchable: [], text: ""}));
  /** @type {FormNode} */
  let inner;

  /** The control is made anew where what it offers changes. */
  effect(() => {
    const {here, fetchable} = offered();
    untracked(() => {
      const known = [...new Set([...(spec.bundled ? [""] : []), ...here, ...fetchable])];
      const now = chosen.peek() || (spec.bundled ? "" : (known[0] ?? ""));
      const choices = known.includes(now) ? known : [now, ...known];
      const words = {"": "the bundled one", ...notHere(fetchable)};
      const hadFocus = place.contains(document.activeElement);
      const kind = known.some(Boolean) ? "choice" : "text";
      inner = field({...spec, kind, choices, words}, now);
      inner.complain(complaint.peek());
      place.replaceChildren(inner.element);
      chosen.set(now);
      if (hadFocus) inner.focus();
    });
  });

  async function readOffered() {
    try {
      const read = await api.dataSets(files);
      if (JSON.stringify(read) !== JSON.stringify(offered.peek())) offered.set(read);
    } catch (error) {
      if (!(error instanceof api.Silence)) throw error; // the banner says that the lab is silent
    }
  }
  readOffered();
  addEventListener("focus", readOffered);
  onEnd(() => removeEventListener("focus", readOffered));

  /** @param {string} name a set that is being fetched */
  function choose(name) {
    chosen.set(name);
    const {here, ...others} = offered.peek();
    offered.set({...others, here: [...new Set([...here, name])]});
    place.dispatchEvent(new Event("input", {bubbles: true}));
  }

  return {
    element: h(
      "div",
      {class: "data-folder", oninput: () => complaint.set("")},
      place,
      dataState(chosen, files, {
        complaint,
        none: () => (spec.bundled ? "" : offered().text),
        ready: readOffered,
      }),
      files.endsWith(".parquet") && fromHub(choose),
    ),
    read: () => inner.read(),
    child: () => undefined,
    complain(message) {
      complaint.set(message);
      inner.complain(message);
    },
    focus: () => inner.focus(),
  };
}

/** @param {string[]} fetchable */
const notHere = (fetchable) =>
  Object.fromEntries(fetchable.map((name) => [name, `${name} (not here)`]));
