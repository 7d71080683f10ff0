// @ts-check
/** Where the charts of a run's page find their runs and figures. */
import * as api from "../api.js";
import {figures} from "../lab.js";
import {openForkFrom} from "../runs/fork-from.js";
import {go} from "../state.js";

/** @param {() => import("../types.js").Run} run @returns {import("../charts/board.js").Context} */
export const contextOf = (run) => ({
  runs: () => [run()],
  focused: run,
  figures,
  fetch: api.figure,
  diagnose: api.diagnosis,
  forkFrom: openForkFrom,
  dataUrl: ({id}, kind) => api.exportUrl(id, kind),
  links: {
    address: (runs) => api.runsAddress("", runs),
    open: (runs) => go(api.runsAddress("", runs)),
  },
});
