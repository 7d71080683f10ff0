// @ts-check
/** The tab of the microscope: what was drawn at frozen checkpoints of a run, and drawing more. */
import {boards} from "../charts/board.js";
import {icon} from "../icons.js";
import {count} from "../lib/format.js";
import {h} from "../lib/h.js";
import {computed} from "../lib/signal.js";
import {runs} from "../runs/known-runs.js";
import {openMicroscope} from "../runs/microscope.js";
import {row} from "../runs/run-row.js";
import {parameter} from "../state.js";
import {contextOf} from "./context.js";

/** @typedef {import("../types.js").Run} Run */

/** The microscopes of a run, newest first. @param {Run} run */
export const looks = (run) =>
  runs().filter(({kind, parent}) => kind === "microscope" && parent === run.id);

/** @param {() => Run} run */
export function microscopes(run) {
  const look = parameter("look");
  const all = computed(() => looks(run()));
  const chosen = () => all().find(({number}) => String(number) === look()) ?? all()[0];
  const id = computed(() => chosen()?.id ?? "");
  return [
    h(
      "div",
      {class: "looks"},
      h(
        "button",
        {type: "button", class: "plain", onclick: () => openMicroscope(run())},
        icon("lens"),
        "Look at a checkpoint…",
      ),
      () =>
        all().map(({id: other, number, parent_step: step, config}) =>
          h(
            "a",
            {
              href: `/runs/${run().number}/microscope?look=${number}`,
              "aria-current": () => id() === other && "true",
            },
            `#${number} at step ${count(step ?? 0)}, seed ${config.microscope.seed}`,
          ),
        ),
    ),
    () =>
      id() !== "" &&
      h(
        "ul",
        {class: "run-list"},
        row(() => /** @type {Run} */ (chosen())),
      ),
    () => id() !== "" && boards(contextOf(() => /** @type {Run} */ (chosen()))),
  ];
}
