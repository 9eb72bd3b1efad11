/** Keys whose values are names that loom gives: statuses, kinds, enders, states. */

import { CODES } from "./codes.js";
import { nearest } from "./filter-text.js";

/** @typedef {import("./types.js").CallSummary} CallSummary */
/** @typedef {{pinned?: boolean, metadata?: (name: string) => string[], body?: () => string}} Extra */
/** @typedef {(row: CallSummary, extra: Extra) => boolean} Match */
/** @typedef {{text: string, match: Match}} Choice */
/** @typedef {{what: string, names: string[], find: (word: string) => Choice | undefined}} Names */

/** @param {string} word Folded. */
function squeeze(word) {
  return word.replace(/[-_]/g, "");
}

/** @type {Names} */
export const STATUS = { what: "status", names: [...CODES, "none", "open"], find: status };

/** @param {string} word */
function status(word) {
  const squeezed = squeeze(word);
  if (squeezed === "none") return { text: "none", match: (/** @type {CallSummary} */ row) => ended(row) && row.code === undefined };
  if (squeezed === "open") return { text: "open", match: STATES.open };
  let code = /^\d{1,9}$/.test(word) ? Number(word) : CODES.findIndex((name) => squeeze(name.toLowerCase()) === squeezed);
  if (squeezed === "canceled") code = 1;
  if (code < 0) return undefined;
  return { text: CODES[code] ?? String(code), match: (/** @type {CallSummary} */ row) => row.code === code };
}

/** @type {Record<string, string>} Canonical names by what a person may write. */
const KIND_WORDS = {
  unary: "unary", client: "client", server: "server", bidi: "bidi", u: "unary", cs: "client", ss: "server", bd: "bidi",
  clientstream: "client", serverstream: "server", bidistream: "bidi",
};

/** @type {Record<string, string>} */
const KIND_VALUES = {
  unary: "STREAM_KIND_UNARY", client: "STREAM_KIND_CLIENT_STREAM", server: "STREAM_KIND_SERVER_STREAM", bidi: "STREAM_KIND_BIDI_STREAM",
};

/** @type {Names} */
export const KIND = {
  what: "kind",
  names: ["unary", "client", "server", "bidi"],
  find(word) {
    const text = own(KIND_WORDS, squeeze(word));
    if (text === undefined) return undefined;
    const kind = KIND_VALUES[text];
    return { text, match: (row) => row.kind === kind };
  },
};

/** @type {Record<string, string[]>} */
const ENDERS = {
  backend: ["ENDER_BACKEND"],
  backend_reset: ["ENDER_BACKEND_RESET"],
  backend_lost: ["ENDER_BACKEND_LOST"],
  client: ["ENDER_CLIENT_CANCEL", "ENDER_CLIENT_LOST", "ENDER_CLIENT_DEADLINE"],
  client_cancel: ["ENDER_CLIENT_CANCEL"],
  client_lost: ["ENDER_CLIENT_LOST"],
  client_deadline: ["ENDER_CLIENT_DEADLINE"],
  loom: ["ENDER_LOOM"],
  breaker: ["ENDER_BREAKER"],
};

/** @type {Names} */
export const ENDER = {
  what: "ender",
  names: Object.keys(ENDERS),
  find(word) {
    const squeezed = squeeze(word);
    const text = ENDER.names.find((name) => squeeze(name) === squeezed);
    if (text === undefined) return undefined;
    const enders = ENDERS[text];
    return { text, match: (row) => row.by !== undefined && enders.includes(row.by) };
  },
};

/** @type {Record<string, Match>} */
const STATES = {
  error: (row) => (row.code === undefined ? ended(row) : row.code !== 0),
  ok: (row) => row.code === 0 && ended(row),
  running: (row) => row.state === "CALL_STATE_OPEN",
  open: (row) => row.state === "CALL_STATE_OPEN",
  ended,
  stream: (row) => row.kind !== undefined && row.kind !== "STREAM_KIND_UNSPECIFIED" && row.kind !== "STREAM_KIND_UNARY",
  replayed: (row) => Boolean(row.replayOf),
  truncated: (row) => Boolean(row.cut),
  pinned: (_, extra) => Boolean(extra.pinned),
  cancelled: (row) => row.code === 1 || row.by === "ENDER_CLIENT_CANCEL",
  drift: (row) => Boolean(row.drift),
};

/** @type {Names} */
export const STATE = {
  what: "state",
  names: Object.keys(STATES),
  find(word) {
    const text = squeeze(word) === "canceled" ? "cancelled" : squeeze(word);
    const match = own(STATES, text);
    return match && { text, match };
  },
};

/** @param {CallSummary} row */
function ended(row) {
  return row.state === "CALL_STATE_ENDED";
}

/**
 * @template T
 * @param {Record<string, T>} table
 * @param {string} name
 * @returns {T | undefined}
 */
function own(table, name) {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

/**
 * @param {Names} names
 * @param {string} word Folded.
 * @returns {string} What would mend a word that is none of the names.
 */
export function namesHint(names, word) {
  return nearest(word, names.names) || "known: " + names.names.join(" ");
}
