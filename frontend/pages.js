// @ts-check
/** The pages of the lab, as the bar at the top lists them. */
import {h} from "./lib/h.js";

const PAGES = [
  {path: "/", name: "Runs"},
  {path: "/studies", name: "Studies"},
  {path: "/gallery", name: "Gallery"},
];

/** Links to all pages. @param {string} current the path of the page that is open, or of the one above */
export const pages = (current) =>
  h(
    "nav",
    {class: "pages", "aria-label": "Pages"},
    PAGES.map(({path, name}) =>
      h("a", {href: path, "aria-current": path === current && "page"}, name),
    ),
  );
