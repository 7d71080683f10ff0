// @ts-check
/** The page of a new run: where it starts, its recipe, what differs, and what will run. */
import * as api from "../api.js";
import {icon} from "../icons.js";
import {catalogue} from "../lab.js";
import {h} from "../lib/h.js";
import {batch, computed, effect, signal, untracked} from "../lib/signal.js";
import {say} from "../lib/take.js";
import {plugins} from "../plugins.js";
import {parameter} from "../state.js";
import {createDraft, stored} from "./draft.js";
import {findSetting} from "./find.js";
import {settingsForm} from "./form.js";
import {preview} from "./preview.js";
import {recipe} from "./recipe.js";
import {called, startFrom} from "./start-from.js";
import {yamlView} from "./yaml-view.js";

/** @typedef {import("./draft.js").Draft} Draft */

export const title = "New run";

export const page = () =>
  h("section", {class: "new-run", id: "new-run", "aria-labelledby": "new-run-title"}, () => {
    const known = catalogue();
    return known
      ? untracked(() => content(known))
      : [
          h("h1", {id: "new-run-title"}, "New run"),
          h("p", {class: "quiet"}, "Reading the catalogue…"),
        ];
  });

/** @param {import("../types.js").Catalogue} known */
function content(known) {
  const isFirst = stored() === null;
  const draft = createDraft(known);
  const isText = signal(false);
  const form = settingsForm(draft);
  const yaml = yamlView(draft, () => isText.set(false));
  const file = h("input", {
    type: "file",
    class: "file",
    "aria-label": "Open a file",
    accept: ".yaml,.yml,.json",
    onchange: () => take(file.files?.[0]),
  });

  /** @param {File | undefined} chosen */
  function take(chosen) {
    if (!chosen) return;
    isText.set(true);
    yaml.show();
    void yaml.open(chosen).then(() => (file.value = ""));
  }

  /** @param {number | string} number @param {number} [rate] a learning rate in place of the run's */
  async function load(number, rate) {
    try {
      const run = await api.run(String(number));
      const {microscope: _microscope, ...config} = run.config;
      draft.fill(config, {start: called(run), isNamed: true});
      isText.set(false);
      const optimizer = draft.now.peek().optimizer;
      // After its origin is told, so that the form lists it as what differs.
      if (rate && rate > 0) draft.fill({...draft.now.peek(), optimizer: {...optimizer, lr: rate}});
      say(
        `The form has the configuration of run ${run.number}${rate ? `, at a learning rate of ${rate}` : ""}.`,
      );
    } catch (error) {
      if (error instanceof api.Silence) return;
      say(`There is no run ${number} in this lab.`);
    }
  }
  const isFilled = followAddress(draft, load);
  if (!isFilled && isFirst)
    draft.fill(draft.model.peek(), {start: titleOfFirst(known), isNamed: false});
  else if (!isFilled) draft.check();
  const run = h("form", {
    class: "run-form",
    novalidate: true,
    onsubmit: (/** @type {Event} */ event) => {
      event.preventDefault();
      void form.begin();
    },
  });
  run.append(
    h("div", {class: "recipe-place", hidden: isText}, recipeCard(draft, form)),
    h("div", {class: "recipe-place", hidden: () => !isText()}, yaml.element),
    preview(draft, form),
  );
  focusOnRun(run);
  return h(
    "div",
    {
      class: "new-run-page",
      ondragover: accept,
      ondrop: (/** @type {DragEvent} */ event) => {
        const [dropped] = event.dataTransfer?.files ?? [];
        if (!dropped) return;
        event.preventDefault();
        take(dropped);
      },
      onkeydown: (/** @type {KeyboardEvent} */ event) => {
        if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
        event.preventDefault();
        void form.begin();
      },
    },
    h(
      "header",
      {class: "new-run-head"},
      h(
        "div",
        null,
        h("h1", {id: "new-run-title"}, "New run"),
        h(
          "p",
          {class: "quiet"},
          "Start from something that works, change what matters, press Run.",
        ),
      ),
      h(
        "div",
        {class: "views", role: "group", "aria-label": "View"},
        view(
          "Form",
          () => !isText(),
          () => isText.set(false),
        ),
        view("YAML", isText, () => {
          isText.set(true);
          yaml.show();
        }),
      ),
      h("label", {class: "act open-file"}, icon("file"), "Open a file…", file),
    ),
    h("div", {class: "new-run-columns"}, startFrom(draft, load), run),
    plugins(),
  );
}

