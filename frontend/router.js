// @ts-check
/** Which page the address names, and the way to another one without loading the document anew. */
import {h} from "./lib/h.js";
import {computed, effect, onEnd, signal, untracked} from "./lib/signal.js";
import {PAGES} from "./pages.js";
import {go, path} from "./state.js";

/** @typedef {import("./pages.js").PageEntry} PageEntry */
/** @typedef {import("./pages.js").PageModule} PageModule */
/** @typedef {import("./pages.js").Params} Params */
/** @typedef {{entry: PageEntry, params: Params}} Match */

/** @param {string} pathname @returns {Match | null} */
function match(pathname) {
  const parts = pathname.split("/").slice(1);
  if (parts.at(-1) === "") parts.pop();
  for (const entry of PAGES) {
    const params = fits(entry.pattern, parts);
    if (params) return {entry, params};
  }
  return null;
}

/** @param {string} pattern @param {string[]} parts of a path @returns {Params | null} */
function fits(pattern, parts) {
  const wanted = pattern.split("/").slice(1).filter(Boolean);
  if (parts.length > wanted.length) return null;
  /** @type {Params} */
  const params = {};
  for (const [i, want] of wanted.entries()) {
    const given = parts[i];
    if (!want.startsWith(":")) {
      if (given !== want) return null;
    } else if (given === undefined) {
      if (!want.endsWith("?")) return null;
    } else params[want.slice(1).replace("?", "")] = decoded(given);
  }
  return params;
}

/** @param {string} part of a path, which a reader may have written by hand */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** What must change before a page is made anew: a tab of it is not. @param {Match | null} now */
const identity = (now) =>
  now && JSON.stringify([now.entry.pattern, {...now.params, tab: undefined}]);

/** The page that is open, as text, so that a change of its tab makes nothing anew. */
const current = computed(() => identity(match(path())) ?? "");

/** The part of a page's address that chooses what it shows; "" for its first. */
export const tab = computed(() => match(path())?.params.tab ?? "");

/** The path of the entry in the top bar to which the open page belongs. */
export const area = computed(() => `/${path().split("/")[1]}`);

/** Load the page that the address names while the visitor is still being let in. */
export const prepare = () =>
  void untracked(() => match(path()))
    ?.entry.load()
    .catch(() => undefined); // it is loaded again, and said, when it is opened

/** The content of the page that the address names. */
export function openPage() {
  const content = signal(/** @type {{module: PageModule, params: Params} | null} */ (null));
  const problem = signal("");
  effect(() => {
    const identified = current();
    let isOpen = true;
    onEnd(() => (isOpen = false));
    content.set(null);
    problem.set("");
    if (identified === "") return;
    const {entry, params} = /** @type {Match} */ (untracked(() => match(path())));
    entry.load().then(
      (module) => isOpen && content.set({module, params}),
      () => isOpen && problem.set("The server did not send its scripts."),
    );
  });
  return () => {
    if (current() === "") return noPage(path());
    if (problem()) return failed(problem());
    const opened = content();
    if (!opened) return null;
    return untracked(() => {
      document.title = `${opened.module.title} · Gradient Lab`;
      return opened.module.page(opened.params);
    });
  };
}

/** @param {string} address that leads nowhere */
const noPage = (address) =>
  h(
    "section",
    {class: "centre", "aria-labelledby": "no-page"},
    h("h1", {id: "no-page"}, "There is no such page"),
    h("p", null, `The lab has no page at ${address}. `, h("a", {href: "/"}, "Go to the home page")),
  );

/** @param {string} sentence */
const failed = (sentence) =>
  h(
    "section",
    {class: "centre", "aria-labelledby": "not-loaded"},
    h("h1", {id: "not-loaded"}, "This page did not load"),
    h("p", {class: "problem", role: "alert"}, sentence),
    h(
      "button",
      {type: "button", class: "plain", onclick: () => location.reload()},
      "Load the page again",
    ),
  );

/** Follow links to pages of the lab without loading the document anew. */
export function followPageLinks() {
  document.addEventListener("click", (event) => {
    const link = /** @type {Element} */ (event.target).closest?.("a[href]");
    if (!(link instanceof HTMLAnchorElement) || !leadsHere(event, link)) return;
    event.preventDefault();
    go(link.href);
    scrollTo(0, 0);
    /** @type {HTMLElement | null} */ (document.querySelector("#main"))?.focus();
  });
}

/** Whether a click opens a page of the lab in this tab. @param {MouseEvent} event @param {HTMLAnchorElement} link */
function leadsHere(event, link) {
  if (event.defaultPrevented || event.button !== 0 || link.target || link.hasAttribute("download"))
    return false;
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return false;
  // A fragment alone leads to a place on the page.
  if (link.getAttribute("href")?.startsWith("#")) return false;
  return link.origin === location.origin && match(link.pathname) !== null;
}
