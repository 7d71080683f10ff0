// @ts-check
/** The form of a new run: the configuration, drawn from the catalogue's schemas. */
import {Refusal, Silence} from "../api.js";
import {h} from "../lib/h.js";
import {effect, signal, untracked} from "../lib/signal.js";
import {icon} from "../icons.js";
import {catalogue, start} from "../lab.js";
import {freshId, locate, problemLine, sentence} from "./node.js";
import {parts} from "./parts.js";
import {repeated} from "./twins.js";

/** @typedef {import("./node.js").FormNode} FormNode */

const DRAFT = "gradlab draft";

/** The configuration to start from; setting it fills the form anew. */
export const model = signal(/** @type {any} */ (null));

/** How many runs were asked for and are not there yet. */
const starting = signal(0);
/** @type {Promise<any>} settled when all have been started that were asked for */
let previous = Promise.resolve();

/** Every press counts: a run is started when those before it have been. @param {any} config */
function startInTurn(config) {
  starting.update((n) => n + 1);
  const mine = previous.then(() => start(config)).finally(() => starting.update((n) => n - 1));
  previous = mine.catch(() => undefined);
  return mine;
}

/** @param {number} n */
const startingWords = (n) => (n === 0 ? "" : n === 1 ? "Starting 1 run…" : `Starting ${n} runs…`);

/** Fill the form with a run's configuration. @param {any} config */
export function edit(config) {
  model.set(structuredClone(config));
  document.querySelector("#new-run")?.scrollIntoView({block: "start"});
  /** @type {HTMLElement | null} */ (document.querySelector("#new-run input"))?.focus();
}

/** The form, made anew when the catalogue or the model changes; what was typed is kept. */
export function runForm() {
  const place = h("div", {class: "form-place"}, h("p", {class: "quiet"}, "Reading the catalogue…"));
  let read = () => /** @type {any} */ (undefined);
  let last = model.peek();
  effect(() => {
    const [known, wanted] = [catalogue(), model()];
    if (!known) return;
    const config = wanted !== last ? wanted : (read() ?? draft() ?? known.greeting);
    last = wanted;
    untracked(() => {
      const form = build(known, config ?? known.greeting);
      read = form.read;
      place.replaceChildren(form.element);
    });
  });
  return place;
}

function draft() {
  const text = sessionStorage.getItem(DRAFT);
  return text ? JSON.parse(text) : null;
}

/** @param {import("../types.js").Catalogue} known @param {any} config */
function build(known, config) {
  const nodes = parts(known, config);
  const tree = whole(nodes);
  const {line, message} = problemLine(freshId("form"));
  const wrong = signal(0);
  let presses = 0;
  const twin = signal(repeated(tree.read()));

  async function submit(/** @type {Event} */ event) {
    event.preventDefault();
    tree.complain("");
    message.set("");
    wrong.set(0);
    const asked = tree.read();
    const mine = ++presses;
    try {
      await startInTurn(asked);
      // Where the form stands above the runs, what was started is out of sight.
      if (matchMedia("(width < 900px)").matches) document.querySelector(".runs")?.scrollIntoView();
    } catch (error) {
      const same = mine === presses && JSON.stringify(tree.read()) === JSON.stringify(asked);
      refused(error, same);
    }
  }

  /** @param {unknown} error @param {boolean} same whether the form is still what was refused */
  function refused(error, same) {
    if (error instanceof Refusal && !same)
      return message.set(`What you asked for before is refused: ${sentence(error.message)}`);
    if (error instanceof Refusal && error.problems.length) {
      message.set(place(tree, error.problems));
      wrong.set(complained(body).length);
      return visit(complained(body)[0]);
    }
    if (error instanceof Refusal || error instanceof Silence)
      return message.set(sentence(error.message));
    throw error;
  }

  /** Show the policy on unconverged solves where the network has some. @param {any} network */
  function fit(network) {
    const entry = known.networks.find(({name}) => name === network?.name);
    nodes.on_unconverged_solve.element.hidden = !entry?.has_equilibrium;
  }
  fit(config.network);

  function changed() {
    const now = tree.read();
    fit(now.network);
    sessionStorage.setItem(DRAFT, JSON.stringify(now));
    twin.set(repeated(now));
    wrong.set(complained(body).length);
  }

  const body = h("div", {class: "form-body"}, sections(nodes, twin));
  const element = h(
    "form",
    {class: "run-form", novalidate: true, onsubmit: submit, oninput: changed},
    body,
    h(
      "div",
      {class: "form-end"},
      h(
        "div",
        {role: "alert"},
        () => wrong() > 0 && summary(wrong(), () => visit(complained(body)[0])),
        line,
      ),
      h("p", {class: "quiet starting", role: "status"}, () => startingWords(starting())),
      h("button", {class: "primary", type: "submit"}, icon("play"), "Run"),
      h("button", {type: "button", class: "plain", onclick: () => reset(known)}, "Start over"),
    ),
  );
  return {element, read: tree.read};
}

