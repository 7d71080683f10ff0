// @ts-check
/** The checkpoints of a run on its loss curve: the reader chooses one. */
import * as api from "../api.js";
import {count} from "../lib/format.js";
import {h, svg} from "../lib/h.js";
import {signal} from "../lib/signal.js";

/** @typedef {{x: number[], y: (number | null)[]}} Curve */

const [WIDTH, HEIGHT] = [1000, 56];

/**
 * @param {object} options
 * @param {string} options.run its id
 * @param {() => number} options.last the last step of the axis
 * @param {() => number[]} options.steps of the checkpoints
 * @param {() => number | null} options.chosen
 * @param {(step: number) => void} options.choose
 */
export function checkpointRail({run, last, steps, chosen, choose}) {
  const curve = signal(/** @type {Curve | null} */ (null));
  api.figure("curve", {runs: run, metric: "train/loss"}).then(
    ({figure}) => curve.set(figure.data.find(({x, y}) => x?.length > 1 && y) ?? null),
    () => undefined, // the checkpoints serve without their curve
  );
  const share = (/** @type {number} */ step) => (last() > 0 ? step / last() : 0);
  return h(
    "div",
    {class: "rail"},
    svg(
      "svg",
      {
        class: "rail-curve",
        viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
        preserveAspectRatio: "none",
        "aria-hidden": "true",
      },
      svg("path", {d: () => path(curve(), share), "vector-effect": "non-scaling-stroke"}),
    ),
    h("div", {class: "rail-marks", role: "radiogroup", "aria-label": "Checkpoint"}, () =>
      steps().map((step) => mark(step, share(step), chosen, choose)),
    ),
    h(
      "div",
      {class: "rail-ends", "aria-hidden": "true"},
      h("span", null, "0"),
      h("span", null, () => `${count(last())} steps`),
    ),
  );
}

/** @param {number} step @param {number} share @param {() => number | null} chosen @param {(step: number) => void} choose */
function mark(step, share, chosen, choose) {
  const button = h("button", {
    type: "button",
    class: "rail-mark",
    role: "radio",
    "aria-checked": () => String(chosen() === step),
    "aria-label": step === 0 ? "Step 0, the initialisation" : `Step ${count(step)}`,
    title: `Step ${count(step)}`,
    onclick: () => choose(step),
  });
  button.style.left = `${100 * share}%`;
  return button;
}

/** @param {Curve | null} curve @param {(step: number) => number} share */
function path(curve, share) {
  if (!curve) return "";
  const finite = curve.y.flatMap((y) => (y !== null && Number.isFinite(y) ? [y] : []));
  const [low, high] = [Math.min(...finite), Math.max(...finite)];
  const points = curve.x.flatMap((x, i) => {
    const y = curve.y[i];
    if (y === null || !Number.isFinite(y)) return [];
    const down = 3 + (1 - (y - low) / (high - low || 1)) * (HEIGHT - 6);
    return [`${(WIDTH * share(x)).toFixed(1)} ${down.toFixed(1)}`];
  });
  return points.length > 1 ? `M${points.join("L")}` : "";
}
