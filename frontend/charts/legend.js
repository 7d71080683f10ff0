// @ts-check
/** A legend: what is drawn, and a switch for each line. Several charts of the same lines share one. */
import {h} from "../lib/h.js";
import {signal} from "../lib/signal.js";
import {printing} from "../theme.js";
import {sample} from "./line-sample.js";
import {legible} from "./rows.js";

/**
 * @typedef {object} Lines
 * @property {import("../lib/signal.js").Signal<string>} listed the entries that are drawn, as text,
 *   so that a figure drawn again with the same lines leaves the switches in place
 * @property {import("../lib/signal.js").Signal<ReadonlySet<string>>} hidden entries switched off
 */

/** @returns {Lines} */
export const newLines = () => ({
  listed: signal("[]"),
  hidden: signal(/** @type {ReadonlySet<string>} */ (new Set())),
});

/**
 * @param {string} title
 * @param {Lines} lines
 * @param {() => number} most entries that are shown before all are asked for
 */
export function legend(title, {listed, hidden}, most) {
  const whole = signal(false);
  const toggle = (/** @type {string} */ entry) => {
    const off = new Set(hidden.peek());
    if (!off.delete(entry)) off.add(entry);
    hidden.set(off);
  };
  /** @param {import("../plot.js").Entry} entry @param {number} i */
  const line = ({entry, name, full, look}, i) =>
    h(
      "button",
      {
        type: "button",
        title: legible(full),
        hidden: () => i >= most() && !whole() && !printing(),
        "data-entry": entry,
        "aria-pressed": () => String(!hidden().has(entry)),
        onclick: () => toggle(entry),
      },
      sample(look),
      h("span", null, legible(name)),
    );
  return () => {
    /** @type {import("../plot.js").Entry[]} */
    const all = JSON.parse(listed());
    if (all.length === 0) return null;
    return h(
      "div",
      {class: "legend", role: "group", "aria-label": `${title}: lines`},
      all.map(line),
      all.length > most() && rest(all.length - most(), whole),
    );
  };
}

/** @param {number} count @param {import("../lib/signal.js").Signal<boolean>} whole */
const rest = (count, whole) =>
  h(
    "button",
    {
      type: "button",
      hidden: printing, // on paper nothing can be asked for, and every line is named
      "aria-expanded": () => String(whole()),
      onclick: () => whole.update((on) => !on),
    },
    () => (whole() ? "fewer" : `+${count} more`),
  );
