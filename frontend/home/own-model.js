// @ts-check
/** One's own model, in three lines; and three numbers to know. */
import {icon} from "../icons.js";
import {h} from "../lib/h.js";
import {copy} from "../lib/take.js";

const LINES = `import gradlab
with gradlab.attach(model, loss, [gradlab.ForwardGradient(), gradlab.FDFA()]) as lab:
    for step, batch in enumerate(loader): lab.step(step, batch), train(batch)`;

export const ownModel = () =>
  h(
    "section",
    {class: "home-card", "aria-labelledby": "own-title"},
    h(
      "div",
      {class: "section-head"},
      h("h2", {id: "own-title"}, "Bring your own model"),
      h(
        "button",
        {type: "button", class: "act", "aria-label": "Copy the lines", onclick: () => copy(LINES)},
        icon("copy"),
        "Copy",
      ),
    ),
    h("p", null, "Three lines in your own training loop. Its run appears here, live."),
    h("pre", {tabindex: "0", role: "region", "aria-label": "Code"}, h("code", null, LINES)),
    h(
      "p",
      {class: "quiet"},
      "An estimator, network or data set of your own is one file in the plug-in folder: it appears without a restart.",
    ),
  );

const NUMBERS = [
  {
    name: "Alignment",
    text: "How much of one estimate points along the exact gradient. 100 % is exact, 0 % is sideways.",
  },
  {
    name: "Variance",
    text: "How far single estimates scatter about their own mean. More draws shrink it.",
  },
  {name: "Bias", text: "How far that mean is from the exact gradient. More draws never shrink it."},
];

export const numbers = () =>
  h(
    "section",
    {class: "home-card", "aria-labelledby": "numbers-title"},
    h("div", {class: "section-head"}, h("h2", {id: "numbers-title"}, "Three numbers to know")),
    h(
      "dl",
      {class: "numbers"},
      NUMBERS.map(({name, text}) => [h("dt", null, name), h("dd", {class: "quiet"}, text)]),
    ),
  );
