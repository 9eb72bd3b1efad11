/** What the filter field offers: keys, and values that the calls have shown. */

import { CODES } from "./codes.js";

/** @typedef {import("./calls.js").Calls} Calls */
/** @typedef {import("./types.js").CallSummary} CallSummary */

export const KEYS = ["method", "service", "route", "upstream", "status", "kind", "latency", "size", "msgs", "peer", "trace", "md.", "is", "body"];
const IS = ["error", "running", "open", "stream", "replayed", "truncated", "pinned"];

/** Suggestions shown at once. */
const SHOWN = 8;
/** Newest calls that values are taken from. */
const LOOKED_AT = 2000;

/** @type {Record<string, (call: CallSummary) => string | undefined>} */
const VALUES = {
  method: (c) => c.path?.slice(c.path.lastIndexOf("/") + 1),
  service: (c) => c.path?.slice(1, c.path.lastIndexOf("/")),
  route: (c) => c.route,
  upstream: (c) => c.backend,
  peer: (c) => c.peer,
  trace: (c) => c.trace,
};

/**
 * @param {string} text Of the field.
 * @param {number} caret
 * @param {Calls} calls
 * @returns {{from: number, items: {text: string, note: string}[]}} Each item takes the place of what is between from and the caret.
 */
export function suggest(text, caret, calls) {
  const before = text.slice(0, caret);
  const word = /[^\s()]*$/.exec(before)?.[0] ?? "";
  const bare = word.replace(/^-/, "");
  const colon = bare.indexOf(":");
  if (colon < 0) {
    const items = bare === "" && before !== "" ? [] : KEYS.filter((k) => k.startsWith(bare)).map((k) => ({ text: k.endsWith(".") ? k : k + ":", note: NOTES[k] ?? "" }));
    return { from: caret - bare.length, items };
  }
  const part = bare.slice(colon + 1).split(",").pop() ?? "";
  const items = values(bare.slice(0, colon), calls)
    .filter(([value]) => value.toLowerCase().startsWith(part.toLowerCase()) && value !== part)
    .slice(0, SHOWN).map(([value, note]) => ({ text: quote(value), note }));
  return { from: caret - part.length, items };
}

/** @type {Record<string, string>} */
const NOTES = {
  status: "UNAVAILABLE,INTERNAL", kind: "U, SS, CS, BD", latency: ">50ms", size: ">10KiB", msgs: ">100",
  is: "error, open, stream, pinned", body: "loomd looks it up", "md.": "loomd looks it up",
};

/**
 * @param {string} key
 * @param {Calls} calls
 * @returns {[string, string][]} Values, most often seen first, and how often.
 */
function values(key, calls) {
  if (key === "is") return IS.map((v) => [v, ""]);
  if (key === "kind") return [["U", "unary"], ["SS", "server stream"], ["CS", "client stream"], ["BD", "bidirectional"]];
  if (key === "status") return CODES.map((v) => [v, ""]);
  const pick = VALUES[key];
  if (!pick) return [];
  /** @type {Map<string, number>} */
  const seen = new Map();
  for (const row of calls.all.slice(-LOOKED_AT)) {
    const value = pick(row.call);
    if (value) seen.set(value, (seen.get(value) ?? 0) + 1);
  }
  return [...seen].sort((a, b) => b[1] - a[1]).map(([value, n]) => [value, String(n)]);
}

/** @param {string} value */
export function quote(value) {
  return /^[^\s(),"*\\]+$/.test(value) ? value : '"' + value.replace(/["\\]/g, "\\$&") + '"';
}

/**
 * Adds a term, or takes away the opposite one and the same one.
 *
 * @param {string} text
 * @param {string} key
 * @param {string} value
 * @param {boolean} exclude
 */
export function withTerm(text, key, value, exclude) {
  const term = key + ":" + quote(value);
  const words = text.split(/\s+/).filter((w) => w !== "" && w !== term && w !== "-" + term);
  // An OR binds more loosely than a space, so what there is stays together.
  const rest = words.includes("OR") ? "(" + words.join(" ") + ")" : words.join(" ");
  return (rest + " " + (exclude ? "-" : "") + term).trim();
}
