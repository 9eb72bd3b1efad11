/** Comparisons of the local time at which a call began. */

import { operands } from "./filter-number.js";

/** @typedef {import("./filter-number.js").Comparison} Comparison */

const CLOCK = "00:00:00.000000";
const DATE = "0000-00-00t" + CLOCK;

export const TIME_HINT = "such as 14:02, >=14:02:11.5 or 2026-01-31..2026-02-02";

/**
 * @param {string} text Folded.
 * @returns {Comparison | string} What is wrong with it, if it is none.
 */
export function timeComparison(text) {
  const { operator, first, second } = operands(text);
  if (!isMoment(first)) return "this is not a time";
  if (operator !== "..") return { text: (operator === "=" ? "" : operator) + upper(first), test: test(operator, first) };
  if (!isMoment(second)) return "this is not a time";
  const common = Math.min(first.length, second.length);
  if (isClock(first) !== isClock(second)) return "one end of the range is a date, the other is not";
  if (second.slice(0, common) < first.slice(0, common)) return "the range ends before it begins";
  const from = test(">=", first);
  const to = test("<=", second);
  return { text: upper(first) + ".." + upper(second), test: (micros) => from(micros) && to(micros) };
}

/** @param {string} moment */
function isClock(moment) {
  return moment[2] === ":";
}

/** @param {string} moment */
function upper(moment) {
  return moment.replace("t", "T");
}

/**
 * @param {string} text
 * @returns {boolean} Whether it is a time of day or a date, cut where a person may stop.
 */
function isMoment(text) {
  const clock = isClock(text);
  const shape = clock ? CLOCK : DATE;
  const length = clock ? text.length : text.length - 11;
  if (!(length === 5 || length === 8 || (length >= 10 && length <= 15) || (!clock && length === -1))) return false;
  for (let i = 0; i < text.length; i++) {
    if (shape[i] === "0" ? text[i] < "0" || text[i] > "9" : text[i] !== shape[i]) return false;
  }
  const day = clock ? "" : text.slice(0, 10);
  const time = clock ? text : text.slice(11);
  return (clock || (between(day.slice(5, 7), "01", "12") && between(day.slice(8), "01", "31"))) &&
    between(time.slice(0, 2), "", "23") && between(time.slice(3, 5), "", "59") && between(time.slice(6, 8), "", "59");
}

/** @param {string} part @param {string} least @param {string} most */
function between(part, least, most) {
  return part >= least && part <= most;
}

/**
 * Compares no further than the given time says, so that 14:02 is a minute.
 *
 * @param {string} operator
 * @param {string} moment
 * @returns {(micros: number) => boolean}
 */
function test(operator, moment) {
  const from = isClock(moment) ? 11 : 0;
  const to = from + moment.length;
  return (micros) => {
    const at = local(micros).slice(from, to);
    switch (operator) {
      case ">": return at > moment;
      case "<": return at < moment;
      case ">=": return at >= moment;
      case "<=": return at <= moment;
      default: return at === moment;
    }
  };
}

/**
 * @param {number} micros Since 1970.
 * @returns {string} In the shape of DATE.
 */
function local(micros) {
  const millis = Math.floor(micros / 1000);
  const date = new Date(millis);
  return digits(date.getFullYear(), 4) + "-" + digits(date.getMonth() + 1, 2) + "-" + digits(date.getDate(), 2) + "t" +
    digits(date.getHours(), 2) + ":" + digits(date.getMinutes(), 2) + ":" + digits(date.getSeconds(), 2) + "." +
    digits(date.getMilliseconds() * 1000 + micros - millis * 1000, 6);
}

/** @param {number} n @param {number} width */
function digits(n, width) {
  return String(n).padStart(width, "0");
}
