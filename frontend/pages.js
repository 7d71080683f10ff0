// @ts-check
/**
 * Every page of the lab: its address, and the module that makes it, which is loaded when the page
 * is first opened. A module exports its `title` and `page(params)`, which returns its content.
 */

/** @typedef {Record<string, string>} Params parts of the address, by the names in the pattern */
/** @typedef {{title: string, page: (params: any) => any}} PageModule */
/**
 * @typedef {object} PageEntry
 * @property {string} pattern `:name` stands for one part of the path, `:name?` for one or none
 * @property {() => Promise<PageModule>} load
 * @property {string} [name] in the bar at the top
 * @property {string} [key] that leads there after g
 */

/** @type {PageEntry[]} */
export const PAGES = [
  {pattern: "/", name: "Home", key: "h", load: () => import("./home/page.js")},
  {pattern: "/runs", name: "Runs", key: "r", load: () => import("./runs/page.js")},
  {pattern: "/runs/:number/:tab?", load: () => import("./run/page.js")},
  {pattern: "/new", load: () => import("./new/page.js")},
  {pattern: "/studies", name: "Studies", key: "s", load: () => import("./studies/list.js")},
  {pattern: "/studies/:study", load: () => import("./studies/study.js")},
  {pattern: "/gallery", name: "Gallery", key: "g", load: () => import("./gallery/list.js")},
  {pattern: "/gallery/:entry", load: () => import("./gallery/entry.js")},
];
