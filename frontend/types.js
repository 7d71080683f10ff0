// @ts-check
/**
 * The JSON of the lab's API, as types (docs/architecture.md describes it in words).
 *
 * @typedef {"queued" | "running" | "paused" | "finished" | "diverged" | "failed" | "cancelled"} Status
 *
 * @typedef {object} LayerFact
 * @property {string} name
 *
 * @typedef {object} Run
 * @property {string} id
 * @property {number} number
 * @property {"training" | "microscope"} [kind] training, if it is not said
 * @property {string | null} [parent] the run whose checkpoint a microscope looks at
 * @property {number | null} [parent_step]
 * @property {string} name
 * @property {Status} status
 * @property {any} config
 * @property {{driver: string, shadows: string[]}} labels
 * @property {number} step
 * @property {number} steps
 * @property {number | null} rate steps per second
 * @property {number | null} seconds
 * @property {number | null} eta seconds
 * @property {number} attempt
 * @property {string | null} error
 * @property {string} created
 * @property {string | null} started
 * @property {string | null} finished
 * @property {string | null} device
 * @property {any} facts
 * @property {string | null} study
 *
 * @typedef {{loc: (string | number)[], msg: string}} Problem
 * @typedef {{step: number | null, kind: string, text: string, at: string}} RunEvent
 * @typedef {{id: number, metric: string, layer: string, estimator: string, steps: number[], values: (number | string | null)[]}} Delta
 *
 * @typedef {object} Component
 * @property {string} name
 * @property {string} title
 * @property {string} summary
 * @property {string} doc
 * @property {string} family
 * @property {any} schema
 * @property {{kind: "builtin" | "plugin" | "entry_point", file: string, hash: string}} source
 * @property {"exact" | "unbiased" | "biased" | "depends"} [claim]
 * @property {{name: string, text: string}[]} [needs]
 *
 * @typedef {object} Catalogue
 * @property {string} version
 * @property {Component[]} estimators
 * @property {Component[]} networks
 * @property {Component[]} datasets
 * @property {Component[]} losses
 * @property {Component[]} optimizers
 * @property {Component[]} schedules
 * @property {{source: string, traceback: string}[]} failures
 * @property {{name: string, description: string}[]} devices
 * @property {any} greeting
 * @property {any} config the JSON schema of a configuration
 *
 * @typedef {{runs: string, metric?: string, layer?: string, estimator?: string, x?: string, level?: string, max?: number, range?: string, scale?: string, units?: string, k?: number, against?: string, parts?: string, budget?: string, rate?: string}} FigureQuery
 * @typedef {{name: string, title: string, help: string, parameters: {name: string}[]}} FigureEntry
 * @typedef {{figure: {data: any[], layout: any}, shown: number, count: number, note: string}} FigureAnswer
 *
 * @typedef {{layer: string, cause: string, text: string, draws: number | null}} Finding
 * @typedef {{estimator: string, probes: number, draws: number, findings: Finding[], batch: string}} Diagnosis
 *
 * @typedef {object} SharedDashboard
 * @property {string} id
 * @property {string} title
 * @property {string} text
 * @property {Run[]} runs
 * @property {string} created
 */

export {};
