// @ts-check
/** The configuration as one sentence, whose parts open their settings. */
import {icon} from "../icons.js";
import {h} from "../lib/h.js";
import {marker} from "../home/looks.js";
import {amount, lengthWords, networkWords, short, shortOf, titleOf} from "./titles.js";

/**
 * @param {() => any} config
 * @param {() => Set<string>} changed the parts that differ from where the reader started
 * @param {(path: string) => void} open go to the control of a setting
 */
export function recipe(config, changed, open) {
  const slot = (
    /** @type {string} */ path,
    /** @type {string} */ title,
    /** @type {() => any} */ words,
    /** @type {string[]} */ parts = [path],
  ) =>
    h(
      "button",
      {
        type: "button",
        class: () => (parts.some((part) => changed().has(part)) ? "slot changed" : "slot"),
        "data-slot": path,
        title,
        onclick: () => open(path),
      },
      words,
      icon("chevron"),
    );
  return h(
    "p",
    {class: "recipe"},
    "Train ",
    slot("network", "Choose the network", () => networkWords(config().network)),
    " on ",
    slot("dataset", "Choose the data", () => titleOf("datasets", config().dataset)),
    " for ",
    slot("length", "Choose how long", () => lengthWords(config())),
    " of ",
    slot("batch_size", "Choose the batch", () => amount(config().batch_size, "example")),
    ", driven by ",
    slot("estimator", "Choose the driver", () => estimator(config().estimator)),
    " at ",
    slot("optimizer.lr", "Choose the learning rate", () => `rate ${short(config().optimizer?.lr)}`),
    () => ((config().shadows ?? []).length > 0 ? ", measured beside " : ", measured alone "),
    () =>
      (config().shadows ?? []).map((/** @type {any} */ shadow, /** @type {number} */ i) => [
        slot(`shadows.${i}`, "Its settings", () => estimator(shadow), []),
        " ",
      ]),
    h(
      "button",
      {type: "button", class: "slot add", "data-slot": "shadows", onclick: () => open("shadows")},
      icon("plus"),
      "shadow",
    ),
  );
}

/** @param {any} value */
const estimator = (value) => [marker(value?.name ?? ""), shortOf(value)];
