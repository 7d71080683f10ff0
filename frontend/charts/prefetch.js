// @ts-check
/** What can wait until the page is idle, one thing after the other. */

let last = Promise.resolve();

/** @param {() => Promise<unknown>} task */
export function whenIdle(task) {
  last = last
    .then(idle)
    .then(task)
    .then(
      () => undefined,
      () => undefined,
    );
}

/** Safari has no idle callbacks. */
const idle = () =>
  new Promise((resolve) =>
    "requestIdleCallback" in window ? requestIdleCallback(resolve) : setTimeout(resolve, 50),
  );
