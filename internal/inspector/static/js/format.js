/** Turns numbers into the short texts of rows and panels. */

/**
 * @param {unknown} value A number, or a 64-bit number as protojson writes it.
 * @returns {number} 0 if it is none.
 */
export function num(value) {
  const n = Number(value ?? 0);
  return Number.isFinite(n) ? n : 0;
}

/** @param {number} n @returns {string} */
function two(n) {
  return n < 10 ? "0" + n : String(n);
}

/**
 * @param {number} micros Since 1970.
 * @returns {string} Local time such as 14:02:11.204.
 */
export function clock(micros) {
  if (!micros) return "";
  const date = new Date(micros / 1000);
  const millis = date.getMilliseconds();
  return two(date.getHours()) + ":" + two(date.getMinutes()) + ":" + two(date.getSeconds()) +
    "." + (millis < 100 ? "0" : "") + two(millis);
}

/**
 * @param {number} micros
 * @returns {string} Such as 840 µs, 12.4 ms, 2.03 s, 4 min 10 s.
 */
export function span(micros) {
  if (micros < 0) return "0 µs";
  if (micros < 1000) return Math.round(micros) + " µs";
  const millis = micros / 1000;
  if (millis < 10) return millis.toFixed(2) + " ms";
  if (millis < 100) return millis.toFixed(1) + " ms";
  if (millis < 1000) return Math.round(millis) + " ms";
  const seconds = millis / 1000;
  if (seconds < 10) return seconds.toFixed(2) + " s";
  if (seconds < 60) return seconds.toFixed(1) + " s";
  if (seconds < 3600) return Math.floor(seconds / 60) + " min " + Math.floor(seconds % 60) + " s";
  return Math.floor(seconds / 3600) + " h " + Math.floor((seconds % 3600) / 60) + " min";
}

/**
 * @param {number} n
 * @returns {string} Such as 512 B, 1.4 KiB, 3.0 MiB.
 */
export function bytes(n) {
  if (n < 1024) return n + " B";
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let value = n / 1024;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return (value < 100 ? value.toFixed(1) : String(Math.round(value))) + " " + units[unit];
}

/** @param {number} n @returns {string} With thousands apart, such as 12,400. */
export function count(n) {
  return n.toLocaleString("en-GB");
}

/**
 * @param {string | undefined} duration As protojson writes it, such as 0.020s.
 * @returns {number} Microseconds.
 */
export function micros(duration) {
  return duration ? parseFloat(duration) * 1e6 : 0;
}

/**
 * @param {number} n
 * @param {string} one
 * @returns {string} Such as 1 message, 4 messages.
 */
export function plural(n, one) {
  return count(n) + " " + one + (n === 1 ? "" : "s");
}

/**
 * @param {number} micros Since 1970.
 * @returns {string} How long ago, such as 4 min 10 s.
 */
export function ago(micros) {
  return span(Math.max(0, Date.now() * 1000 - micros));
}

/**
 * Text with what a person cannot see, or what turns the direction of the text
 * round, written as escapes.
 *
 * @param {string} text
 * @returns {string}
 */
export function visible(text) {
  return text.replace(/[\p{Cc}\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/gu, (c) =>
    c === "\n" || c === "\t" ? c : "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"));
}
