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
 * @property {"training" | "microscope" | "attached"} [kind] training, if it is not said
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
 * @property {number | null} [overhead] the share of the time that measuring an attached run took
 * @property {number | null} eta seconds
 * @property {number} attempt
 * @property {boolean} [set_aside] whether a paused run has left its slot to others
 * @property {number | null} [silent] seconds without a word from the loop of an attached run
 * @property {string | null} error
 * @property {string} created
 * @property {string | null} started
 * @property {string | null} finished
 * @property {string | null} device
 * @property {any} facts
 * @property {string | null} study
 * @property {RunEvent[]} events what charts mark on the run's axis
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
 * @property {string} [short] of an estimator: its name in sentences
 * @property {boolean} [has_equilibrium] of a network
 * @property {boolean} [classified] of a data set: whether it leaves the loss to choose
 * @property {string[]} [inferred] what the lab has worked out of a plain module, in sentences
 *
 * @typedef {object} Catalogue
 * @property {string} version
 * @property {Component[]} estimators
 * @property {Component[]} networks
 * @property {Component[]} datasets
 * @property {Component[]} losses
 * @property {Component[]} optimizers
 * @property {Component[]} schedules
 * @property {(FigureEntry & {source: Component["source"]})[]} [figures] of plug-ins
 * @property {{source: string, traceback: string}[]} failures
 * @property {string} [folder] where the plug-ins of this lab are
 * @property {{name: string, description: string}[]} devices
 * @property {Preset[]} presets
 * @property {any} greeting
 * @property {any} config the JSON schema of a configuration
 *
 * @typedef {{name: string, title: string, text: string, seconds: number, config: any}} Preset where a new run can start
 * @typedef {{text: string, changes: Record<string, any>}} Remedy
 *
 * @typedef {object} DraftView what a configuration that is being written would run
 * @property {Record<string, any>} changes parts that follow what was chosen
 * @property {string[]} said a sentence for each of these changes
 * @property {(Problem & {remedies: Remedy[]})[]} problems
 * @property {number} runs
 * @property {Record<string, number>} varied how many values each field with several has
 * @property {any} document what is posted to start it
 * @property {string} yaml
 * @property {number | null} weights
 * @property {number | null} layers
 * @property {number | null} steps of one run
 * @property {number | null} seconds of all runs
 * @property {number} slots
 * @property {string} basis how the time is known, or why it is not
 *
 * @typedef {object} DataSet a data set in files, and how far it is
 * @property {string} name
 * @property {"absent" | "partial" | "preparing" | "broken" | "ready"} state
 * @property {string} text the state and what to do, in a sentence
 * @property {string} description
 * @property {number} done bytes that are there
 * @property {number} total bytes of all its files; 0: not known yet
 * @property {string} problem why the last download failed
 * @property {boolean} can_fetch
 * @property {boolean} can_cancel
 *
 * @typedef {{runs: string} & Record<string, string | undefined>} FigureQuery
 * @typedef {{path: string, pattern: string}} Condition on a run's configuration
 * @typedef {{value: string, title: string, whole_run?: boolean}} Choice
 *
 * @typedef {object} ParameterEntry what a figure can be asked
 * @property {string} title
 * @property {string} help
 * @property {Choice[]} choices
 * @property {string} default
 * @property {string} unit
 * @property {"select" | "slider"} control
 * @property {Condition | null} when
 * @property {[string, string] | null} values_of the figure, and the key of its `meta`:
 *   values, each by itself or as {value, title}
 *
 * @typedef {object} PickEntry a control of a parameter
 * @property {string} parameter
 * @property {string} title
 * @property {Choice[]} choices
 * @property {string} empty words of the choice that leaves the parameter out
 * @property {boolean} own whether it concerns its chart alone
 *
 * @typedef {object} SectionEntry
 * @property {string} page
 * @property {string} name
 * @property {string} title
 * @property {PickEntry[]} picks
 * @property {boolean} legend
 * @property {boolean} optional whether it is left out while none of its charts is shown
 * @property {"" | "fork"} action
 * @property {string} tab of a run's page
 *
 * @typedef {object} ChartEntry a chart of a figure (backend/figures/info.py describes the fields)
 * @property {string} key
 * @property {{page: string, section: string, order: number, span: number}[]} places
 * @property {string} title
 * @property {string} help
 * @property {string} reading
 * @property {Record<string, string>} asks
 * @property {PickEntry[]} picks
 * @property {string[]} follows
 * @property {"small" | "tall" | "wide" | "table"} size
 * @property {"shown" | "focused" | "focused first"} runs
 * @property {boolean} per_estimator
 * @property {boolean} shares_legend
 * @property {boolean} colours_runs
 * @property {Condition | null} only
 * @property {Condition | null} unless
 * @property {boolean} with_points
 *
 * @typedef {{name: string, title: string, help: string, reading: string, parameters: string[], charts: ChartEntry[]}} FigureEntry
 * @typedef {{parameters: Record<string, ParameterEntry>, sections: SectionEntry[], figures: FigureEntry[]}} FigureCatalogue
 *
 * @typedef {object} FigureAnswer
 * @property {{data: any[], layout: any}} figure
 * @property {Record<string, string>} shades of each colour of the data, what stands for it on a dark page
 * @property {string} takeaway what the figure's numbers say, in a sentence; "" without any
 * @property {number} shown
 * @property {number} count
 * @property {boolean} zoomed whether the counts are of the visible range alone
 * @property {string} selection how the shown points were selected; "" where all are shown
 * @property {string[]} note
 * @property {string[]} details sentences that are shown on demand
 * @property {Record<string, any>} meta named numbers for other parts of the page
 *
 * @typedef {{value: number, text: string}} Measured with its words
 * @typedef {object} ScoreboardRow an estimator of a run
 * @property {string} label
 * @property {string} name in the catalogue
 * @property {string} title
 * @property {string} short
 * @property {boolean} drives
 * @property {string} marker
 * @property {{index: number, light: string, dark: string}} colour
 * @property {Measured | null} along
 * @property {{steps: number[], values: (number | null)[]}} spark
 * @property {{stage: string, exact: boolean, along: Measured | null}[]} layers
 * @property {Measured | null} variance
 * @property {Measured | null} length
 * @property {{verdict: string, text: string} | null} bias
 * @property {{draws: number | null, text: string} | null} halving
 * @property {{relative: number, text: string} | null} cost
 * @property {{verdict: string, text: string} | null} theory
 * @typedef {{layer: string, probes: number, step: number, stages: string[], takeaway: string, rows: ScoreboardRow[]}} Scoreboard
 *
 * @typedef {object} RunFinding what a reader of a run must know, the same words everywhere
 * @property {string} kind
 * @property {1 | 2 | 3} severity a remark, a fault, a failure
 * @property {string} title
 * @property {string} text
 * @property {number | null} step
 * @property {number | null} last
 * @property {string} estimator
 * @property {{marker: string, colour: {index: number, light: string, dark: string}} | null} look of the estimator
 * @property {string} layer
 * @property {"" | "variance" | "layers" | "microscope" | "setup"} where the tab that shows it
 * @property {"" | "lower rate" | "duplicate"} action
 *
 * @typedef {{layer: string, cause: string, text: string, draws: number | null}} Finding
 * @typedef {{estimator: string, probes: number, draws: number, findings: Finding[], batch: string}} Diagnosis
 *
 * @typedef {object} SharedDashboard
 * @property {string} id
 * @property {string} title
 * @property {string} text
 * @property {Run[]} runs
 * @property {number} deleted how many of its runs were deleted since
 * @property {string} created
 *
 * @typedef {"running" | "paused" | "finished" | "cancelled"} StudyStatus
 * @typedef {"pause" | "resume" | "cancel" | "retry"} StudyOrder
 * @typedef {{id: string, name: string, created: string, status: StudyStatus, finished: string | null, cells: number, ended: number, failed: number}} ListedStudy
 * @typedef {{phase: "timing" | "tuning" | "report", variant: string, value?: number, seed: number, run: string, number: number, reason: string}} StudyFailure
 * @typedef {{value: number | null, also: any, note: string, at_edge: boolean, field: string, also_field: string}} StudyChoice
 *
 * @typedef {ListedStudy & {length: "short" | "full", stand_in: boolean}} GalleryStudy
 * @typedef {{folder: string, title: string, stand_in: string, present: boolean}} GalleryData
 * @typedef {{key: string, title: string, citation: string, arxiv: string, authors: string, year: number, says: string | null, cover: string | null}} GalleryPaper
 * @typedef {{key: string, figure: string, source: "study" | "runs", title: string, help: string, query: FigureQuery}} GalleryFigure
 * @typedef {{quantity: string, source: string, unit: string, read: string, order: string, rows: {label: string, published: number, words: string, seeds: number}[]}} GalleryComparison
 * @typedef {{name: string, title: string, question: string, paper: GalleryPaper, minutes: {short: number, full: number}, data: GalleryData | null, recorded: boolean, newest: GalleryStudy | null}} GalleryCard
 * @typedef {GalleryCard & {claim: {text: string, read: string} | null, studies: GalleryStudy[], study: string, comparisons: GalleryComparison[], not_the_same: string, differences: {short: string[], full: string[]}, figures: GalleryFigure[]}} GalleryEntry
 *
 * @typedef {object} StudyResults how far a study is, and what it shows
 * @property {string} id
 * @property {string} name
 * @property {StudyStatus} status
 * @property {string | null} finished
 * @property {"timing" | "tuning" | "report"} phase
 * @property {number} cells
 * @property {number} ended
 * @property {any} document
 * @property {{name: string, title: string, help: string, reading: string}[]} figures
 * @property {{
 *   table: {higher_is_better: boolean, rows: {label: string, mean: number | null, verdict: {sentence: string} | null}[]},
 *   words: {above: string, heads: string[], rows: string[][], below: string},
 *   leaderboard: {sentence: string},
 *   choices: Record<string, StudyChoice>,
 *   failures: StudyFailure[],
 * }} results
 *
 * @typedef {{id: string, created: string, dashboard: string, title: string, runs: number}} ListedShare a link, without its token
 */

export {};
