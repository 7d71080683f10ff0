// @ts-check
/** The bar at the top of every page: the pages, what the workers do, and the way to a new run. */
import {h} from "./lib/h.js";
import {icon} from "./icons.js";
import {counted} from "./lib/format.js";
import {computed} from "./lib/signal.js";
import {openPalette} from "./palette.js";
import {PAGES} from "./pages.js";
import {area} from "./router.js";
import {runs} from "./runs/known-runs.js";
import {access} from "./session.js";
import {themeButton} from "./theme.js";

/** @param {() => void} openKeys */
export const topBar = (openKeys) =>
  h(
    "header",
    {class: "top"},
    h("a", {class: "brand", href: "/"}, mark(), "Gradient Lab"),
    links("pages"),
    h(
      "div",
      {class: "tools"},
      () => access() === "in" && [find(), workers()],
      themeButton(),
      h(
        "button",
        {
          type: "button",
          class: "tool",
          "aria-label": "Help and keys",
          title: "Help and keys (?)",
          onclick: openKeys,
        },
        "?",
      ),
      () =>
        access() === "in" &&
        h(
          "a",
          {class: "primary new-run-link", href: "/new"},
          icon("plus"),
          "New run",
          h("kbd", null, "n"),
        ),
    ),
  );

const find = () =>
  h(
    "button",
    {type: "button", class: "jump", "aria-label": "Search or jump to", onclick: openPalette},
    icon("search"),
    h("span", null, "Search or jump to…"),
    h("kbd", null, "/"),
  );

/** How many runs of this lab go on now. */
function workers() {
  const busy = computed(() => runs().filter(({status}) => status === "running").length);
  return h("span", {class: "workers", role: "status"}, () =>
    busy() > 0 ? `${counted(busy(), "run")} in progress` : "",
  );
}

/** Links to the pages. @param {string} name of the class */
const links = (name) =>
  h(
    "nav",
    {class: name, "aria-label": "Pages"},
    PAGES.filter((page) => page.name).map(({pattern, name: title}) =>
      h("a", {href: pattern, "aria-current": () => pattern === area() && "page"}, title),
    ),
  );

const mark = () =>
  h("img", {src: "/static/icon.svg", alt: "", width: "24", height: "24", class: "brand-mark"});
