/** The columns of the list: what each shows, how wide it is, how it sorts. */

import { bytes, num, span } from "./format.js";
import { kindName, kindShort, statusWord } from "./codes.js";
import { recall, remember } from "./prefs.js";

/** @typedef {import("./row.js").Row} Row */

/**
 * @typedef {object} Column
 * @property {string} key
 * @property {string} title
 * @property {number} width In pixels, at least.
 * @property {number} [most] It grows up to this before others share what is left.
 * @property {number} [grow] Share of the room that is left.
 * @property {number} keep The higher, the longer it stays as the list gets narrower.
 * @property {boolean} [optional] Not shown unless chosen.
 * @property {boolean} [right] Numbers stand right.
 * @property {(row: Row) => string} text
 * @property {(row: Row) => string | number} sort
 * @property {string} [term] The key of a filter that a click on the value adds.
 * @property {(row: Row) => string} [value] The value of that term, if it is not the text.
 */

/** @param {string | undefined} v */
const short = (v) => v ?? "";

/** @type {Column[]} */
export const COLUMNS = [
  { key: "time", title: "Time", width: 96, keep: 8, text: (r) => r.time, sort: (r) => r.at },
  { key: "kind", title: "Kind", width: 34, keep: 5, text: (r) => kindShort(r.call.kind), sort: (r) => kindShort(r.call.kind), term: "kind", value: (r) => kindShort(r.call.kind) },
  { key: "method", title: "Method", width: 190, grow: 3, keep: 10, text: (r) => r.method, sort: (r) => r.method },
  { key: "route", title: "Route", width: 84, grow: 0.6, keep: 3, text: (r) => short(r.call.route), sort: (r) => short(r.call.route), term: "route" },
  { key: "upstream", title: "Upstream", width: 84, grow: 0.6, keep: 2, text: (r) => short(r.call.backend), sort: (r) => short(r.call.backend), term: "upstream" },
  { key: "status", title: "Status", width: 118, most: 168, keep: 9, text: (r) => statusWord(r.call), sort: (r) => statusWord(r.call), term: "status" },
  { key: "latency", title: "Latency", width: 104, keep: 8.5, right: true, text: latency, sort: (r) => num(r.call.took) },
  { key: "msgs", title: "Msgs ↑↓", width: 74, keep: 4, right: true, text: (r) => num(r.call.up) + " ↑ " + num(r.call.down) + " ↓", sort: (r) => num(r.call.up) + num(r.call.down) },
  { key: "size", title: "Bytes", width: 72, keep: 3, right: true, text: (r) => bytes(num(r.call.upBytes) + num(r.call.downBytes)), sort: (r) => num(r.call.upBytes) + num(r.call.downBytes) },
  { key: "peer", title: "Peer", width: 120, keep: 1, optional: true, text: (r) => short(r.call.peer), sort: (r) => short(r.call.peer), term: "peer" },
  { key: "attempts", title: "Attempts", width: 70, keep: 1, optional: true, right: true, text: (r) => String(r.call.attempts ?? 0), sort: (r) => r.call.attempts ?? 0 },
  { key: "deadline", title: "Deadline", width: 76, keep: 1, optional: true, right: true, text: (r) => (r.call.timeout ? span(num(r.call.timeout)) : ""), sort: (r) => num(r.call.timeout) },
  { key: "trace", title: "Trace", width: 90, keep: 1, optional: true, text: (r) => short(r.call.trace), sort: (r) => short(r.call.trace), term: "trace" },
];

/** @param {Row} row */
function latency(row) {
  return span(row.open && row.live ? Math.max(num(row.call.took), Date.now() * 1000 - row.at) : num(row.call.took));
}

/**
 * @param {Column} column
 * @param {Row} row
 * @returns {string} What hovering over a cell says.
 */
export function hint(column, row) {
  if (column.key === "method") return row.call.path ?? "";
  if (column.key === "kind") return kindName(row.call.kind);
  return "";
}

/** @returns {string[]} The keys of the columns that the user wants. */
export function chosen() {
  return recall("columns", COLUMNS.filter((c) => !c.optional).map((c) => c.key));
}

/** @param {string[]} keys */
export function choose(keys) {
  remember("columns", keys);
}

/**
 * The columns that fit, widest claim first.
 *
 * @param {number} width Of the list, in pixels.
 * @param {string[]} keys Those that the user wants.
 * @returns {Column[]}
 */
export function fitting(width, keys) {
  const wanted = COLUMNS.filter((c) => keys.includes(c.key) || c.key === "method");
  const claims = [...wanted].sort((a, b) => b.keep - a.keep);
  const gap = 12;
  let used = 24;
  /** @type {Set<Column>} */
  const kept = new Set();
  for (const column of claims) {
    if (used + column.width + gap > width && kept.size > 1) continue;
    used += column.width + gap;
    kept.add(column);
  }
  return wanted.filter((c) => kept.has(c));
}

/** @param {Column[]} columns @returns {string} For grid-template-columns. */
export function template(columns) {
  return columns.map((c) => `minmax(${c.width}px, ${c.grow ? c.grow + "fr" : (c.most ?? c.width) + "px"})`).join(" ");
}
