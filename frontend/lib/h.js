// @ts-check
/**
 * Elements: `h("p", {class: "note"}, "text", () => signal())`. A function as an attribute or a
 * child is read again when its signals change. Text is always text: there is no way to HTML here.
 */
import {effect, onEnd, root, signal, untracked} from "./signal.js";

/** @typedef {Node | string | number | null | undefined | false | (() => any) | any[]} Child */

const SVG = "http://www.w3.org/2000/svg";

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, any> | null} [props]
 * @param {Child[]} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, props, ...children) {
  return fill(document.createElement(tag), props, children);
}

/**
 * The same for SVG.
 * @param {string} tag
 * @param {Record<string, any> | null} [props]
 * @param {Child[]} children
 */
export function svg(tag, props, ...children) {
  return fill(/** @type {SVGElement} */ (document.createElementNS(SVG, tag)), props, children);
}

/**
 * @template {Element} E
 * @param {E} element
 * @param {Record<string, any> | null | undefined} props
 * @param {Child[]} children
 */
function fill(element, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) attribute(element, name, value);
  append(element, children);
  return element;
}

/** @param {Element} element @param {string} name @param {any} value */
function attribute(element, name, value) {
  if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
  else if (typeof value === "function") effect(() => assign(element, name, value()));
  else assign(element, name, value);
}

/** @param {any} element @param {string} name @param {any} value */
function assign(element, name, value) {
  if (name === "value" || name === "checked" || name === "selected") element[name] = value;
  else if (value === false || value == null) element.removeAttribute(name);
  else element.setAttribute(name, value === true ? "" : String(value));
}

/** @param {Node} parent @param {Child} child */
export function append(parent, child) {
  if (Array.isArray(child)) for (const each of child) append(parent, each);
  else if (typeof child === "function") parent.appendChild(live(child));
  else if (child instanceof Node) parent.appendChild(child);
  else if (child != null && child !== false) parent.appendChild(new Text(String(child)));
}

/**
 * Nodes between two marks, made anew when a signal that `child` reads changes.
 * @param {() => any} child
 */
function live(child) {
  const [start, end] = [new Comment(), new Comment()];
  const range = new DocumentFragment();
  range.append(start, end);
  effect(() => {
    const fresh = new DocumentFragment();
    append(fresh, child());
    while (start.nextSibling !== end) start.nextSibling?.remove();
    end.before(fresh);
  });
  return range;
}

/**
 * A keyed list: an item's element lives as long as its key, so focus and open details survive.
 * @template T
 * @param {() => T[]} items
 * @param {(item: T) => string} key
 * @param {(item: () => T) => Element} render
 * @param {(element: Element) => void} [leaving] called before an element is removed
 */
export function each(items, key, render, leaving) {
  const [start, end] = [new Comment(), new Comment()];
  const range = new DocumentFragment();
  range.append(start, end);
  /**
   * @type {Map<string, {item: import("./signal.js").Signal<T>, element: Element, end: () => void}>}
   */
  const kept = new Map();
  effect(() => {
    const now = items();
    untracked(() => reconcile(now));
  });
  onEnd(() => kept.forEach((row) => row.end()));
  /** @param {T[]} now */
  function reconcile(now) {
    const keys = new Set(now.map(key));
    for (const [id, row] of kept) if (!keys.has(id)) drop(id, row);
    /** @type {Node} */
    let last = start;
    for (const item of now) {
      const row = kept.get(key(item)) ?? make(item);
      row.item.set(item);
      if (last.nextSibling !== row.element) /** @type {ChildNode} */ (last).after(row.element);
      last = row.element;
    }
  }
  /** @param {T} item */
  function make(item) {
    const value = signal(item);
    /** @type {Element | undefined} */
    let element;
    const end = root(() => (element = render(value)));
    const row = {
      item: value,
      element: /** @type {Element} */ (/** @type {unknown} */ (element)),
      end,
    };
    kept.set(key(item), row);
    return row;
  }
  /** @param {string} id @param {{element: Element, end: () => void}} row */
  function drop(id, row) {
    leaving?.(row.element);
    row.end();
    row.element.remove();
    kept.delete(id);
  }
  return range;
}

/**
 * A custom element whose `setup` returns nothing or what to do when it leaves the page.
 * @param {string} name @param {(element: HTMLElement) => void} setup
 */
export function define(name, setup) {
  class Element extends HTMLElement {
    #end = () => {};
    connectedCallback() {
      this.#end = root(() => setup(this));
    }
    disconnectedCallback() {
      this.#end();
    }
  }
  customElements.define(name, Element);
}
