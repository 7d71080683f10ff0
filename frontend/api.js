// @ts-check
/** The one module that knows URLs: every request to the lab, and what a refusal looks like. */

/** @typedef {import("./types.js").Run} Run */
/** @typedef {import("./types.js").Problem} Problem */
/** @typedef {import("./types.js").FigureQuery} FigureQuery */
/** @typedef {import("./types.js").FigureAnswer} FigureAnswer */

/** A refusal by the lab: its status and its sentence, or a list of problems with fields. */
export class Refusal extends Error {
  /** @param {number} status @param {string | Problem[]} detail */
  constructor(status, detail) {
    super(typeof detail === "string" ? detail : detail.map((problem) => problem.msg).join(" "));
    this.status = status;
    /** @type {Problem[]} */
    this.problems = typeof detail === "string" ? [] : detail;
  }
}

/** The server did not answer at all. */
export class Silence extends Error {}

/** @param {string} path @param {RequestInit} [options] */
async function request(path, options) {
  let response;
  try {
    response = await fetch(path, {credentials: "same-origin", ...options});
  } catch (error) {
    if (options?.signal?.aborted) throw error;
    throw new Silence("the server does not answer", {cause: error});
  }
  if (!response.ok) throw new Refusal(response.status, await reason(response));
  return response.status === 204 ? null : response.json();
}

/** @param {Response} response @returns {Promise<string | Problem[]>} */
async function reason(response) {
  const fallback = `the server answered ${response.status} ${response.statusText}`;
  if (!response.headers.get("content-type")?.includes("json")) return fallback;
  return (await response.json()).detail ?? fallback;
}

/** @param {string} path @param {any} [body] @param {string} [method] */
const send = (path, body = {}, method = "POST") =>
  request(path, {
    method,
    headers: {"content-type": "application/json"},
    body: JSON.stringify(body),
  });

/** @param {Record<string, any>} values only those that say something */
function query(values) {
  const given = Object.entries(values).filter(([, value]) => value !== "" && value != null);
  return new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
}

const id = encodeURIComponent;

export const signIn = (/** @type {string} */ token) => send("/api/session", {token});
export const catalogue = () => request("/api/catalogue");
export const refreshCatalogue = () => send("/api/catalogue/refresh");
/** @param {string} files which its folder must have @returns {Promise<import("./form/data-folder.js").Offered>} */
export const dataSets = (files) => request(`/api/datasets?${query({files})}`);
/** @param {string} name @param {string} files @param {AbortSignal} signal @returns {Promise<import("./types.js").DataSet>} */
export const dataSet = (name, files, signal) =>
  request(`/api/datasets/${id(name)}?${query({files})}`, {signal});
/** @param {string} name @param {string} [config] @returns {Promise<import("./types.js").DataSet>} */
export const fetchDataSet = (name, config = "") => send("/api/datasets", {name, config});
/** @param {string} name @returns {Promise<import("./types.js").DataSet>} */
export const cancelDataSet = (name) => send(`/api/datasets/${id(name)}/cancel`);

/** Whether the server answers, and knows us. @param {AbortSignal} signal */
export const knock = (signal) => request("/api/runs?limit=1", {signal});
/** Runs that the server gives at once. */
export const MOST_RUNS = 200;
/**
 * Runs, newest first.
 * @param {{limit: number, before?: number, search?: string, kind?: string}} ask `before`: only runs of lower numbers
 * @returns {Promise<{runs: Run[], total: number}>} total: on all pages
 */
export const runs = (ask) => request(`/api/runs?${query(ask)}`);
/** @param {string} run @returns {Promise<Run>} */
export const run = (run) => request(`/api/runs/${id(run)}`);
/** @param {string} study @returns {Promise<{id: string, name: string, runs: Run[]}>} */
export const study = (study) => request(`/api/studies/${id(study)}`);
/** @param {number} limit @returns {Promise<import("./types.js").ListedStudy[]>} newest first */
export const studies = (limit) => request(`/api/studies?${query({limit})}`);
/** @param {string} study @returns {Promise<import("./types.js").StudyResults>} */
export const studyResults = (study) => request(`/api/studies/${id(study)}/results`);
/** @param {string} study @param {string} name @param {AbortSignal} signal @returns {Promise<FigureAnswer>} */
export const studyFigure = (study, name, signal) =>
  request(`/api/studies/${id(study)}/figures/${id(name)}`, {signal});
