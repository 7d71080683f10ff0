// @ts-check
/** The lab in a browser: the bar at the top, the page that the address names, and the dialogs. */
import {icon} from "./icons.js";
import {keysDialog} from "./keys.js";
import {followLab} from "./lab.js";
import {clock} from "./lib/format.js";
import {append, h} from "./lib/h.js";
import {computed, effect, untracked} from "./lib/signal.js";
import {announcement} from "./lib/take.js";
import {loadPlotly} from "./plot.js";
import {followPageLinks, openPage} from "./router.js";
import {forkFromDialog} from "./runs/fork-from.js";
import {listed} from "./runs/known-runs.js";
import {microscopeDialog} from "./runs/microscope.js";
import {followStudy} from "./runs/study.js";
import {access, door, enter, followFragment} from "./session.js";
import {followState, path} from "./state.js";
import {followTab, heard, isLive, on, openStream} from "./stream.js";
import {followTheme} from "./theme.js";
import {topBar} from "./top-bar.js";

const keys = keysDialog();

const silent = computed(() => !isLive() || access() === "silent");

const banner = () =>
  h("div", {role: "status", class: "banner-place"}, () =>
    silent()
      ? h(
          "p",
          {class: "banner"},
          icon("warning"),
          `Not live since ${clock(untracked(heard))}: the server does not answer. Nothing is lost; trying again …`,
        )
      : null,
  );

/** @param {HTMLElement} page */
function show(page) {
  append(page, [
    topBar(() => keys.showModal()),
    banner(),
    h("main", {id: "main", tabindex: "-1"}, () =>
      access() === "in" ? openPage() : access() === "out" ? door() : null,
    ),
    h("div", {class: "said", role: "status"}, announcement),
    keys,
    microscopeDialog(),
    forkFromDialog(),
  ]);
}

followTheme();
followState();
followFragment();
followPageLinks();
followLab();
followStudy();
followTab();
on("denied", () => access.set("out"));
effect(() => {
  // Everything is read as soon as the stream is open.
  if (access() === "in") untracked(openStream);
});
const whenIdle =
  globalThis.requestIdleCallback ?? ((/** @type {() => void} */ f) => setTimeout(f, 200));
effect(() => {
  // Once the page is usable, so that Run need not wait for it; a chart asks again if this fails.
  // Home draws without it.
  if (access() === "in" && listed() && path() !== "/")
    whenIdle(() => void loadPlotly().catch(() => undefined));
});
show(/** @type {HTMLElement} */ (document.querySelector("#page")));
enter();
