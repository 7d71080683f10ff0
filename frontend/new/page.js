// @ts-check
/** The page of a new run. */
import {runForm} from "../form/run-form.js";
import {h} from "../lib/h.js";
import {plugins} from "../plugins.js";

export const title = "New run";

export const page = () =>
  h(
    "section",
    {class: "centre new-run", id: "new-run", "aria-labelledby": "new-run-title"},
    h("h1", {id: "new-run-title"}, "New run"),
    runForm(),
    plugins(),
  );
