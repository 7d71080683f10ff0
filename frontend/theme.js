// @ts-check
/** Light and dark: what the system prefers, unless the reader chose. */
import {icon} from "./icons.js";
import {h} from "./lib/h.js";
import {effect, signal} from "./lib/signal.js";
import {theme} from "./state.js";

const system = matchMedia("(prefers-color-scheme: dark)");
const preferred = signal(system.matches ? "dark" : "light");
system.addEventListener("change", () => preferred.set(system.matches ? "dark" : "light"));

/** Whether the page is about to be printed, and until it was. */
export const printing = signal(false);

/** "light" or "dark", as shown; paper is white. */
export const shade = () => {
  if (printing()) return "light";
  return theme() === "light" || theme() === "dark" ? theme() : preferred();
};

export function followTheme() {
  effect(() => {
    document.documentElement.dataset.theme = shade();
    document.documentElement.classList.toggle("printing", printing());
  });
  addEventListener("beforeprint", () => printing.set(true));
  addEventListener("afterprint", () => printing.set(false));
}

function toggleTheme() {
  const next = shade() === "dark" ? "light" : "dark";
  // Back to the system's own choice leaves no trace in the address.
  theme.set(next === preferred.peek() ? "" : next);
}

/** The button of every page that switches between light and dark. */
export const themeButton = () =>
  h(
    "button",
    {
      type: "button",
      class: "tool",
      "aria-label": "Switch between light and dark",
      title: "Light or dark",
      onclick: toggleTheme,
    },
    () => icon(shade() === "dark" ? "sun" : "moon"),
  );
