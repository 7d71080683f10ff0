// @ts-check
/** Orders to a study as one: buttons that say why they wait. */
import * as api from "../api.js";
import {icon} from "../icons.js";
import {h} from "../lib/h.js";
import {signal} from "../lib/signal.js";
import {say} from "../lib/take.js";

/** @typedef {import("../types.js").StudyResults} StudyResults */
/** @typedef {import("../types.js").StudyOrder} StudyOrder */

/** @type {{order: StudyOrder, icon: import("../icons.js").Icon, text: string, done: string}[]} */
const ORDERS = [
  {order: "pause", icon: "pause", text: "Pause", done: "The runs of the study wait."},
  {order: "resume", icon: "play", text: "Resume", done: "The study goes on."},
  {order: "cancel", icon: "stop", text: "Cancel", done: "The study was cancelled."},
  {order: "retry", icon: "refresh", text: "Retry failed", done: "Failed runs are made again."},
];

/** Why an order is not possible now; "" if it is. @param {StudyOrder} order @param {StudyResults} study */
export function obstacle(order, {status, results}) {
  if (order === "retry") return results.failures.length === 0 ? "No run has failed." : "";
  const allowed = order === "resume" ? ["paused", "cancelled"] : ["running", "paused"];
  if (order === "pause") allowed.pop();
  return allowed.includes(status) ? "" : `The study is ${status}.`;
}

/**
 * @param {string} id
 * @param {() => StudyResults} study
 * @param {() => Promise<void>} read
 */
export function orders(id, study, read) {
  const problem = signal("");
  const given = signal("");

  /** @param {StudyOrder} order @param {string} done */
  async function give(order, done) {
    if (given.peek()) return;
    const why = obstacle(order, study());
    if (why) return say(why);
    given.set(order);
    problem.set("");
    try {
      await api.orderStudy(id, order);
      say(done);
    } catch (error) {
      problem.set(error instanceof Error ? error.message : String(error));
    }
    await read().finally(() => given.set(""));
  }
  return [
    h(
      "div",
      {class: "run-actions", role: "group", "aria-label": "Orders to the study"},
      ORDERS.map(({order, icon: name, text, done}) =>
        h(
          "button",
          {
            type: "button",
            class: "act",
            "data-act": order,
            "aria-disabled": () => (given() !== "" || obstacle(order, study()) !== "") && "true",
            title: () => obstacle(order, study()) || null,
            onclick: () => give(order, done),
          },
          icon(name),
          text,
        ),
      ),
    ),
    h("p", {class: "problem", role: "alert"}, problem),
  ];
}
