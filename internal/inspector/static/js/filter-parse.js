/** Reads filters: the twin of internal/filter, which defines the language. */

import { FilterError } from "./filter-error.js";
import { ALIASES, KEYS, NAMES, NUMBERS, TEXTS } from "./filter-keys.js";
import { namesHint } from "./filter-names.js";
import { comparison } from "./filter-number.js";
import { PLAIN_VALUE, PLAIN_WORD, anyGlob, fold, nearest, quoted } from "./filter-text.js";
import { TIME_HINT, timeComparison } from "./filter-time.js";

/** @typedef {import("./filter-names.js").Match} Match */
/** @typedef {import("./filter-text.js").Pattern} Pattern */
/** @typedef {{match: Match, text: string, kind: "all" | "either" | "one"}} Node */
/** @typedef {{begin: number, parts: Pattern, literal: string}} Value */

/**
 * One term of a filter, as written.
 *
 * @typedef {object} Term
 * @property {string} key Canonical; "" for a word in the path.
 * @property {string} text Canonical, without the minus.
 * @property {boolean} negated Whether an odd number of minuses applies.
 * @property {number} depth Of parentheses around it.
 * @property {number} from Where it begins, its minus included, in UTF-16 units.
 * @property {number} to
 */

const MAX_LENGTH = 4096; // bytes
const MAX_VALUES = 256;
const MAX_DEPTH = 32;

const SPACE = " \t\r\n";
const ENDS = SPACE + "(),";
const KNOWN = "known: " + KEYS.map((k) => (k.key === "md." ? "md.NAME" : k.key)).join(" ");

/** Parser goes through a text once. */
export class Parser {
  /** @param {string} text */
  constructor(text) {
    this.text = text;
    this.at = 0;
    this.values = 0;
    this.negated = false;
    this.needs = { metadata: false, body: false };
    /** @type {Term[]} */
    this.terms = [];
  }

  /** @returns {Node} */
  parse() {
    if (new TextEncoder().encode(this.text).length > MAX_LENGTH) {
      const error = this.fail(0, "the filter is longer than 4096 bytes", "");
      error.offset = MAX_LENGTH;
      throw error;
    }
    this.space();
    if (this.at === this.text.length) return { match: () => true, text: "", kind: "all" };
    const root = this.either(0);
    if (this.at < this.text.length) throw this.fail(this.at, "nothing is open that this parenthesis could close", "quote it");
    return root;
  }

  /**
   * @param {number} at
   * @param {string} message
   * @param {string} hint
   */
  fail(at, message, hint) {
    return new FilterError(this.text, at, message, hint);
  }

  /** @param {string} set @param {number} at Whether one of the set stands there. */
  is(set, at) {
    return at < this.text.length && set.includes(this.text[at]);
  }

  space() {
    while (this.is(SPACE, this.at)) this.at++;
  }

  /** @returns {boolean} Whether the word OR comes next. */
  or() {
    const end = this.at + 2;
    return this.text.startsWith("OR", this.at) && (end === this.text.length || this.is(SPACE + "()", end));
  }

  /** @param {number} depth @returns {Node} */
  either(depth) {
    if (depth > MAX_DEPTH) throw this.fail(this.at, "parentheses are nested more than 32 deep", "");
    /** @type {Node[]} */
    const parts = [];
    for (;;) {
      /** @type {Node[]} */
      const together = [];
      for (this.space(); this.at < this.text.length && this.text[this.at] !== ")" && !this.or(); this.space()) {
        together.push(this.one(depth));
      }
      if (together.length === 0) {
        throw this.fail(this.at, "a term is missing here", "OR and parentheses need terms; quote them to search for them");
      }
      parts.push(all(together));
      if (this.at >= this.text.length || !this.or()) return either(parts);
      this.at += 2;
    }
  }

  /** @param {number} depth @returns {Node} */
  one(depth) {
    const begin = this.at;
    if (this.text[this.at] === "-") {
      this.at++;
      if (this.at === this.text.length || this.is("-)" + SPACE, this.at)) throw this.fail(this.at, "a term is missing after -", "");
      this.negated = !this.negated;
      const node = this.text[this.at] === "(" ? this.group(depth) : this.term(begin, depth);
      this.negated = !this.negated;
      return not(node);
    }
    return this.text[this.at] === "(" ? this.group(depth) : this.term(begin, depth);
  }

  /** @param {number} depth @returns {Node} */
  group(depth) {
    const open = this.at++;
    const node = this.either(depth + 1);
    if (this.at === this.text.length) throw this.fail(open, "the parenthesis is not closed", "add )");
    this.at++;
    return node;
  }

  /** @param {number} from @param {number} depth @returns {Node} */
  term(from, depth) {
    const begin = this.at;
    const name = /^[A-Za-z0-9._-]*/.exec(this.text.slice(begin))?.[0] ?? "";
    let end = begin + name.length;
    let key = "";
    if (name !== "" && this.text[end] === ":") {
      key = this.key(name, begin);
      end++;
    } else if (Object.hasOwn(NUMBERS, fold(name)) && this.is("<>=", end)) {
      throw this.fail(end, "a colon is missing after " + fold(name), "write " + fold(name) + ":" + this.text[end]);
    } else end = begin;
    this.at = end;
    const values = [this.value()];
    while (this.text[this.at] === ",") {
      this.at++;
      values.push(this.value());
    }
    const node = this.test(key, values);
    this.terms.push({ key, text: node.text, negated: this.negated, depth, from, to: this.at });
    return node;
  }

