// @ts-check
/** The command palette: type, and go to a page, a run, an experiment, or do something. */
import * as api from "./api.js";
import {COMMANDS} from "./commands.js";
import {keyCaps} from "./keys-dialog.js";
import {addressOfRun} from "./lab.js";
import {h} from "./lib/h.js";
import {computed, effect, onEnd, signal, untracked} from "./lib/signal.js";
import {runs} from "./runs/known-runs.js";
import {go} from "./state.js";

/** @typedef {{title: string, kind: string, keys?: string, act: () => any}} Item */

const MOST = 12;
const TYPED_MS = 120;

const isOpen = signal(false);
/** @type {() => void} */
export const openPalette = () => isOpen.set(true);

/** @type {import("./lib/signal.js").Signal<Item[]>} experiments of the gallery, read once */
const entries = signal(/** @type {Item[]} */ ([]));

export function palette() {
  const text = signal("");
  const chosen = signal(0);
  const remote = signal(/** @type {Item[]} */ ([]));
  const items = computed(() => (isOpen() ? matching(text(), remote()) : []));
  const input = h("input", {
    type: "search",
    class: "palette-input",
    role: "combobox",
    "aria-label": "Search or jump to",
    "aria-expanded": "true",
    "aria-controls": "palette-items",
    "aria-activedescendant": () => `palette-item-${chosen()}`,
    placeholder: "A page, a run, an experiment, a command",
    autocomplete: "off",
    spellcheck: "false",
    maxlength: "200",
    oninput: () => {
      text.set(input.value.trim());
      chosen.set(0);
    },
    onkeydown: (/** @type {KeyboardEvent} */ event) => {
      const last = Math.max(0, untracked(items).length - 1);
      if (event.key === "ArrowDown") chosen.update((i) => Math.min(last, i + 1));
      else if (event.key === "ArrowUp") chosen.update((i) => Math.max(0, i - 1));
      else if (event.key === "Enter") take(untracked(items)[chosen.peek()]);
      else return;
      event.preventDefault();
    },
  });
  /** @type {HTMLDialogElement} */
  const dialog = h(
    "dialog",
    {
      class: "dialog palette",
      "aria-label": "Search or jump to",
      onclose: () => isOpen.set(false),
      onclick: (/** @type {MouseEvent} */ event) => event.target === dialog && dialog.close(),
    },
    input,
    h("ul", {id: "palette-items", role: "listbox", "aria-label": "Matches"}, () =>
      items().map((item, i) =>
        h(
          "li",
          {
            id: `palette-item-${i}`,
            role: "option",
            "aria-selected": () => String(chosen() === i),
            onclick: () => take(item),
          },
          h("span", null, item.title),
          h("span", {class: "quiet"}, item.keys ? keyCaps(item.keys) : item.kind),
        ),
      ),
    ),
    h("p", {class: "quiet", role: "status"}, () =>
      isOpen() && items().length === 0 ? `Nothing matches “${text()}”.` : "",
    ),
  );
  /** @param {Item | undefined} item */
  function take(item) {
    if (!item) return;
    dialog.close();
    item.act();
  }
  effect(() => {
    if (!isOpen()) return;
    untracked(() => {
      input.value = "";
      text.set("");
      chosen.set(0);
      remote.set([]);
      void readEntries();
      if (!dialog.open) dialog.showModal();
      input.focus();
    });
  });
  effect(() => {
    const asked = text();
    if (asked === "") return remote.set([]);
    const timer = setTimeout(() => {
      void searched(asked).then((items) => asked === text.peek() && remote.set(items));
    }, TYPED_MS);
    onEnd(() => clearTimeout(timer));
  });
  return dialog;
}

/** Every word of the text is in what an item is called. @param {string} text @param {Item[]} remote */
function matching(text, remote) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (/** @type {Item} */ {title, kind}) =>
    words.every((word) => `${title} ${kind}`.toLowerCase().includes(word));
  const commands = COMMANDS.filter(({applies}) => !applies || applies()).map(
    ({title, keys, act}) => ({title, keys, kind: "command", act}),
  );
  const listed = runs().slice(0, 200).map(itemOf);
  const titles = new Set(listed.map(({title}) => title));
  const all = [...commands, ...listed, ...entries(), ...remote.filter((r) => !titles.has(r.title))];
  return (words.length > 0 ? all.filter(fits) : all).slice(0, MOST);
}

/** @param {import("./types.js").Run} run @returns {Item} */
const itemOf = (run) => ({
  title: `#${run.number} ${run.name || run.labels.driver}`,
  kind: run.kind === "microscope" ? "microscope" : "run",
  act: () => go(addressOfRun(run)),
});

/** Runs of the lab that are not on the list. @param {string} text @returns {Promise<Item[]>} */
async function searched(text) {
  try {
    return (await api.runs({limit: 8, search: text})).runs.map(itemOf);
  } catch {
    return []; // the banner says that the server does not answer
  }
}

async function readEntries() {
  if (entries.peek().length > 0) return;
  try {
    const cards = await api.gallery();
    entries.set(
      cards.map(({name, title, paper}) => ({
        title,
        kind: paper.citation,
        act: () => go(api.entryAddress(name)),
      })),
    );
  } catch {
    // They are missing until the palette is opened again.
  }
}