/** @param {string} text of a study's file @returns {Promise<{name: string, variants: string[], cells: number}>} */
export const checkStudy = (text) => send("/api/studies/validate", {text});
/** @param {string} text of a study's file @returns {Promise<{id: string}>} */
export const startStudy = (text) => send("/api/studies", {text});
/** @param {string} study @param {import("./types.js").StudyOrder} order */
export const orderStudy = (study, order) => send(`/api/studies/${id(study)}/${order}`);
/** The page of a study. @param {string} study */
export const studyAddress = (study) => `/studies/${id(study)}`;
/** The page of runs, with those of a study listed, or with these shown. @param {string} study @param {string[]} [runs] */
export const runsAddress = (study, runs = []) =>
  `/runs?${query({study, runs: runs.join(",")}).replaceAll("%2C", ",")}`;
/** @returns {Promise<import("./types.js").GalleryCard[]>} all entries, in the order of the papers */
export const gallery = () => request("/api/gallery");
/** @param {string} name @param {string} study one of the entry; "": its newest @returns {Promise<import("./types.js").GalleryEntry>} */
export const galleryEntry = (name, study) => request(`/api/gallery/${id(name)}?${query({study})}`);
/** @param {string} name @param {"short" | "full"} length @returns {Promise<import("./types.js").ListedStudy>} */
export const startEntry = (name, length) => send(`/api/gallery/${id(name)}/start`, {length});
/** The first figure of an entry; `version` changes with its results. @param {string} name @param {string} version */
export const entryPictureUrl = (name, version) =>
  `/api/gallery/${id(name)}/picture.svg?${query({version})}`;
/** The page of an entry. @param {string} name */
export const entryAddress = (name) => `/gallery/${id(name)}`;
/** @typedef {import("./home/race.js").RaceRun} RaceRun */
/** The race of the Home page. @returns {Promise<import("./home/race.js").RaceAnswer>} */
export const race = () => request("/api/race");
/** Its run, and what that has measured. @returns {Promise<RaceRun>} */
export const raceRun = () => request("/api/race/run");
/** Start it, unless it was started before or other runs are active. @returns {Promise<RaceRun>} */
export const startRace = () => send("/api/race");
/** @param {string} driver @returns {Promise<RaceRun>} */
export const startRaceAgain = (driver) => send("/api/race/again", {driver});
/** @param {any} config @param {string} chosen the part that was chosen last @returns {Promise<import("./types.js").DraftView>} */
export const inspectDraft = (config, chosen) => send("/api/drafts", {config, chosen});
/** @param {string} text of a run's configuration or a study @returns {Promise<{kind: "run" | "study", config: any}>} */
export const readDraft = (text) => send("/api/drafts/read", {text});
/** @param {any} config @returns {Promise<Record<string, Record<string, string>>>} why components do not suit it, by list and name */
export const unsuited = (config) => send("/api/drafts/unsuited", {config});
/** @param {any} document of a study @returns {Promise<{id: string}>} */
export const startStudyOf = (document) => send("/api/studies", document);
/** The page of a new run that starts from another one. @param {{number: number}} run */
export const newRunFrom = ({number}) => `/new?from=${number}`;
/** @param {any} config @returns {Promise<Run>} */
export const start = (config) => send("/api/runs", config);
/** @param {any} ask @returns {Promise<Run>} a microscope at a checkpoint of a run */
export const probe = (ask) => send("/api/probes", ask);
/** @param {string} run @returns {Promise<number[]>} the steps that a microscope can look at */
export const checkpoints = (run) => request(`/api/runs/${id(run)}/checkpoints`);
/** @param {string} run @param {number} [step] of the checkpoint; the newest if there is none @returns {Promise<any[]>} its driver, then its shadows */
export const checkpointEstimators = (run, step) =>
  request(`/api/runs/${id(run)}/estimators?${query({step})}`);