/** The problems that stand beside their fields. @param {HTMLElement} body */
const complained = (body) => [...body.querySelectorAll(".problem:not([hidden])")];

/** @param {number} count @param {() => void} onclick */
const summary = (count, onclick) =>
  h(
    "button",
    {type: "button", class: "form-problems", onclick},
    icon("warning"),
    count === 1 ? "1 field needs attention" : `${count} fields need attention`,
  );

/** Go to the control that a problem is about, wherever it is folded away. @param {Element} [line] */
function visit(line) {
  for (let at = line?.closest("details"); at; at = at.parentElement?.closest("details"))
    at.open = true;
  const control = line?.parentElement?.querySelector("[aria-invalid], summary, select, input");
  if (control instanceof HTMLElement) control.focus();
}

/** @param {import("../types.js").Catalogue} known */
function reset(known) {
  sessionStorage.removeItem(DRAFT);
  model.set(structuredClone(known.greeting));
}

/**
 * All parts as one node: what is posted, and where its problems belong.
 * @param {Record<string, FormNode>} nodes
 * @returns {FormNode}
 */
function whole({length, ...nodes}) {
  return {
    element: h("div"),
    read: () => ({
      ...Object.fromEntries(Object.entries(nodes).map(([name, node]) => [name, node.read()])),
      ...length.read(),
    }),
    child: (name) => (name === "steps" || name === "epochs" ? length : nodes[name]),
    complain: () => [length, ...Object.values(nodes)].forEach((node) => node.complain("")),
    focus: () => {},
  };
}

/** @param {Record<string, FormNode>} nodes @param {() => string} twin */
function sections(nodes, twin) {
  const roomy = matchMedia("(width >= 700px)").matches;
  const box = (/** @type {string} */ title, /** @type {string[]} */ names, open = true) =>
    h(
      "details",
      {class: "form-section", open},
      h("summary", null, title),
      h(
        "fieldset",
        {"aria-label": title},
        names.map((name) => nodes[name].element),
        names.includes("shadows") && h("p", {class: "note warning", role: "status"}, twin),
      ),
    );
  return [
    nodes.name.element,
    box("Task", ["dataset", "network", "loss"]),
    box("Gradient estimators", ["estimator", "shadows"]),
    box(
      "Training",
      ["optimizer", "length", "batch_size", "seed", "device", "on_unconverged_solve"],
      roomy,
    ),
    box("Probe", ["probe"], roomy),
  ];
}

/**
 * Show each problem beside its field, and say what has no place.
 * @param {FormNode} tree
 * @param {import("../types.js").Problem[]} problems
 */
function place(tree, problems) {
  const homeless = [];
  for (const {loc, msg} of problems) {
    const node = locate(tree, loc[0] === "body" ? loc.slice(1) : loc);
    if (node === tree) {
      homeless.push(loc.length ? `${loc.join(" › ")}: ${msg}` : sentence(msg));
      continue;
    }
    node.complain(sentence(msg));
  }
  return homeless.join(" ");
}
