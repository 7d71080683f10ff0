// @ts-check
/** What is wrong with a run and its estimators, the most severe first. */
import {h} from "../lib/h.js";
import {findings as textsOf} from "../runs/findings.js";

/** @param {() => import("../types.js").Run} run */
export const findings = (run) =>
  h(
    "section",
    {class: "card findings", "data-span": "3", "aria-labelledby": "findings-title"},
    h("h2", {id: "findings-title"}, "Findings"),
    h("ul", null, () => textsOf(run()).map((text) => h("li", null, text))),
  );
