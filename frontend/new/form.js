// @ts-check
/** The form of a new run: its settings in groups, problems at their fields, and how it is started. */
import * as api from "../api.js";
import {freshId, locate, problemLine, sentence} from "../form/node.js";
import {parts} from "../form/parts.js";
import {repeated} from "../form/twins.js";
import {start} from "../lab.js";
import {h} from "../lib/h.js";
import {computed, effect, signal, untracked} from "../lib/signal.js";
import {go} from "../state.js";
import {differences} from "./differences.js";
import {groups} from "./groups.js";
import {defaultName, entryOf, hasOwnLoss} from "./titles.js";

/** @typedef {import("../form/node.js").FormNode} FormNode */
/** @typedef {import("./draft.js").Draft} Draft */
/** @typedef {(import("../types.js").Problem & {remedies?: import("../types.js").Remedy[]})[]} Problems */

const LEFT_MS = 300;

/** How many runs were asked for and are not there yet. */
export const starting = signal(0);
/** @type {Promise<any>} settled when all have been started that were asked for */
let previous = Promise.resolve();

/** Every press counts: what it asks for is started when those before it have been. @param {() => Promise<any>} begin */
function inTurn(begin) {
  starting.update((n) => n + 1);
  const mine = previous.then(begin).finally(() => starting.update((n) => n - 1));
  previous = mine.catch(() => undefined);
  return mine;
}

/**
 * The settings of a draft, made anew with its model.
 * @param {Draft} draft
 */
export function settingsForm(draft) {
  const place = h("div", {
    class: "setting-groups",
    oninput: changed,
    onchange: named,
    onfocusout: left,
  });
  const {line, message} = problemLine(freshId("form"));
  /** What became of a press, which the lab's answers about the draft leave. */
  const pressed = problemLine(freshId("pressed"));
  const wrong = signal(0);
  const differ = computed(() => {
    const origin = draft.origin();
    return origin ? differences(origin.config, draft.now()) : [];
  });
  const twin = computed(() => repeated(draft.now()));
  const namePlace = h("div", {class: "run-name-field", oninput: changed, onchange: named});
  /** @type {FormNode} */
  let tree;
  /** @type {Record<string, FormNode>} */
  let nodes = {};
  let presses = 0;

  effect(() => {
    const config = draft.model();
    untracked(() => make(config));
  });
  effect(() => {
    const told = draft.answer();
    if (told) untracked(() => mark(told.problems, true));
  });

  /** @param {any} config */
  function make(config) {
    const focused = focusedPart();
    nodes = parts(draft.known, config, draft.unsuited);
    tree = whole(nodes);
    fit(config);
    place.replaceChildren(...groups(nodes, draft.now, differ, twin, opened));
    namePlace.replaceChildren(nodes.name.element);
    draft.made(tree.read());
    if (focused) nodes[focused]?.focus();
  }

  /** @param {string} title of a group */
  function opened(title) {
    if (title === "Driver") draft.judge();
  }

  /** The part in which the focus is. */
  function focusedPart() {
    return Object.keys(nodes).find((name) => nodes[name].element.contains(document.activeElement));
  }

  /**
   * Show the policy on unconverged solves where the network has some, and the loss where the data
   * have none of their own.
   * @param {any} config
   */
  function fit({network, dataset}) {
    nodes.on_unconverged_solve.element.hidden = !entryOf("networks", network)?.has_equilibrium;
    nodes.loss.element.hidden = hasOwnLoss(dataset) && !isWrong(nodes.loss.element);
  }

  function changed() {
    const read = tree.read();
    fit(read);
    const input = nameInput();
    if (document.activeElement === input)
      draft.isNamed.set(read.name.trim() !== "" && read.name !== defaultName(read));
    else if (!draft.isNamed.peek()) read.name = input.value = defaultName(read);
    draft.change(read);
    wrong.set(complained().length);
  }

  const nameInput = () =>
    /** @type {HTMLInputElement} */ (nodes.name.element.querySelector("input"));

  /** A name that was deleted is the default one again. */
  function named() {
    if (draft.isNamed.peek() || nameInput().value !== "") return;
    nameInput().value = defaultName(draft.now.peek());
    draft.change(tree.read());
  }

  /**
   * Show the problems beside their fields; those without a place are said below.
   * @param {Problems} problems
   * @param {boolean} [isLive] whether nobody has asked: what is being typed is left alone, and data
   *   that are not here are told by their field itself
   */
  function mark(problems, isLive = false) {
    const placed = problems.map((problem) => {
      const path = problem.loc[0] === "body" ? problem.loc.slice(1) : problem.loc;
      const node = locate(tree, path);
      return {...problem, path, node, isMarked: isWrong(node.element)};
    });
    tree.complain("");
    message.set("");
    document.querySelectorAll(".remedies").forEach((each) => each.remove());
    const homeless = [];
    for (const {path, msg, remedies, node, isMarked} of placed) {
      if (node === tree) homeless.push(path.length ? `${path.join(" › ")}: ${msg}` : sentence(msg));
      else if (!isLive || isMarked || !isLeftAlone(node)) {
        node.complain(sentence(msg));
        if (remedies?.length) offer(node, remedies);
      }
    }
    message.set(homeless.join(" "));
    fit(tree.read());
    wrong.set(complained().length);
  }

  /** What was left alone is marked once the reader has gone on: a line that appears while the mouse is
   * down would take the place under it away. */
  function left() {
    setTimeout(() => {
      const told = draft.answer.peek();
      if (told && draft.isCurrent()) mark(told.problems, true);
    }, LEFT_MS);
  }

  /** @param {FormNode} node @param {import("../types.js").Remedy[]} remedies */
  function offer(node, remedies) {
    const said = node.element.querySelector(".problem:not([hidden])");
    said?.after(
      h(
        "span",
        {class: "remedies"},
        remedies.map(({text, changes}) =>
          h("button", {type: "button", class: "act", onclick: () => apply(changes)}, text),
        ),
      ),
    );
  }

  /** @param {Record<string, any>} changes */
  function apply(changes) {
    const chosen = /** @type {const} */ (["dataset", "loss", "network"]).find(
      (part) => part in changes,
    );
    draft.fill({...draft.now.peek(), ...changes}, {chosen});
    nodes[Object.keys(changes)[0]]?.focus();
  }

  /** The problems that stand beside their fields. */
  function complained() {
    return [namePlace, place].flatMap((each) => [
      ...each.querySelectorAll(".problem:not([hidden])"),
    ]);
  }

  /** Go to the first problem, wherever it is folded away. */
  const visitProblem = () =>
    show(complained()[0]?.parentElement, "[aria-invalid], summary, select, input");

  /**
   * Start what the form says.
   * @param {boolean} [onlyFirst] whether the first of several runs alone
   */
  async function begin(onlyFirst = false) {
    const mine = ++presses;
    await draft.settled();
    const asked = tree.read();
    mark([]);
    pressed.message.set("");
    try {
      await inTurn(() => send(asked, onlyFirst));
    } catch (error) {
      const same = mine === presses && JSON.stringify(tree.read()) === JSON.stringify(asked);
      refused(error, same);
    }
  }

  /** @param {any} config @param {boolean} onlyFirst */
  async function send(config, onlyFirst) {
    const isStudy = hasSeveral(config);
    if (!isStudy) return start(config);
    const told = await api.inspectDraft(config, "");
    if (told.problems.length > 0) throw new api.Refusal(422, told.problems);
    if (onlyFirst) return start(first(config));
    const {id} = await api.startStudyOf(told.document);
    go(api.studyAddress(id));
  }

  /** @param {unknown} error @param {boolean} same whether the form is still what was refused */
  function refused(error, same) {
    if (!(error instanceof api.Refusal || error instanceof api.Silence)) throw error;
    if (error instanceof api.Refusal && !same)
      pressed.message.set(`What you asked for before is refused: ${sentence(error.message)}`);
    else if (error instanceof api.Refusal && error.problems.length) {
      mark(withRemedies(error.problems));
      visitProblem();
    } else pressed.message.set(sentence(error.message));
  }

  /** What the lab has said of the draft knows remedies. @param {Problems} problems @returns {Problems} */
  const withRemedies = (problems) => {
    const told = draft.answer.peek()?.problems ?? [];
    void draft.check();
    // What it says of a problem is the beginning of the refusal, without advice to programmers.
    const ofDraft = (/** @type {import("../types.js").Problem} */ {loc, msg}) =>
      told.find((each) => `${each.loc}` === `${loc}` && msg.startsWith(each.msg));
    return problems.map((problem) => ofDraft(problem) ?? problem);
  };

  return {
    element: place,
    name: namePlace,
    lines: [line, pressed.line],
    wrong,
    differ,
    begin,
    visitProblem,
    /** Open the field of a setting and go there. @param {string} path */
    open(path) {
      const node = locate(tree, path.split("."));
      show(node.element);
      if (node.element.matches(".shadow")) show(node.element.querySelector(".group"));
      node.focus();
    },
  };
}

