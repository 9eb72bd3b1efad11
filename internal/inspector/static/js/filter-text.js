/** Compares texts with patterns. */

/**
 * The literal parts of a pattern; anything may stand between two of them.
 *
 * @typedef {string[]} Pattern
 */

const BEYOND_ASCII = /[\u0080-\uffff]/;

/**
 * Lowers ASCII letters and leaves the rest, as the twin in Go does.
 *
 * @param {string} text
 * @returns {string}
 */
export function fold(text) {
  return BEYOND_ASCII.test(text) ? text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase()) : text.toLowerCase();
}

/**
 * @param {Pattern} parts Folded.
 * @param {string} text Folded.
 * @returns {boolean} Whether text is the parts with anything between them.
 */
export function glob(parts, text) {
  const last = parts.length - 1;
  if (last === 0) return text === parts[0];
  if (!text.startsWith(parts[0])) return false;
  let at = parts[0].length;
  for (let i = 1; i < last; i++) {
    const found = text.indexOf(parts[i], at);
    if (found < 0) return false;
    at = found + parts[i].length;
  }
  return text.length - at >= parts[last].length && text.endsWith(parts[last]);
}

/**
 * @param {Pattern[]} patterns Folded.
 * @param {string} text As it is.
 * @returns {boolean} Whether one of them is the text.
 */
export function anyGlob(patterns, text) {
  const folded = fold(text);
  for (const pattern of patterns) if (glob(pattern, folded)) return true;
  return false;
}

/**
 * Writes a pattern so that it reads as the same value.
 *
 * @param {Pattern} parts
 * @param {RegExp} plain What needs no quotes.
 * @returns {string}
 */
export function quoted(parts, plain) {
  if (parts.length === 1 && parts[0] === "") return '""';
  return parts.map((part) => (part === "" || plain.test(part) ? part : '"' + part.replace(/["\\]/g, "\\$&") + '"')).join("*");
}

/** What a value after a key may be without quotes. */
export const PLAIN_VALUE = /^[^ \t\r\n(),"*]+$/;

/** What a value without a key may be without quotes. */
export const PLAIN_WORD = /^(?!OR$)[A-Za-z0-9_./]+$/;

/** Names longer than this are no slips of the pen. */
const LONGEST = 24;

/**
 * @param {string} word Folded.
 * @param {string[]} names
 * @returns {string} Which name it is nearly, as a question; "" if none.
 */
export function nearest(word, names) {
  let best = "";
  let least = word.length < 4 ? 2 : 3;
  if (word.length > LONGEST || BEYOND_ASCII.test(word)) return "";
  for (const name of names) {
    const far = distance(word, name.toLowerCase());
    if (far < least) {
      best = name;
      least = far;
    }
  }
  return best === "" ? "" : "did you mean " + best + "?";
}

/**
 * @param {string} a
 * @param {string} b
 * @returns {number} How many letters to add, drop or change.
 */
function distance(a, b) {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 0; i < a.length; i++) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j++) {
      next.push(Math.min(row[j + 1] + 1, next[j] + 1, row[j] + (a[i] === b[j] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length];
}
