// @ts-check
/**
 * A shared worker: one event stream for all tabs of a browser, which opens at most six HTTP/1.1
 * connections to a server. A tab joins by connecting; it leaves when it is hidden or closed.
 */
import {eventStream} from "./source.js";

/** @typedef {import("./source.js").Connection} Connection */
/** @typedef {{kind: string, json: string} | {connection: Connection}} Message to a tab */

/** @type {Set<MessagePort>} */
const tabs = new Set();

/** @param {Message} message */
function post(message) {
  for (const tab of tabs) tab.postMessage(message);
}

const stream = eventStream(
  (kind, json) => post({kind, json}),
  (connection) => post({connection}),
);

/** @param {MessagePort} tab */
function join(tab) {
  tabs.add(tab);
  tab.onmessage = () => leave(tab);
  tab.postMessage({connection: stream.connection()});
  // The others have heard what this one missed.
  if (stream.connection().state === "open") tab.postMessage({kind: "reset", json: "{}"});
  else stream.open();
}

/** @param {MessagePort} tab */
function leave(tab) {
  tabs.delete(tab);
  if (tabs.size === 0) stream.close();
}

/** @type {any} */ (globalThis).onconnect = (/** @type {MessageEvent} */ event) =>
  join(event.ports[0]);
