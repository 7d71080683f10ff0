// @ts-check
/** Getting in: the start URL's token becomes a cookie and leaves the address bar. */
import {Refusal, knock, signIn} from "./api.js";
import {h} from "./lib/h.js";
import {signal} from "./lib/signal.js";

/** @typedef {"asking" | "in" | "out" | "silent"} Access */
export const access = signal(/** @type {Access} */ ("asking"));
const RETRY_MS = 1500;
const ANSWER_MS = 5000;

/** Exchange the address's token, if there is one; else see whether the cookie is good. */
export function enter() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token) history.replaceState(null, "", location.pathname + location.search);
  return attempt(token);
}

/** Again and again, while the server does not answer. @param {string | null} token */
async function attempt(token) {
  try {
    await (token ? signIn(token) : knock(AbortSignal.timeout(ANSWER_MS)));
    access.set("in");
  } catch (error) {
    const known = error instanceof Refusal && [401, 403].includes(error.status);
    access.set(known ? "out" : "silent");
    if (!known) setTimeout(attempt, RETRY_MS, token);
  }
}

/** A start URL pasted over the page's own address changes only the fragment: no reload happens. */
export function followFragment() {
  addEventListener("hashchange", () => {
    if (location.hash.startsWith("#token=")) enter();
  });
}

/** A token by hand, or a whole start URL. @param {string} text */
const tokenIn = (text) => (text.includes("token=") ? text.split("token=")[1] : text).trim();

/** What a visitor without a session sees. */
export function door() {
  const problem = signal("");
  const input = h("input", {
    id: "token",
    type: "password",
    autocomplete: "off",
    spellcheck: "false",
    required: true,
    "aria-describedby": "token-problem",
  });
  async function submit(/** @type {Event} */ event) {
    event.preventDefault();
    try {
      await signIn(tokenIn(input.value));
      access.set("in");
    } catch (error) {
      problem.set(error instanceof Error ? error.message : String(error));
      input.focus();
    }
  }
  return h(
    "section",
    {class: "door", "aria-labelledby": "door-title"},
    h("h1", {id: "door-title"}, "This lab is closed to strangers"),
    h(
      "p",
      null,
      "Open the start URL that the terminal printed when the lab was started, or paste that URL, or its token, here. ",
      "The token is in the file ",
      h("code", null, "token"),
      " of the lab's home, and in the URL that ",
      h("code", null, "gradlab serve"),
      " printed.",
    ),
    h(
      "form",
      {onsubmit: submit},
      h("label", {for: "token"}, "Start URL or token"),
      input,
      h("button", {class: "primary", type: "submit"}, "Enter"),
    ),
    h("p", {class: "problem", id: "token-problem", role: "alert"}, problem),
  );
}
