// @ts-check
/** Links to every point of a run as files, and what a spreadsheet must be told. */
import {h} from "./h.js";

/** Beside every link to CSV. */
export const SPREADSHEETS =
  "CSV has decimal points. A spreadsheet whose language has decimal commas reads 0.125 as 125: " +
  "import it as English (United States), or take Parquet.";

/** Parquet first: its numbers are numbers. @param {(kind: "csv" | "parquet") => string} url */
export const exportLinks = (url) => [
  h("a", {href: url("parquet"), download: ""}, "Parquet"),
  ", ",
  h("a", {href: url("csv"), download: "", title: SPREADSHEETS}, "CSV"),
];
