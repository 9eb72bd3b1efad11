/** Changes the text of a filter as clicks in the list ask for, and cuts it up for colours. */

import { Parser } from "./filter-parse.js";
import { PLAIN_VALUE, PLAIN_WORD, quoted } from "./filter-text.js";

/**
 * A piece of a filter's text; together they are the whole of it.
 *
 * @typedef {object} Token
 * @property {"space" | "paren" | "or" | "not" | "key" | "value" | "comma"} kind A key ends with its colon.
 * @property {string} text
 * @property {number} from In UTF-16 units.
 * @property {number} to
 */

const TOKEN = /(?<space>[ \t\r\n]+)|(?<paren>[()])|(?<comma>,)|(?<value>(?:"(?:[^"\\]|\\[^])*(?:"|\\?$)|[^ \t\r\n(),"])+)/y;

/**
 * Cuts any text up, of a filter or not.
 *
 * @param {string} text
 * @returns {Token[]}
 */
export function tokens(text) {
  /** @type {Token[]} */
  const found = [];
  const push = (/** @type {Token["kind"]} */ kind, /** @type {number} */ from, /** @type {number} */ to) => {
    if (to > from) found.push({ kind, text: text.slice(from, to), from, to });
  };
  let fresh = true;
  TOKEN.lastIndex = 0;
  for (let m = TOKEN.exec(text); m !== null; m = TOKEN.exec(text)) {
    const kind = /** @type {Token["kind"]} */ (Object.entries(m.groups ?? {}).find(([, v]) => v !== undefined)?.[0]);
    const to = m.index + m[0].length;
    if (kind !== "value") push(kind, m.index, to);
    else if (fresh && m[0] === "OR") push("or", m.index, to);
    else if (fresh) {
      const minus = m[0].startsWith("-") ? m.index + 1 : m.index;
      const key = /^[A-Za-z0-9._-]+:/.exec(text.slice(minus, to))?.[0].length ?? 0;
      push("not", m.index, minus);
      push("key", minus, minus + key);
      push("value", minus + key, to);
    } else push("value", m.index, to);
    fresh = kind === "space" || kind === "paren";
  }
  return found;
}

/**
 * Narrows a filter to calls with a value; takes away the opposite term.
 *
 * @param {string} text
 * @param {string} key "" for a word in the path.
 * @param {string} value As it is in a call, without stars or quotes.
 * @returns {string}
 */
export function addTerm(text, key, value) {
  return change(text, key, value, false);
}

/**
 * Narrows a filter to calls without a value; takes away the opposite term.
 *
 * @param {string} text
 * @param {string} key "" for a word in the path.
 * @param {string} value As it is in a call, without stars or quotes.
 * @returns {string}
 */
export function excludeTerm(text, key, value) {
  return change(text, key, value, true);
}

/**
 * @param {string} text
 * @param {string} key
 * @param {string} value
 * @param {boolean} negated
 * @returns {string}
 */
function change(text, key, value, negated) {
  const term = key === "" ? quoted([value], PLAIN_WORD) : key + ":" + quoted([value], PLAIN_VALUE);
  const added = (negated ? "-" : "") + term;
  const old = read(text);
  const canonical = read(term)?.root.text;
  // What is no filter yet is left to the person who is typing it.
  if (old === null || canonical === undefined) return (text.trim() + " " + added).trim();
  if (isChoice(text)) return "(" + text.trim() + ") " + added;
  let rest = text;
  for (const t of old.terms.filter((t) => t.depth === 0 && t.text === canonical).reverse()) {
    if (t.negated === negated) return text.trim();
    rest = rest.slice(0, t.from).trimEnd() + " " + rest.slice(t.to).trimStart();
  }
  return (rest.trim() + " " + added).trim();
}

/**
 * @param {string} text A filter.
 * @returns {boolean} Whether it has an OR outside parentheses.
 */
function isChoice(text) {
  let depth = 0;
  for (const token of tokens(text)) {
    if (token.kind === "paren") depth += token.text === "(" ? 1 : -1;
    if (token.kind === "or" && depth === 0) return true;
  }
  return false;
}

/**
 * @param {string} text
 * @returns {{root: import("./filter-parse.js").Node, terms: import("./filter-parse.js").Term[]} | null}
 */
function read(text) {
  const parser = new Parser(text);
  try {
    return { root: parser.parse(), terms: parser.terms };
  } catch {
    return null;
  }
}
