// @ts-check
/** How far a study is, in words and as a bar; and its status. */
import {icon} from "../icons.js";
import {count, counted} from "../lib/format.js";
import {h} from "../lib/h.js";

/** @typedef {import("../types.js").ListedStudy} ListedStudy */
/** @typedef {Pick<ListedStudy, "cells" | "ended" | "failed" | "name">} Progress */

/** @type {Record<ListedStudy["status"], [import("../icons.js").Icon, string]>} */
const STATUS = {
  running: ["play", "running"],
  paused: ["pause", "paused"],
  finished: ["check", "finished"],
  cancelled: ["stop", "cancelled"],
};

/** @param {ListedStudy["status"]} status */
export function badge(status) {
  const [name, text] = STATUS[status];
  return h("span", {class: `status status-${status}`}, icon(name), text);
}

/** 3 of 12 runs, 1 failed. @param {Progress} study */
const inWords = ({cells, ended, failed}) =>
  `${count(ended)} of ${counted(cells, "run")}${failed ? `, ${count(failed)} failed` : ""}`;

/** @param {() => Progress} study */
export const progress = (study) =>
  h(
    "div",
    {class: "study-progress"},
    h("progress", {
      max: () => String(Math.max(1, study().cells)),
      value: () => study().ended,
      "aria-label": () => `Progress of ${study().name}`,
    }),
    h("span", {class: "quiet"}, () => inWords(study())),
  );
