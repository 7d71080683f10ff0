// @ts-check
/** Any image classification set of the Hugging Face hub, by owner/name. */
import * as api from "../api.js";
import {h} from "../lib/h.js";
import {freshId, problemLine} from "./node.js";

/** @param {(name: string) => void} fetched told of the folder of a set that is being fetched */
export function fromHub(fetched) {
  const id = freshId("hub-set");
  const {line, message} = problemLine(`${id}-problem`);
  const text = (/** @type {Record<string, string>} */ props) =>
    h("input", {
      type: "text",
      autocomplete: "off",
      spellcheck: "false",
      "aria-describedby": `${id}-problem`,
      oninput: () => message.set(""),
      onkeydown: (/** @type {KeyboardEvent} */ event) => {
        if (event.key !== "Enter") return;
        event.preventDefault(); // it would start a run
        get();
      },
      ...props,
    });
  const name = text({id, placeholder: "owner/name"});
  const config = text({id: `${id}-config`, placeholder: "only one"});

  async function get() {
    message.set("");
    try {
      const wanted = {name: name.value.trim(), config: config.value.trim()};
      fetched((await api.fetchDataSet(wanted.name, wanted.config)).name);
    } catch (error) {
      if (!(error instanceof api.Refusal || error instanceof api.Silence)) throw error;
      message.set(error.message);
      name.focus();
    }
  }

  const row = (/** @type {string} */ title, /** @type {HTMLElement} */ input) =>
    h("div", {class: "field"}, h("label", {for: input.id}, title), input);
  return h(
    "details",
    {class: "doc"},
    h("summary", null, "Another data set from the Hugging Face hub"),
    h(
      "div",
      {class: "group"},
      row("Owner/name", name),
      row("Configuration", config),
      line,
      h("button", {type: "button", class: "act", onclick: get}, "Download"),
    ),
  );
}
