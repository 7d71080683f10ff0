// @ts-check
/**
 * What happens in the lab, as a tab hears it. All visible tabs share one connection; a hidden tab
 * leaves it. Whenever events may have been missed, the kind "reset" is told.
 */
import {streamWorkerUrl} from "./api.js";
import {signal} from "./lib/signal.js";
import {KINDS, TICK_MS, eventStream} from "./stream/source.js";

/** @typedef {import("./stream/source.js").Connection} Connection */

/** Kinds that the page tells itself: no access any more; a page that is read again and again was read. */
const OWN = ["denied", "refresh"];
/** A worker that reports each tick is gone after so long, with the tab whose process it shared. */
const WORKER_GONE_MS = 6 * TICK_MS;

/** "closed" until opened and while hidden; "lost" while the server does not answer. */
export const connection = signal(/** @type {"closed" | "open" | "lost"} */ ("closed"));
/** When the server last said something, in ms; what the page shows is from then. */
export const heard = signal(Date.now());
/** Whether what the page shows is what is. */
export const isLive = () => connection() !== "lost";

/** @type {Map<string, Set<(data: any) => void>>} */
const listeners = new Map([...KINDS, ...OWN].map((kind) => [kind, new Set()]));
let wanted = false;
/** Ends this tab's part in the stream. @type {(() => void) | null} */
let leave = null;
/** Shared workers are missing in some browsers, and can be forbidden. */
let shared = "SharedWorker" in globalThis;

/**
 * @param {string} kind one of points, run, deleted, truncate, catalogue, reset, denied, refresh
 * @param {(data: any) => void} listener
 * @returns {() => void} stop listening
 */
export function on(kind, listener) {
  const heard = listeners.get(kind);
  if (!heard) throw new Error(`invalid kind of event: ${kind}`);
  heard.add(listener);
  return () => heard.delete(listener);
}

/** Tell the listeners of a kind of event. @param {string} kind @param {any} data */
export function announce(kind, data) {
  for (const listener of listeners.get(kind) ?? []) listener(data);
}

/** Follow the tab: closed while it is hidden, open again when it is shown. */
export function followTab() {
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
}

/** Open the stream and keep it open from now on. */
export function openStream() {
  wanted = true;
  open();
}

function open() {
  if (leave || !wanted || document.hidden) return;
  leave = shared ? joinShared() : openOwn();
}

function close() {
  leave?.();
  leave = null;
  connection.set("closed");
}

/** @param {string} kind @param {string} json */
const tell = (kind, json) => announce(kind, JSON.parse(json));

/** @param {Connection} now */
function follow(now) {
  heard.set(now.heard);
  if (now.state === "denied") {
    wanted = false;
    close();
    announce("denied", {});
  } else if (now.state === "open" || now.state === "lost") connection.set(now.state);
}

function openOwn() {
  const own = eventStream(tell, follow);
  own.open();
  return own.close;
}

/** Join the stream of all tabs, and start the worker that has it if there is none any more. */
function joinShared() {
  let told = Date.now();
  const worker = new SharedWorker(streamWorkerUrl(), {type: "module", name: "gradlab stream"});
  worker.port.onmessage = ({data}) => {
    told = Date.now();
    if ("connection" in data) follow(data.connection);
    else tell(data.kind, data.json);
  };
  worker.onerror = () => {
    shared = false;
    rejoin();
  };
  const watch = setInterval(() => Date.now() - told > WORKER_GONE_MS && rejoin(), TICK_MS);
  return () => {
    clearInterval(watch);
    worker.port.postMessage("leave");
    worker.port.close();
  };
}

function rejoin() {
  close();
  connection.set("lost");
  open();
}
