/** What the filter field offers: keys, and values that the calls have shown. */

import { KEYS } from "./filter.js";

/** @typedef {import("./calls.js").Calls} Calls */
/** @typedef {import("./types.js").CallSummary} CallSummary */
/** @typedef {{text: string, note: string}} Suggestion */

/** Values shown at once. */
const SHOWN = 10;
/** Newest calls that values are taken from. */
const LOOKED_AT = 2000;

/** @type {Record<string, (call: CallSummary) => string | undefined>} */
const SEEN = {
  method: (c) => c.path?.slice(c.path.lastIndexOf("/") + 1),
  service: (c) => c.path?.slice(1, c.path.lastIndexOf("/")),
  route: (c) => c.route,
  upstream: (c) => c.backend,
  endpoint: (c) => c.endpoint,
  peer: (c) => c.peer,
  trace: (c) => c.trace,
  reason: (c) => c.reason,
};

/**
 * @param {string} text Of the field.
 * @param {number} caret
 * @param {Calls} calls
 * @returns {{from: number, items: Suggestion[]}} Each item takes the place of what is between from and the caret.
 */
export function suggest(text, caret, calls) {
  const before = text.slice(0, caret);
  const word = /[^\s()]*$/.exec(before)?.[0] ?? "";
  const bare = word.replace(/^-/, "");
  const colon = bare.indexOf(":");
  if (colon < 0) {
    // Every key is offered in an empty field only: after a space the offer would be in the way.
    const items = bare === "" && before !== "" ? [] : KEYS.filter((k) => k.key.startsWith(bare.toLowerCase()))
      .map((k) => ({ text: k.key.endsWith(".") ? k.key : k.key + ":", note: k.note }));
    return { from: caret - bare.length, items };
  }
  const part = bare.slice(colon + 1).split(",").pop() ?? "";
  const items = values(bare.slice(0, colon), calls)
    .filter((v) => v.text.toLowerCase().startsWith(part.toLowerCase()) && v.text !== part).slice(0, SHOWN);
  return { from: caret - part.length, items };
}

/**
 * @param {string} key
 * @param {Calls} calls
 * @returns {Suggestion[]} Values, those seen most often first, and how often.
 */
function values(key, calls) {
  const known = KEYS.find((k) => k.key === key)?.values ?? [];
  if (known.length > 0) return known.map((text) => ({ text, note: "" }));
  const pick = SEEN[key];
  if (!pick) return [];
  /** @type {Map<string, number>} */
  const seen = new Map();
  for (const row of calls.all.slice(-LOOKED_AT)) {
    const value = pick(row.call);
    if (value) seen.set(value, (seen.get(value) ?? 0) + 1);
  }
  return [...seen].sort((a, b) => b[1] - a[1]).map(([value, n]) => ({ text: quote(value), note: String(n) }));
}

/** @param {string} value */
function quote(value) {
  return /^[^\s(),"*\\]+$/.test(value) ? value : '"' + value.replace(/["\\]/g, "\\$&") + '"';
}
