// @ts-check
/** Estimators that are measured twice over: a shadow with the driver's name and fields. */
import {members} from "./component.js";

/** What is to be said of it, or "". @param {{estimator: any, shadows: any[]}} config */
export function repeated({estimator, shadows}) {
  const driver = JSON.stringify(estimator);
  if (!shadows.some((shadow) => JSON.stringify(shadow) === driver)) return "";
  const title = members("estimators").find((component) => component.name === estimator.name)?.title;
  return `The shadow ${title ?? estimator.name} equals the driver, field by field: it is measured a second time, with other draws.`;
}
