// @ts-check
/** A row for each estimator of a run: how it points, in each layer, and what it costs. */
import * as api from "../api.js";
import {sample} from "../charts/line-sample.js";
import {alignmentColour, coloured} from "../home/looks.js";
import {term} from "../glossary.js";
import {icon} from "../icons.js";
import {change, complaint} from "../lab.js";
import {counted} from "../lib/format.js";
import {h, svg} from "../lib/h.js";
import {computed, effect, onEnd, signal, untracked} from "../lib/signal.js";
import {hasEnded} from "../runs/pending.js";
import {shaded} from "../shades.js";
import {parameter} from "../state.js";
import {on} from "../stream.js";
import {shade} from "../theme.js";

/** @typedef {import("../types.js").Run} Run */
/** @typedef {import("../types.js").Scoreboard} Scoreboard */
/** @typedef {import("../types.js").ScoreboardRow} Row */

/** The least time between two readings, in ms. */
const PAUSE_MS = 2000;

/** @param {() => Run} run */
export function scoreboard(run) {
  const board = signal(/** @type {Scoreboard | null} */ (null));
  const problem = signal("");
  const layer = parameter("layer");
  follow(run, board, problem, layer);
  const estimators = computed(() => 1 + run().labels.shadows.length);
  return h(
    "section",
    {class: "card scoreboard", "aria-labelledby": "scoreboard-title"},
    h("h2", {id: "scoreboard-title", class: "sr"}, "Scoreboard"),
    h("p", {class: "problem", role: "status", hidden: () => !problem()}, problem),
    h(
      "div",
      {class: "scroll", tabindex: "0", role: "region", "aria-label": "Scoreboard, as a table"},
      () => {
        const now = board();
        return now ? table(run, now) : waiting(estimators());
      },
    ),
    h("p", {class: "foot"}, () => footOf(board())),
  );
}

/** Read the board now, and again when the run has measured more. @param {() => Run} run @param {import("../lib/signal.js").Signal<Scoreboard | null>} board @param {import("../lib/signal.js").Signal<string>} problem @param {() => string} layer */
function follow(run, board, problem, layer) {
  const {id} = untracked(run);
  let isOpen = true;
  let before = "";
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  async function read() {
    try {
      const now = await api.scoreboard(id, untracked(layer));
      const text = JSON.stringify(now);
      // The same again draws nothing, so that the focus stays where it is.
      if (isOpen && text !== before) board.set(now);
      before = text;
      problem.set("");
    } catch (error) {
      if (!(error instanceof api.Silence)) problem.set(/** @type {Error} */ (error).message);
    }
  }
  const soon = () => {
    timer ??= setTimeout(() => {
      timer = undefined;
      void read();
    }, PAUSE_MS);
  };
  effect(() => {
    layer();
    untracked(() => void read());
  });
  const labels = computed(() => JSON.stringify(run().labels) + run().status);
  effect(() => {
    labels();
    untracked(soon);
  });
  onEnd(on("points", (news) => news.run === id && soon()));
  onEnd(on("reset", soon));
  onEnd(() => {
    isOpen = false;
    clearTimeout(timer);
  });
}

/** Rows of the height that they will have. @param {number} count */
const waiting = (count) =>
  h("div", {class: "scoreboard-waiting", "aria-busy": "true", "data-rows": String(count)});

/** @param {() => Run} run @param {Scoreboard} board */
const table = (run, {rows, stages}) =>
  h(
    "table",
    null,
    h(
      "thead",
      null,
      h(
        "tr",
        null,
        h("th", {scope: "col"}, "Estimator"),
        h("td", {class: "role"}),
        h("th", {scope: "col", class: "along"}, term("alignment", "Along the exact gradient")),
        h("td", {class: "spark"}),
        stages.map((stage) => h("th", {scope: "col", class: "heat-head", title: stage}, stage)),
        h("th", {scope: "col", class: "num"}, term("variance", "Variance, one draw")),
        h("th", {scope: "col", class: "num"}, term("length", "Length")),
        h("th", {scope: "col"}, term("bias", "Bias")),
        h("th", {scope: "col", class: "num"}, term("halve the error", "Draws to halve the error")),
        h("th", {scope: "col", class: "num"}, term("forward passes", "Cost, backprop = 1")),
        h("th", {scope: "col"}, term("theory", "Theory")),
      ),
    ),
    h(
      "tbody",
      null,
      rows.map((row) => rowOf(run, row)),
    ),
  );

