// @ts-check
/** The page of one run: what it is, what it does, and a tab for each kind of question about it. */
import {addressOfRun, pageRun} from "../lab.js";
import {append, h} from "../lib/h.js";
import {computed, effect, signal, untracked} from "../lib/signal.js";
import {tab} from "../router.js";
import {find, listed, readRun} from "../runs/known-runs.js";
import {replace} from "../state.js";
import {head} from "./head.js";
import {tabControls} from "./tab-names.js";
import {TABS, tabBar} from "./tabs.js";

export const title = "Run";

/** @param {{number: string}} params the run's number; its id leads to the address with the number */
export function page({number}) {
  const isMissing = signal(false);
  effect(() => {
    if (!listed()) return;
    untracked(() =>
      readRun(number).then(
        (isThere) => {
          const called = find(number);
          if (called) replace(addressOfRun(called));
          else isMissing.set(!isThere);
        },
        () => undefined, // the banner says that the server does not answer
      ),
    );
  });
  const id = computed(() => pageRun()?.id ?? "");
  let wasThere = false;
  return () => {
    if (id()) {
      wasThere = true;
      return untracked(content);
    }
    return isMissing() || wasThere ? missing(number) : null;
  };
}

function content() {
  const run = () => /** @type {import("../types.js").Run} */ (pageRun() ?? last);
  // A run that was deleted is shown as it was until the page is left.
  let last = pageRun();
  effect(() => {
    last = pageRun() ?? last;
  });
  if (run().kind === "microscope" && run().parent) return ofItsParent(run());
  effect(() => {
    document.title = `${share(run())}#${run().number} ${run().name} · Gradient Lab`;
  });
  const chosen = computed(() => (TABS.some(({name}) => name === tab()) ? tab() : ""));
  return h(
    "div",
    {class: "run-page"},
    head(run),
    tabBar(run, chosen),
    h("div", {class: "run-tab"}, () => {
      const body = TABS.find(({name}) => name === chosen())?.body;
      return untracked(() => {
        tabControls.set([]);
        return body?.(run);
      });
    }),
  );
}

/** The part that is done of a run that goes on, for the title of the tab. @param {import("../types.js").Run} run */
const share = ({status, step, steps}) =>
  status === "running" && steps ? `${Math.floor((100 * step) / steps)} % ` : "";

/** A microscope stands on the page of the run that it looks at. @param {import("../types.js").Run} run */
function ofItsParent(run) {
  const place = h("div");
  readRun(run.parent ?? "").then(() => {
    const address = addressOfRun(run);
    if (address !== `/runs/${run.number}`) replace(address);
    else append(place, h("p", {class: "empty"}, "The run that it looks at was deleted."));
  });
  return place;
}

/** @param {string} number */
const missing = (number) =>
  h(
    "section",
    {class: "centre", "aria-labelledby": "no-run"},
    h("h1", {id: "no-run"}, "There is no such run"),
    h(
      "p",
      null,
      `Run ${number} is not in this lab: it was deleted, or the address is of another lab. `,
      h("a", {href: "/runs"}, "See all runs"),
    ),
  );
