// @ts-check
/** Words that the lab uses with a meaning of its own: dotted where they first stand, explained on demand. */
import {h} from "./lib/h.js";

/** @type {Record<string, string>} at most forty words each */
const GLOSSARY = {
  alignment:
    "The cosine of the angle between an estimate and the exact gradient: 100 % points along it, 0 % across it, below 0 against it. It is the mean over the draws of a probe.",
  variance:
    "How much single draws scatter about their mean, in units of the squared exact gradient. The mean of K draws has a K-th of it.",
  bias: "How far the mean of all draws is from the exact gradient. Averaging more draws does not lower it.",
  length:
    "How much longer a draw is than the exact gradient. A long estimate needs a smaller learning rate.",
  "scaled error":
    "The squared distance to the exact gradient that is left when the learning rate has absorbed the scale: 0 is exact, 1 is no better than no gradient.",
  draw: "One estimate of the gradient from one set of random numbers. An estimator without randomness has only one.",
  probe:
    "A measurement during training: every estimator makes several draws at the same weights and batch, and they are compared with the exact gradient.",
  driver: "The estimator whose gradient trains the network.",
  shadow:
    "An estimator that is measured at the driver's weights and batch and does not change the training.",
  "exact gradient":
    "The gradient of the loss on the batch by backpropagation, which all estimates are compared with.",
  theory:
    "What the mathematics of an estimator predicts for a measure, such as its variance. A measure that differs by more than chance allows points at a wrong implementation or assumption.",
  "forward passes":
    "The cost of a step in units of one evaluation of the network, so that methods can be compared at equal cost.",
  "halve the error":
    "How many draws have to be averaged until the scaled error is 0.5. An estimator with a wrong direction never gets there.",
};

let count = 0;

/** A word with its explanation, which opens by a press. @param {string} word in the glossary @param {string} [text] as it stands here */
export function term(word, text = word) {
  const explanation = GLOSSARY[word];
  if (!explanation) throw new Error(`${word} is not in the glossary`);
  const id = `term-${++count}`;
  const panel = h(
    "span",
    {id, popover: "auto", class: "glossary", role: "note"},
    h("b", null, word[0].toUpperCase() + word.slice(1)),
    explanation,
  );
  const button = h(
    "button",
    {type: "button", class: "term", popovertarget: id, onclick: () => place(button, panel)},
    text,
  );
  return [button, panel];
}

/** Below the word, and within the window. @param {HTMLElement} button @param {HTMLElement} panel */
function place(button, panel) {
  const {left, bottom} = button.getBoundingClientRect();
  const width = Math.min(320, innerWidth - 24);
  panel.style.width = `${width}px`;
  panel.style.left = `${Math.max(12, Math.min(left, innerWidth - width - 12))}px`;
  panel.style.top = `${Math.min(bottom + 6, innerHeight - 160)}px`;
}
