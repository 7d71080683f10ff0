// @ts-check
/** Sharing: the shown runs become a dashboard, with a read-only link and a file of its own. */
import * as api from "./api.js";
import {h} from "./lib/h.js";
import {signal} from "./lib/signal.js";
import {copy} from "./lib/take.js";
import {icon} from "./icons.js";
import {shownRuns} from "./lab.js";

/** @typedef {{dashboard: string, url: string, local: boolean}} Made */

/** A button and its dialog. */
export function shareButton() {
  const made = signal(/** @type {Made | null} */ (null));
  const problem = signal("");
  const busy = signal(false);
  const title = h("input", {
    id: "share-title",
    type: "text",
    maxlength: "200",
    autocomplete: "off",
  });

  async function make(/** @type {Event} */ event) {
    event.preventDefault();
    if (busy.peek()) return;
    busy.set(true);
    problem.set("");
    try {
      const dashboard = await api.makeDashboard(
        title.value,
        shownRuns().map((run) => run.id),
      );
      const {url, local} = await api.share(dashboard.id);
      made.set({dashboard: dashboard.id, url, local});
    } catch (error) {
      problem.set(error instanceof Error ? error.message : String(error));
    } finally {
      busy.set(false);
    }
  }

  const dialog = h(
    "dialog",
    {class: "dialog", "aria-labelledby": "share-heading"},
    h("h2", {id: "share-heading"}, "Share these runs"),
    h("p", null, () =>
      shownRuns()
        .map((run) => `#${run.number} ${run.name}`)
        .join(", "),
    ),
    h(
      "form",
      {onsubmit: make},
      h("label", {for: "share-title"}, "Title"),
      title,
      h(
        "button",
        {class: "primary", type: "submit", "aria-disabled": () => busy() && "true"},
        () => (busy() ? "Making the link…" : made() ? "Make another link" : "Make a link"),
      ),
    ),
    h("p", {class: "problem", role: "alert"}, problem),
    () => made() && result(/** @type {Made} */ (made())),
    h("button", {type: "button", class: "plain close", onclick: () => dialog.close()}, "Close"),
  );

  function open() {
    const [first, ...more] = shownRuns();
    made.set(null);
    title.value =
      (first.name || first.labels.driver) + (more.length ? ` and ${more.length} more` : "");
    dialog.showModal();
    title.select();
  }
  return [
    h(
      "button",
      {
        type: "button",
        class: "act",
        disabled: () => shownRuns().length === 0,
        onclick: open,
        title: "Share the shown runs",
      },
      icon("share"),
      "Share",
    ),
    dialog,
  ];
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
