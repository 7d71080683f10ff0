// @ts-check
/** The controls that all charts of a tab follow: they stand in the row of the tabs. */
import {signal} from "../lib/signal.js";

export const tabControls = signal(/** @type {any[]} */ ([]));
