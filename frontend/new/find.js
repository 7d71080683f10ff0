// @ts-check
/** Every setting by search: type, choose, and its field opens with the focus. */
import {freshId} from "../form/node.js";
import {spec, specs} from "../form/schema.js";
import {icon} from "../icons.js";
import {h} from "../lib/h.js";
import {computed, signal} from "../lib/signal.js";
import {groupOf} from "./groups.js";
import {FAMILIES, entryOf, short} from "./titles.js";

/** @typedef {{path: string, title: string, group: string, value: string, words: string}} Setting */

const MOST = 8;
const PLAIN = ["steps", "epochs", "batch_size", "seed", "device", "on_unconverged_solve"];
/** Further words for settings that people call otherwise. @type {Record<string, string>} */
const ALSO = {
  "optimizer.lr": "lr eta step size",
  estimator: "method gradient driver",
  network: "model architecture",
  dataset: "data",
  seed: "random",
  device: "gpu cuda cpu",
  batch_size: "minibatch examples",
  steps: "iterations updates length",
  epochs: "passes length",
  "probe.draws": "samples k",
  shadows: "compare beside measure",
};

/**
 * @param {import("../types.js").Catalogue} known
 * @param {any} config
 * @returns {Setting[]}
 */
export function settings(known, config) {
  const schema = known.config;
  const top = [...Object.keys(FAMILIES), "shadows", "probe", ...PLAIN];
  return top.flatMap((part) => {
    const described = spec(part, schema.properties[part], schema);
    const family = /** @type {Record<string, string>} */ (FAMILIES)[part];
    if (family) return component(part, TITLES[part], family, config[part]);
    if (part === "probe")
      return described.parts.map((inner) => setting(`probe.${inner.name}`, inner, config.probe));
    if (part === "shadows")
      return [named(part, TITLES[part], `${(config.shadows ?? []).length}`, described.help)];
    return [setting(part, described, config)];
  });
}

/** @type {Record<string, string>} as the form calls them */
const TITLES = {
  dataset: "Data set",
  loss: "Loss",
  network: "Network",
  estimator: "Driver",
  optimizer: "Optimiser",
  shadows: "Shadows",
};

/** @param {string} path @param {string} title @param {string} family @param {any} value @returns {Setting[]} */
function component(path, title, family, value) {
  const entry = entryOf(family, value);
  const own = named(path, title, entry?.title ?? "none", entry?.summary ?? "");
  const inner = entry
    ? specs(entry.schema).flatMap((each) =>
        each.kind === "component"
          ? component(`${path}.${each.name}`, each.title, each.family, value[each.name])
          : [setting(`${path}.${each.name}`, each, value)],
      )
    : [];
  return [own, ...inner];
}

/** @param {string} path @param {import("../form/schema.js").Spec} described @param {any} owner */
const setting = (path, described, owner) =>
  named(path, described.title, short(owner?.[described.name] ?? described.initial), described.help);

/** @param {string} path @param {string} title @param {string} value @param {string} help @returns {Setting} */
const named = (path, title, value, help) => ({
  path,
  title,
  group: groupOf(path.split(".")[0])?.title ?? "",
  value,
  words:
    `${path.split(".").at(-1)?.replaceAll("_", " ")} ${ALSO[path] ?? ""} | ${help}`.toLowerCase(),
});

/** How well a setting fits what was typed; 0: not at all. @param {Setting} setting @param {string} text */
function fits({title, words}, text) {
  const [names, help] = words.split(" | ");
  const own = `${title.toLowerCase()} ${names}`;
  if (own.split(/\s+/).includes(text)) return 4;
  if (own.split(/\s+/).some((word) => word.startsWith(text))) return 3;
  if (own.includes(text)) return 2;
  return text.length > 2 && help?.includes(text) ? 1 : 0;
}

/** @param {Setting[]} all @param {string} text @returns {Setting[]} the best ones first */
export function search(all, text) {
  const wanted = text.trim().toLowerCase();
  if (wanted === "") return [];
  return all
    .map((each) => ({each, score: fits(each, wanted)}))
    .filter(({score}) => score > 0)
    .sort((a, b) => b.score - a.score)
    .slice(0, MOST)
    .map(({each}) => each);
}

/**
 * @param {import("../types.js").Catalogue} known
 * @param {() => any} config
 * @param {(path: string) => void} open
 */
export function findSetting(known, config, open) {
  const id = freshId("find");
  const text = signal("");
  const at = signal(0);
  const hits = computed(() => (text() ? search(settings(known, config()), text()) : []));
  const input = h("input", {
    id,
    type: "text",
    role: "combobox",
    class: "find-input",
    placeholder: "Find a setting: momentum, schedule, draws…",
    autocomplete: "off",
    spellcheck: "false",
    "aria-label": "Find a setting",
    "aria-autocomplete": "list",
    "aria-controls": `${id}-list`,
    "aria-expanded": () => String(hits().length > 0),
    "aria-activedescendant": () => (hits().length > 0 ? `${id}-${at()}` : null),
    oninput: (/** @type {Event} */ event) => {
      event.stopPropagation(); // it is no setting itself
      text.set(input.value);
      at.set(0);
    },
    onkeydown: key,
    onblur: () => setTimeout(clear, 150),
  });

  function clear() {
    if (document.activeElement === input) return;
    input.value = "";
    text.set("");
  }

  /** @param {Setting} hit */
  function choose(hit) {
    input.value = "";
    text.set("");
    open(hit.path);
  }

  /** @param {KeyboardEvent} event */
  function key(event) {
    const count = hits().length;
    if (event.ctrlKey || event.metaKey) return;
    if (event.key === "ArrowDown" && count) at.update((i) => (i + 1) % count);
    else if (event.key === "ArrowUp" && count) at.update((i) => (i - 1 + count) % count);
    else if (event.key === "Enter") {
      if (count) choose(hits()[at()]);
    } else if (event.key === "Escape" && text.peek()) {
      input.value = "";
      text.set("");
    } else return;
    event.preventDefault();
  }

  return h(
    "div",
    {class: "find"},
    icon("lens"),
    input,
    h(
      "ul",
      {
        id: `${id}-list`,
        role: "listbox",
        "aria-label": "Settings",
        hidden: () => hits().length === 0,
      },
      () =>
        hits().map((hit, i) =>
          h(
            "li",
            {
              id: `${id}-${i}`,
              role: "option",
              "aria-selected": () => String(i === at()),
              onmousedown: (/** @type {Event} */ event) => {
                event.preventDefault();
                choose(hit);
              },
            },
            h("b", null, hit.title),
            h("span", null, hit.value),
            h("span", {class: "quiet"}, hit.group),
          ),
        ),
    ),
    h("span", {class: "quiet", role: "status"}, () =>
      text() && hits().length === 0 ? `No setting fits “${text()}”.` : "",
    ),
  );
}
