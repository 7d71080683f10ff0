// @ts-check
/** The first tab of a run: which estimator points best, whether the network learns, what is wrong. */
import {boards} from "../charts/board.js";
import {contextOf} from "./context.js";

/** @param {() => import("../types.js").Run} run */
export const overview = (run) => boards(contextOf(run));
