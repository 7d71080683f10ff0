// @ts-check
/** Line icons on a 16 px grid. They are decoration: the words are beside them or in a label. */
import {svg} from "./lib/h.js";

const PATHS = {
  play: "M5 3.5v9l7.5-4.5z",
  pause: "M5 3.5v9M11 3.5v9",
  step: "M4 3.5v9l6-4.5zM12.5 3.5v9",
  stop: "M4 4h8v8H4z",
  bin: "M3 4.5h10M6.5 4V2.5h3V4M4.5 4.5l.6 9h5.8l.6-9",
  copy: "M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3",
  check: "M3 8.5l3.5 3.5L13 4.5",
  cross: "M4 4l8 8M12 4l-8 8",
  warning: "M8 2L14.5 13.5h-13zM8 6.5v3.5M8 11.7v.3",
  clock: "M8 2a6 6 0 100 12A6 6 0 008 2zM8 4.8V8l2.2 1.6",
  info: "M8 2a6 6 0 100 12A6 6 0 008 2zM8 7.3v4M8 4.8v.3",
  table: "M2.5 3.5h11v9h-11zM2.5 6.5h11M6.5 6.5v6",
  down: "M8 2.5v8M4.8 7.5L8 10.7l3.2-3.2M3 13.5h10",
  link: "M6.8 9.2l2.4-2.4M7 5l1.6-1.6a2.8 2.8 0 014 4L11 9M9 11l-1.6 1.6a2.8 2.8 0 01-4-4L5 7",
  share: "M8 10V2.5M5 5l3-3 3 3M3.5 8.5v5h9v-5",
  sun: "M8 5a3 3 0 100 6 3 3 0 000-6zM8 1.5v1.3M8 13.2v1.3M1.5 8h1.3M13.2 8h1.3M3.4 3.4l.9.9M11.7 11.7l.9.9M12.6 3.4l-.9.9M4.3 11.7l-.9.9",
  moon: "M13 9.5A5.5 5.5 0 016.5 3a5.5 5.5 0 106.5 6.5z",
  refresh: "M13 8a5 5 0 11-1.5-3.6M13 2.5v3h-3",
  lens: "M7 2.5a4.5 4.5 0 100 9 4.5 4.5 0 000-9zM10.3 10.3L14 14",
  more: "M3.5 8h.01M8 8h.01M12.5 8h.01",
  full: "M2.5 6v-3.5h3.5M10 2.5h3.5v3.5M13.5 10v3.5h-3.5M6 13.5h-3.5v-3.5",
  search: "M7 2.5a4.5 4.5 0 100 9 4.5 4.5 0 000-9zM10.3 10.3L14 14",
  wheel:
    "M8 2a6 6 0 100 12A6 6 0 008 2zM8 6.4a1.6 1.6 0 100 3.2 1.6 1.6 0 000-3.2zM2.1 7.4l4.3.4M13.9 7.4l-4.3.4M8 9.6V14",
  plus: "M8 3v10M3 8h10",
  chevron: "M4.5 6.5L8 10l3.5-3.5",
  file: "M4 2h5l3 3v9H4zM9 2v3h3",
};

/** @param {keyof typeof PATHS} name */
export const icon = (name) =>
  svg(
    "svg",
    {class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true"},
    svg("path", {d: PATHS[name]}),
  );

/** @typedef {keyof typeof PATHS} Icon */
