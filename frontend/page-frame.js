// @ts-check
/** What the pages of studies and of the gallery have around their content. */
import {icon} from "./icons.js";
import {silentSince} from "./lib/again.js";
import {clock} from "./lib/format.js";
import {append, h} from "./lib/h.js";
import {announcement} from "./lib/take.js";
import {pages} from "./pages.js";
import {access, door, enter, followFragment} from "./session.js";
import {followState} from "./state.js";
import {followTheme, themeButton} from "./theme.js";

const banner = () =>
  h(
    "div",
    {role: "status", class: "banner-place"},
    () =>
      silentSince() > 0 &&
      h(
        "p",
        {class: "banner"},
        icon("warning"),
        `The server does not answer: this is from ${clock(silentSince())}. Nothing is lost; trying again …`,
      ),
  );

/**
 * Fill the page.
 * @param {string} path as the bar of pages names it
 * @param {() => any} content made once the visitor is known
 */
export function fillPage(path, content) {
  followTheme();
  followState();
  followFragment();
  append(/** @type {HTMLElement} */ (document.querySelector("#page")), [
    h(
      "header",
      {class: "top"},
      h("h1", null, "Gradient Lab"),
      pages(path),
      h("div", {class: "tools"}, themeButton()),
    ),
    banner(),
    h("main", {id: "main", tabindex: "-1"}, () =>
      access() === "in" ? content() : access() === "out" ? door() : null,
    ),
    h("div", {class: "said", role: "status"}, announcement),
  ]);
  enter();
}