/** @param {string} run @param {"pause" | "resume" | "cancel"} order @returns {Promise<Run>} */
export const order = (run, order) => send(`/api/runs/${id(run)}/${order}`);
/** @param {string} run @param {number} to @returns {Promise<Run>} */
export const step = (run, to) => send(`/api/runs/${id(run)}/step`, {to});
/** @param {string} run @param {{lr?: string | number, driver?: any}} asked @returns {Promise<Run>} */
export const change = (run, asked) => send(`/api/runs/${id(run)}/change`, asked);
/** @param {string} run @param {{step: number | null, config: any}} asked @returns {Promise<Run>} */
export const fork = (run, asked) => send(`/api/runs/${id(run)}/fork`, asked);
/** @param {string} run @returns {Promise<import("./types.js").RunFinding[]>} the most severe first */
export const findings = (run) => request(`/api/runs/${id(run)}/findings`);
/** @param {string} run @param {string} estimator @param {string} [stage] whose tensors are asked about @returns {Promise<import("./types.js").Diagnosis>} */
export const diagnosis = (run, estimator, stage = "") =>
  request(`/api/runs/${id(run)}/diagnosis?${query({estimator, stage})}`);
/** @param {string} run @param {string} layer "": the whole network @returns {Promise<import("./types.js").Scoreboard>} */
export const scoreboard = (run, layer) =>
  request(`/api/runs/${id(run)}/scoreboard?${query({layer})}`);
/** @param {string} run */
export const remove = (run) => request(`/api/runs/${id(run)}`, {method: "DELETE", keepalive: true});
/** @param {string} run @returns {Promise<import("./types.js").RunEvent[]>} */
export const events = (run) => request(`/api/runs/${id(run)}/events`);

/** @param {string} run @param {"csv" | "parquet" | "html"} kind */
export const exportUrl = (run, kind) => `/api/export/runs/${id(run)}.${kind}`;
/** @param {string} dashboard */
export const exportDashboardUrl = (dashboard) => `/api/export/dashboards/${id(dashboard)}.html`;
export const streamUrl = () => "/api/stream";
export const streamWorkerUrl = () => "/static/stream/worker.js";
export const plotlyUrl = () => "/static/plotly.min.js";

/**
 * @param {string} name
 * @param {FigureQuery} ask
 * @param {AbortSignal} [signal]
 * @returns {Promise<FigureAnswer>}
 */
export const figure = (name, ask, signal) =>
  request(`/api/figures/${id(name)}?${query(ask)}`, {signal});

/** @returns {Promise<import("./types.js").FigureCatalogue>} */
export const figures = () => request("/api/figures");

/** @param {string} title @param {string[]} runs @returns {Promise<{id: string}>} */
export const makeDashboard = (title, runs) => send("/api/dashboards", {title, runs});
/** @param {string} dashboard @returns {Promise<{url: string, path: string, local: boolean}>} */
export const share = (dashboard) => send(`/api/dashboards/${id(dashboard)}/share`);
/** @returns {Promise<import("./types.js").ListedShare[]>} every link, newest first */
export const shares = () => request("/api/shares");
/** @param {string} share */
export const revoke = (share) => request(`/api/shares/${id(share)}`, {method: "DELETE"});

/**
 * What a shared page may ask for: its dashboard and the figures of its runs.
 * @param {string} token
 */
export const shared = (token) => ({
  /** @returns {Promise<import("./types.js").SharedDashboard>} */
  dashboard: () => request(`/s/${id(token)}/dashboard`),
  /** @returns {Promise<import("./types.js").FigureCatalogue>} */
  figures: () => request(`/s/${id(token)}/figures`),
  /**
   * @param {string} name
   * @param {FigureQuery} ask
   * @param {AbortSignal} [signal]
   * @returns {Promise<FigureAnswer>}
   */
  figure: (name, ask, signal) =>
    request(`/s/${id(token)}/figures/${id(name)}?${query(ask)}`, {signal}),
});
/** The token in the address of a shared page. */
export const sharedToken = () => decodeURIComponent(location.pathname.split("/")[2] ?? "");
