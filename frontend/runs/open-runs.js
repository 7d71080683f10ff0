// @ts-check
/** Going from a figure to its runs. */
import {counted} from "../lib/format.js";
import {say} from "../lib/take.js";
import {visitRuns} from "../state.js";
import {find} from "./known-runs.js";

/** Show these runs beside the shown ones, and put the focus on the first of them. @param {string[]} ids */
export function openRuns(ids) {
  visitRuns(ids);
  const row = document.querySelector(`.run[data-run="${CSS.escape(ids[0])}"] .run-name`);
  /** @type {HTMLElement | null} */ (row)?.focus();
  say(
    ids.length > 1
      ? `${counted(ids.length, "run")} are shown.`
      : `Run ${find(ids[0])?.number ?? ""} is shown.`,
  );
}