/** @typedef {ReturnType<typeof settingsForm>} SettingsForm */

/** Open what an element is folded away in, and put the focus on a control in it. @param {Element | null | undefined} element @param {string} [control] */
function show(element, control) {
  for (let at = element?.closest("details"); at; at = at.parentElement?.closest("details"))
    at.open = true;
  const found = control && element?.querySelector(control);
  if (found instanceof HTMLElement) found.focus();
}

/** Whether a field tells of its problem itself, or is being typed in. @param {FormNode} node */
const isLeftAlone = ({element}) =>
  element.matches(".data-folder") ||
  (document.activeElement?.matches("input[type=text]") && element.contains(document.activeElement));

/** @param {Element} element */
const isWrong = (element) => element.querySelector(".problem:not([hidden])") !== null;

/** Whether a field has several values. @param {any} part @returns {boolean} */
const hasSeveral = (part) =>
  Object.entries(part ?? {}).some(
    ([name, value]) =>
      name !== "shadows" &&
      (Array.isArray(value) || (typeof value === "object" && hasSeveral(value))),
  );

/** The configuration at the first value of each field. @param {any} part @returns {any} */
const first = (part) =>
  Object.fromEntries(
    Object.entries(part).map(([name, value]) => {
      if (name === "shadows" || value === null || typeof value !== "object") return [name, value];
      return [name, Array.isArray(value) ? value[0] : first(value)];
    }),
  );

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
    child: (name) => (["steps", "epochs", "length"].includes(String(name)) ? length : nodes[name]),
    complain: () => [length, ...Object.values(nodes)].forEach((node) => node.complain("")),
    focus: () => {},
  };
}
