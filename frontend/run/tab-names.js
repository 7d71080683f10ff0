// @ts-check
/** The tabs of a run's page by their names in the address, and where their controls stand. */
import {signal} from "../lib/signal.js";

/** The first tab has no name. */
export const TAB_NAMES = ["", "variance", "layers", "microscope", "setup"];

/** The controls that all charts of the open tab follow: they stand in the row of the tabs. */
export const tabControls = signal(/** @type {any[]} */ ([]));