/** The preset that a first draft is. @param {import("../types.js").Catalogue} known */
const titleOfFirst = ({presets}) =>
  presets.find(({name}) => name === "forward_against_feedback")?.title ?? "the first example";

/** @param {string} text @param {() => boolean} isOn @param {() => void} onclick */
const view = (text, isOn, onclick) =>
  h("button", {type: "button", "aria-pressed": () => String(isOn()), onclick}, text);

/** @param {DragEvent} event */
function accept(event) {
  if (event.dataTransfer?.types.includes("Files")) event.preventDefault();
}

/**
 * Start where the address says: `?from=12`, `?from=12&rate=0.001`, `?preset=five_ways`,
 * `?driver=fdfa`. It then says no more than the page, so that a reload keeps what was changed since.
 * @param {Draft} draft @param {(number: string, rate?: number) => Promise<void>} load
 * @returns whether the draft was filled at once
 */
function followAddress(draft, load) {
  const asked = {
    from: parameter("from"),
    rate: parameter("rate"),
    preset: parameter("preset"),
    driver: parameter("driver"),
  };
  const presetOf = (/** @type {string} */ wanted) =>
    draft.known.presets.find(({name}) => name === wanted);
  const isFilled = Boolean(presetOf(asked.preset.peek()) || asked.driver.peek());
  effect(() => {
    const [from, preset, driver] = [asked.from(), asked.preset(), asked.driver()];
    untracked(() => {
      if (from) void load(from, Number(asked.rate.peek()) || undefined);
      const listed = presetOf(preset);
      if (listed) draft.fill(listed.config, {start: listed.title, isNamed: false});
      if (driver)
        draft.fill(
          {...draft.known.greeting, estimator: {name: driver}},
          {start: titleOfFirst(draft.known), isNamed: false, chosen: "network"},
        );
      batch(() => Object.values(asked).forEach((each) => each.set("")));
    });
  });
  return isFilled;
}

/** Whether the document was loaded at this page, so that Tab begins at its top. */
let isDocumentHere =
  new URL(performance.getEntriesByType("navigation")[0]?.name ?? location.href).pathname === "/new";

/** After the key n, Enter starts a run at once. @param {HTMLElement} run */
function focusOnRun(run) {
  const isLoaded = isDocumentHere;
  isDocumentHere = false;
  requestAnimationFrame(() => {
    if (isLoaded || document.activeElement !== document.body) return;
    /** @type {HTMLElement | null} */ (run.querySelector(".go"))?.focus({preventScroll: true});
  });
}

/** @param {Draft} draft @param {import("./form.js").SettingsForm} form */
function recipeCard(draft, form) {
  const parts = computed(
    () => new Set(form.differ().flatMap(({path}) => [path, path.split(".")[0]])),
  );
  return h(
    "section",
    {class: "card", "aria-labelledby": "recipe-title"},
    h("h2", {id: "recipe-title"}, "Recipe"),
    recipe(draft.now, parts, form.open),
    h("div", {role: "status"}, () => followed(draft)),
    () => form.differ().length > 0 && changes(draft, form),
    findSetting(draft.known, draft.now, form.open),
    form.element,
  );
}

/** What followed a choice. @param {Draft} draft */
function followed({notice, fill}) {
  const now = notice();
  return (
    now &&
    h(
      "p",
      {class: "followed"},
      icon("info"),
      h("span", null, now.said.join(" ")),
      h("button", {type: "button", class: "act", onclick: () => fill(now.before)}, "Undo"),
    )
  );
}

/** @param {Draft} draft @param {import("./form.js").SettingsForm} form */
function changes({origin, now, fill}, form) {
  const all = form.differ();
  return h(
    "div",
    {class: "changes"},
    h("span", {class: "quiet"}, `Differs from ${origin()?.title ?? "the start"}`),
    all.map(({label, from, to, undo}) =>
      h(
        "span",
        {class: "change"},
        h("span", {class: "quiet"}, label),
        " ",
        from && [from, " → "],
        to,
        h(
          "button",
          {
            type: "button",
            class: "tool",
            "aria-label": `Undo ${label}: back to ${from}`,
            onclick: () => fill({...now.peek(), ...undo}),
          },
          icon("cross"),
        ),
      ),
    ),
    h(
      "button",
      {type: "button", class: "plain", onclick: () => fill(origin()?.config ?? now.peek())},
      "Start over",
    ),
  );
}