  /** @param {string} name @param {number} begin @returns {string} Canonical. */
  key(name, begin) {
    const folded = fold(name);
    const key = Object.hasOwn(ALIASES, folded) ? ALIASES[folded] : folded;
    if (key === "md.") throw this.fail(begin, "md. needs the name of a metadata key", "such as md.x-request-id:7");
    if (key.startsWith("md.") || KEYS.some((k) => k.key === key)) return key;
    const names = [...KEYS.filter((k) => k.key !== "md.").map((k) => k.key), ...Object.keys(ALIASES)];
    throw this.fail(begin, "there is no key " + name, nearest(folded, names) || KNOWN);
  }

  /**
   * @param {string} key
   * @param {Value[]} values
   * @returns {Node}
   */
  test(key, values) {
    if (Object.hasOwn(NAMES, key)) {
      const choices = values.map((value) => {
        const choice = value.parts.length === 1 ? NAMES[key].find(fold(value.literal)) : undefined;
        if (choice) return choice;
        throw this.fail(value.begin, "there is no " + NAMES[key].what + " " + value.literal, namesHint(NAMES[key], fold(value.literal)));
      });
      const matches = choices.map((c) => c.match);
      return one(key, choices.map((c) => c.text), matches.length === 1 ? matches[0] : (row, extra) => matches.some((m) => m(row, extra)));
    }
    if (key === "time" || Object.hasOwn(NUMBERS, key)) return this.compare(key, values);
    return this.search(key, values);
  }

  /** @param {string} key @param {Value[]} values @returns {Node} */
  compare(key, values) {
    const number = key === "time" ? null : NUMBERS[key];
    const comparisons = values.map((value) => {
      const text = fold(value.literal);
      const result = value.parts.length > 1 ? "a star has no meaning here" : number ? comparison(text, number.measure) : timeComparison(text);
      if (typeof result !== "string") return result;
      throw this.fail(value.begin, result, number ? number.measure.hint : TIME_HINT);
    });
    const of = number ? number.of : (/** @type {import("./types.js").CallSummary} */ row) => Number(row.at ?? 0);
    const test = comparisons.length === 1 ? comparisons[0].test : (/** @type {number} */ v) => comparisons.some((c) => c.test(v));
    return one(key, comparisons.map((c) => c.text), (row) => test(of(row)));
  }

  /** @param {string} key @param {Value[]} values @returns {Node} */
  search(key, values) {
    const texts = values.map((value) => quoted(value.parts, key === "" ? PLAIN_WORD : PLAIN_VALUE));
    const within = key === "" || key === "body";
    const patterns = values.map(({ parts }) => (within ? ["", ...parts, ""] : parts).map(fold));
    const test = (/** @type {string} */ text) => anyGlob(patterns, text);
    if (key === "") return one(key, texts, (row) => test(row.path ?? ""));
    if (key === "body") {
      this.needs.body = true;
      return one(key, texts, (_, extra) => extra.body !== undefined && test(extra.body()));
    }
    if (key.startsWith("md.")) {
      const name = key.slice(3);
      this.needs.metadata = true;
      return one(key, texts, (_, extra) => extra.metadata !== undefined && extra.metadata(name).some(test));
    }
    const of = TEXTS[key];
    return one(key, texts, (row) => of(row, test));
  }

  /** @returns {Value} */
  value() {
    const begin = this.at;
    if (++this.values > MAX_VALUES) throw this.fail(begin, "the filter has more than 256 values", "");
    const parts = [""];
    let open = -1;
    for (; this.at < this.text.length; this.at++) {
      const c = this.text[this.at];
      if (c === '"') open = open < 0 ? this.at : -1;
      else if (open < 0 && ENDS.includes(c)) break;
      else if (open < 0 && c === "*") parts.push("");
      else if (open >= 0 && c === "\\" && this.at + 1 < this.text.length) parts[parts.length - 1] += this.text[++this.at];
      else parts[parts.length - 1] += c;
    }
    if (open >= 0) throw this.fail(open, "the quote is not closed", 'add "');
    if (this.at === begin) throw this.fail(begin, "a value is missing here", "");
    return { begin, parts, literal: parts.join("*") };
  }
}

/**
 * @param {string} key
 * @param {string[]} values
 * @param {Match} match
 * @returns {Node}
 */
function one(key, values, match) {
  return { match, text: (key === "" ? "" : key + ":") + values.join(","), kind: "one" };
}

/** @param {Node} node @returns {Node} */
function not(node) {
  const text = node.kind === "one" && !node.text.startsWith("-") ? "-" + node.text : "-(" + node.text + ")";
  return { match: (row, extra) => !node.match(row, extra), text, kind: "one" };
}

/** @param {Node[]} nodes @returns {Node} */
function all(nodes) {
  if (nodes.length === 1) return nodes[0];
  const matches = nodes.map((n) => n.match);
  const text = nodes.map((n) => (n.kind === "either" ? "(" + n.text + ")" : n.text)).join(" ");
  return { match: (row, extra) => matches.every((m) => m(row, extra)), text, kind: "all" };
}

/** @param {Node[]} nodes @returns {Node} */
function either(nodes) {
  if (nodes.length === 1) return nodes[0];
  const matches = nodes.map((n) => n.match);
  return { match: (row, extra) => matches.some((m) => m(row, extra)), text: nodes.map((n) => n.text).join(" OR "), kind: "either" };
}
