// @ts-check
/** Sharing: the shown runs become a dashboard, with a read-only link and a file of its own. */
import * as api from "./api.js";
import {count, date} from "./lib/format.js";
import {h} from "./lib/h.js";
import {signal} from "./lib/signal.js";
import {copy, say} from "./lib/take.js";
import {twice} from "./lib/twice.js";
import {icon} from "./icons.js";
import {shownRuns} from "./lab.js";

/** @typedef {import("./types.js").ListedShare} ListedShare */
/** @typedef {{dashboard: string, url: string, local: boolean}} Made */

/** A button and its dialog. */
export function shareButton() {
  const made = signal(/** @type {Made | null} */ (null));
  const links = signal(/** @type {ListedShare[] | null} */ (null));
  const problem = signal("");
  const busy = signal(false);
  const title = h("input", {
    id: "share-title",
    type: "text",
    maxlength: "200",
    autocomplete: "off",
  });

  /** @param {() => Promise<any>} act */
  async function attempt(act) {
    if (busy.peek()) return;
    busy.set(true);
    problem.set("");
    try {
      await act();
      links.set(await api.shares());
    } catch (error) {
      problem.set(error instanceof Error ? error.message : String(error));
    } finally {
      busy.set(false);
    }
  }

  async function make() {
    const dashboard = await api.makeDashboard(
      title.value,
      shownRuns().map((run) => run.id),
    );
    const {url, local} = await api.share(dashboard.id);
    made.set({dashboard: dashboard.id, url, local});
  }

  /** @param {ListedShare} link */
  async function revoke({id, dashboard, title}) {
    await api.revoke(id);
    if (made.peek()?.dashboard === dashboard) made.set(null);
    say(`The link to “${title}” is revoked.`);
    heading.focus();
  }

  const heading = h("h3", {id: "links-heading", tabindex: "-1"}, "Links of this lab");
  const form = () => [
    h("p", null, () =>
      shownRuns()
        .map((run) => `#${run.number} ${run.name}`)
        .join(", "),
    ),
    h(
      "form",
      {
        onsubmit: (/** @type {Event} */ event) => {
          event.preventDefault();
          attempt(make);
        },
      },
      h("label", {for: "share-title"}, "Title"),
      title,
      h(
        "button",
        {class: "primary", type: "submit", "aria-disabled": () => busy() && "true"},
        () => (busy() ? "Making the link…" : made() ? "Make another link" : "Make a link"),
      ),
    ),
  ];

  const dialog = h(
    "dialog",
    {class: "dialog", "aria-labelledby": "share-heading"},
    h("h2", {id: "share-heading"}, "Share these runs"),
    () => (shownRuns().length > 0 ? form() : h("p", {class: "quiet"}, "Tick a run to share it.")),
    h("p", {class: "problem", role: "alert"}, problem),
    () => made() && result(/** @type {Made} */ (made())),
    heading,
    () => linkList(links(), (link) => attempt(() => revoke(link))),
    h("button", {type: "button", class: "plain close", onclick: () => dialog.close()}, "Close"),
  );

  function open() {
    const [first, ...more] = shownRuns();
    made.set(null);
    title.value = first
      ? (first.name || first.labels.driver) + (more.length ? ` and ${more.length} more` : "")
      : "";
    dialog.showModal();
    title.select();
    attempt(async () => undefined);
  }
  return [
    h(
      "button",
      {type: "button", class: "act", onclick: open, title: "Share the shown runs, revoke links"},
      icon("share"),
      "Share",
    ),
    dialog,
  ];
}

/** @param {ListedShare[] | null} links @param {(link: ListedShare) => any} revoke */
function linkList(links, revoke) {
  if (!links) return h("p", {class: "quiet"}, "Reading the links…");
  if (links.length === 0) return h("p", {class: "quiet"}, "There is none.");
  return h(
    "ul",
    {class: "links", "aria-labelledby": "links-heading"},
    links.map((link) =>
      h(
        "li",
        null,
        h("span", null, link.title),
        h(
          "span",
          {class: "quiet"},
          `${link.runs === 1 ? "1 run" : `${count(link.runs)} runs`}, made ${date(link.created)}`,
        ),
        twice(
          {
            text: "Revoke",
            final: "Revoke for good",
            label: (armed) => `${armed ? "Really revoke" : "Revoke"} the link to ${link.title}`,
          },
          () => revoke(link),
        ),
      ),
    ),
  );
}

/** @param {Made} made */
function result({dashboard, url, local}) {
  return h(
    "div",
    {class: "share-result", role: "status"},
    h("label", {for: "share-url"}, "Read-only link"),
    h(
      "div",
      {class: "control"},
      h("input", {
        id: "share-url",
        type: "text",
        readonly: true,
        value: url,
        onfocus: (/** @type {FocusEvent} */ event) =>
          /** @type {HTMLInputElement} */ (event.target).select(),
      }),
      h("button", {type: "button", class: "act", onclick: () => copy(url)}, icon("copy"), "Copy"),
    ),
    h(
      "p",
      {class: local ? "note warning" : "note"},
      local
        ? "This link works on this machine only: the lab listens on this machine's own address. For others, send the file, or start the lab with --public-url."
        : "Whoever has this link can look, and change nothing.",
    ),
    h(
      "a",
      {class: "act", href: api.exportDashboardUrl(dashboard), download: ""},
      icon("down"),
      "One HTML file, opens offline",
    ),
  );
}
