// @ts-check
/** Words about an entry: how long it takes, and on which data. */
import {count} from "../lib/format.js";

/** @typedef {import("../types.js").GalleryCard} GalleryCard */

/** about 4 min, or 1.5 h. @param {number} minutes */
export const duration = (minutes) =>
  minutes < 1
    ? `${count(Math.round(minutes * 60))} s`
    : minutes < 90
      ? `${count(Math.round(minutes))} min`
      : `${count(Math.round(minutes / 6) / 10)} h`;

/** On which data, and how long. @param {GalleryCard} card */
export function about({minutes, data}) {
  const time = `about ${duration(minutes.short)} (full length: ${duration(minutes.full)})`;
  if (data === null) return time;
  return data.present
    ? `${data.title}; ${time}`
    : `${data.title} is not here: ${data.stand_in} stand in; ${time}`;
}
