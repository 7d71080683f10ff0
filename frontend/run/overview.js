// @ts-check
/** The first tab of a run: which estimator points best, whether the network learns, what is wrong. */
import {overviewBoard} from "../charts/board.js";
import {contextOf} from "./context.js";
import {findings} from "./findings.js";
import {scoreboard} from "./scoreboard.js";
import {tabControls} from "./tab-names.js";

/** @param {() => import("../types.js").Run} run */
export const overview = (run) => [
  scoreboard(run),
  overviewBoard(contextOf(run), tabControls, findings(run)),
];
