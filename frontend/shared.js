// @ts-check
/** The read-only page of a shared dashboard: the same charts, asked of the share's own address. */
import {Refusal, shared, sharedToken} from "./api.js";
import {boards} from "./charts/board.js";
import {table} from "./charts/table.js";
import {icon} from "./icons.js";
import {count, duration} from "./lib/format.js";
import {append, h} from "./lib/h.js";
import {recorded} from "./runs/findings.js";
import {nats, percent, results} from "./runs/results.js";
import {computed, signal} from "./lib/signal.js";
import {statusLine} from "./lib/take.js";
import {focus, followState} from "./state.js";
import {announce} from "./stream.js";
import {followTheme, themeButton} from "./theme.js";

/** @typedef {import("./types.js").SharedDashboard} SharedDashboard */

const AGAIN_MS = 3000;
const source = shared(sharedToken());
const dashboard = signal(/** @type {SharedDashboard | null} */ (null));
const figures = signal(/** @type {import("./types.js").FigureCatalogue | null} */ (null));
const problem = signal("");
const runs = computed(() => dashboard()?.runs ?? []);
const focused = () => runs().find((run) => run.id === focus()) ?? runs()[0];
const tested = results(source.figure);
const live = () => runs().some((run) => ["queued", "running", "paused"].includes(run.status));

/** Read the dashboard; while a run is live, again and again. */
async function read() {
  try {
    if (!figures.peek()) figures.set(await source.figures());
    dashboard.set(await source.dashboard());
    problem.set("");
    announce("refresh", {});
  } catch (error) {
    problem.set(reason(error));
    if (isGone(error)) return;
  }
  if (live() || (problem() && dashboard())) setTimeout(read, AGAIN_MS);
}

/** No such link, or nothing that could be one. @param {unknown} error */
const isGone = (error) => error instanceof Refusal && [404, 422].includes(error.status);

/** @param {unknown} error */
function reason(error) {
  if (isGone(error)) return "This link leads nowhere: it was revoked, or mistyped.";
  return error instanceof Error ? error.message : String(error);
}

/** @param {SharedDashboard} dashboard */
function summary({runs}) {
  const rows = runs
    .map((run) => ({run, ...tested(run)}))
    .map(({run, accuracy, loss}) => [
      `#${run.number} ${run.name}`,
      run.status,
      `${count(run.step)} / ${count(run.steps)}`,
      run.labels.driver || "the script's own",
      run.labels.shadows.join(", "),
      duration(run.seconds),
      percent(accuracy),
      nats(loss),
    ]);
  return h(
    "div",
    {class: "table-view", tabindex: "0", role: "region", "aria-label": "Runs"},
    table(
      ["run", "status", "steps", "driver", "shadows", "time", "test accuracy", "test loss"],
      rows,
    ),
  );
}

/** What the dashboard shows no more. @param {SharedDashboard} dashboard */
function departed({runs, deleted}) {
  if (deleted === 0) return null;
  const words =
    runs.length === 0
      ? "The runs of this page were deleted in the lab: nothing is left to show."
      : `${deleted === 1 ? "1 run" : `${count(deleted)} runs`} of this page ${deleted === 1 ? "was" : "were"} deleted in the lab. The others are below.`;
  return h("p", {class: "note warning", role: "status"}, words);
}

/** What makes the numbers of a run doubtful, in full. @param {SharedDashboard} dashboard */
const found = ({runs}) =>
  runs.flatMap((run) =>
    recorded(run).map((text) =>
      h("p", {class: "note warning"}, icon("warning"), ` #${run.number} ${run.name}: ${text}`),
    ),
  );

function content() {
  const any = computed(() => runs().length > 0);
  const opened = computed(() => dashboard() !== null);
  return h(
    "div",
    {class: "centre"},
    () => opened() && h("h2", {class: "shared-title"}, () => dashboard()?.title),
    () => dashboard()?.text && h("p", null, dashboard()?.text),
    () => problem() && h("p", {class: "problem", role: "alert"}, problem()),
    () => opened() && departed(/** @type {SharedDashboard} */ (dashboard())),
    () => any() && summary(/** @type {SharedDashboard} */ (dashboard())),
    () => any() && found(/** @type {SharedDashboard} */ (dashboard())),
    () =>
      any() &&
      h(
        "details",
        null,
        h("summary", null, "Configurations"),
        runs().map((run) => h("pre", {tabindex: "0"}, JSON.stringify(run.config, null, 2))),
      ),
    () =>
      any() && boards({runs, focused, figures, fetch: source.figure, dataUrl: null, eager: true}),
  );
}

followTheme();
followState();
append(/** @type {HTMLElement} */ (document.querySelector("#page")), [
  h(
    "header",
    {class: "top"},
    h("h1", null, "Gradient Lab"),
    h("span", {class: "quiet"}, "shared, read only"),
    h("div", {class: "tools"}, themeButton()),
  ),
  h("main", {id: "main", tabindex: "-1"}, content()),
  statusLine(),
]);
read();
