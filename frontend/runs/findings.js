// @ts-check
/** What a run reports of itself that makes its numbers doubtful, such as unconverged solves. */
import {icon} from "../icons.js";
import {counted} from "../lib/format.js";
import {h} from "../lib/h.js";
import {computed} from "../lib/signal.js";

/** @typedef {import("../types.js").Run} Run */

/** The texts of a run's findings, oldest first. @param {Run} run */
export const findings = (run) =>
  run.events.filter(({kind}) => kind === "finding").map(({text}) => text);

/**
 * A line with the number of findings and the first one, clipped; it opens to all of them in full.
 * Nothing for a run without findings.
 * @param {() => Run} run
 */
export function findingsLine(run) {
  // As text, so that a step without a new finding leaves the line as it is.
  const texts = computed(() => JSON.stringify(findings(run())));
  const any = computed(() => texts() !== "[]");
  /** @type {() => string[]} */
  const all = () => JSON.parse(texts());
  const details = () =>
    h(
      "details",
      {class: "run-findings"},
      h(
        "summary",
        {title: () => all()[0]},
        icon("warning"),
        () => ` ${counted(all().length, "finding")}: ${all()[0]}`,
      ),
      h("ul", null, () => all().map((text) => h("li", null, text))),
    );
  return () => any() && details();
}