/** @param {() => Run} run @param {Row} row */
function rowOf(run, row) {
  const {label, title, short, marker, colour, along, layers, variance, length} = row;
  return h(
    "tr",
    {"data-estimator": label},
    h(
      "th",
      {scope: "row", title: label},
      h(
        "span",
        {class: "estimator"},
        sample({colour: colour.light, dash: "", symbol: marker}),
        label === row.name ? title : short,
      ),
    ),
    h("td", {class: "role"}, role(run, row)),
    h("td", {class: "lead"}, along?.text ?? "–"),
    h("td", {class: "spark"}, spark(row)),
    layers.map(({along: there, exact}) =>
      h(
        "td",
        {class: "heat"},
        coloured(
          h(
            "span",
            {
              class: Math.abs(there?.value ?? 0) >= 0.75 ? "strong" : "",
              title: exact ? "computed exactly" : false,
            },
            there?.text.replace(" %", "") ?? "–",
          ),
          alignmentColour(there?.value ?? null),
        ),
      ),
    ),
    [variance, length].map((value) => h("td", {class: "num"}, value?.text ?? "–")),
    h("td", null, biasOf(row)),
    h("td", {class: "num"}, row.halving?.text ?? "–"),
    h("td", {class: "num"}, row.cost?.text ?? "–"),
    h("td", null, theoryOf(row)),
  );
}

/** @param {() => Run} run @param {Row} row */
function role(run, {label, drives, title}) {
  if (drives) return h("span", {class: "badge"}, icon("wheel"), "drives");
  const steerable = computed(() => run().kind !== "attached" && !hasEnded(run().status));
  const busy = signal(false);
  async function drive() {
    if (busy.peek()) return;
    busy.set(true);
    complaint.set("");
    try {
      await change(run(), {driver: label});
    } catch (error) {
      complaint.set(/** @type {Error} */ (error).message);
    } finally {
      busy.set(false);
    }
  }
  return () =>
    steerable() &&
    h(
      "button",
      {
        type: "button",
        class: "act",
        "aria-label": `Let ${title} drive`,
        "aria-disabled": () => busy() && "true",
        onclick: drive,
      },
      icon("wheel"),
      () => (busy() ? "Handing over…" : "Let it drive"),
    );
}

const [WIDTH, HEIGHT] = [96, 22];

/** The alignment over the run, in the range of its own values and 0. @param {Row} row */
function spark({spark: {steps, values}, colour}) {
  const finite = values.filter((value) => value !== null);
  const [low, high] = [Math.min(0, ...finite), Math.max(0, ...finite)];
  const span = high - low || 1;
  const width = (steps.at(-1) ?? 0) - (steps[0] ?? 0) || 1;
  const points = steps.flatMap((step, i) => {
    const value = values[i];
    if (value === null) return [];
    const x = ((step - steps[0]) / width) * WIDTH;
    const y = 2 + (1 - (value - low) / span) * (HEIGHT - 4);
    return [`${x.toFixed(1)} ${y.toFixed(1)}`];
  });
  return svg(
    "svg",
    {viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: WIDTH, height: HEIGHT, "aria-hidden": "true"},
    points.length > 1 &&
      svg("path", {
        d: `M${points.join("L")}`,
        fill: "none",
        stroke: () => shaded(colour.light, shade()),
        "stroke-width": 1.5,
      }),
  );
}

/** @param {Row} row */
function biasOf({bias}) {
  if (!bias) return "–";
  const kind = {"none found": "good", biased: "warn"}[bias.verdict] ?? "quiet";
  return h("span", {class: `badge badge-${kind}`}, bias.text);
}

/** @param {Row} row */
function theoryOf({theory}) {
  if (!theory) return h("span", {class: "quiet"}, "none offered");
  return h("span", {class: `theory-${theory.verdict.replaceAll(" ", "-")}`, title: theory.text}, [
    theory.verdict === "agrees" && icon("check"),
    theory.verdict === "disagrees" && icon("warning"),
    " ",
    theory.verdict,
  ]);
}

/** @param {Scoreboard | null} board */
function footOf(board) {
  if (!board) return "Reading the latest probes…";
  if (board.probes === 0) return "No probe yet.";
  const where = board.layer ? `, in ${board.layer}` : "";
  return [
    "Mean of the last ",
    term("probe", counted(board.probes, "probe")),
    `${where}. Percent in the columns of the layers.`,
  ];
}
