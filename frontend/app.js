// @ts-check
/** The lab in a browser: the bar at the top, the page that the address names, and the dialogs. */
import {icon} from "./icons.js";
import {bindCommands} from "./commands.js";
import {followHelp} from "./form/node.js";
import {bindKey, followKeys} from "./keys.js";
import {keysDialog} from "./keys-dialog.js";
import {followLab} from "./lab.js";
import {clock} from "./lib/format.js";
import {append, h} from "./lib/h.js";
import {computed, effect, untracked} from "./lib/signal.js";
import {statusLine} from "./lib/take.js";
import {openPalette, palette} from "./palette.js";
import {loadPlotly} from "./plot.js";
import {area, followPageLinks, openPage, prepare} from "./router.js";
import {forkFromDialog} from "./runs/fork-from.js";
import {listed} from "./runs/known-runs.js";
import {followStudy} from "./runs/study.js";
import {access, door, enter, followFragment} from "./session.js";
import {followState} from "./state.js";
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
    statusLine(),
    keys,
    palette(),
    forkFromDialog(),
  ]);
}

followTheme();
followState();
followFragment();
followPageLinks();
followHelp();
followLab();
followStudy();
followTab();
followKeys();
bindCommands();
bindKey("/", openPalette);
bindKey("?", () => keys.showModal());
on("denied", () => access.set("out"));
effect(() => {
  // Everything is read as soon as the stream is open.
  if (access() === "in") untracked(openStream);
});
const whenIdle =
  globalThis.requestIdleCallback ?? ((/** @type {() => void} */ f) => setTimeout(f, 200));
effect(() => {
  // Once the page is usable, so that Run need not wait for it; a chart asks again if this fails.
  // The home page draws without it, and must not stand still while it is read.
  if (access() === "in" && listed() && area() !== "/")
    whenIdle(() => void loadPlotly().catch(() => undefined));
});
prepare();
show(/** @type {HTMLElement} */ (document.querySelector("#page")));
enter();
