/** Names and kinds of what ends a call. */

/** As in google.rpc.Code. */
export const CODES = [
  "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
  "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE",
  "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
];

/** Codes that say that the caller asked for something wrong. */
const CALLERS = new Set([1, 3, 5, 6, 7, 9, 10, 11, 16]);

/** @type {Record<string, string>} */
const ENDERS = {
  ENDER_BACKEND: "backend",
  ENDER_BACKEND_RESET: "backend reset the stream",
  ENDER_BACKEND_LOST: "connection to the backend lost",
  ENDER_CLIENT_CANCEL: "client cancelled",
  ENDER_CLIENT_LOST: "connection to the client lost",
  ENDER_CLIENT_DEADLINE: "client's deadline passed",
  ENDER_LOOM: "loom",
  ENDER_BREAKER: "circuit breaker",
};

/** @type {Record<string, [string, string]>} */
const KINDS = {
  STREAM_KIND_UNARY: ["U", "unary"],
  STREAM_KIND_CLIENT_STREAM: ["CS", "client stream"],
  STREAM_KIND_SERVER_STREAM: ["SS", "server stream"],
  STREAM_KIND_BIDI_STREAM: ["BD", "bidirectional stream"],
};

/** @param {number} code @returns {string} */
export function codeName(code) {
  return CODES[code] ?? "CODE " + code;
}

/**
 * The look of a state: a word that CSS has a colour and a shape for.
 *
 * @param {{state?: string, code?: number, by?: string, endedBy?: string}} call
 * @returns {"run" | "ok" | "warn" | "bad"}
 */
export function tone(call) {
  if (call.state === "CALL_STATE_OPEN") return "run";
  if (call.code === 0) return "ok";
  if (call.code === undefined) return (call.by ?? call.endedBy ?? "").startsWith("ENDER_CLIENT") ? "warn" : "bad";
  return CALLERS.has(call.code) ? "warn" : "bad";
}

/**
 * @param {{state?: string, code?: number, by?: string}} call
 * @returns {string} The word in the column of the status.
 */
export function statusWord(call) {
  if (call.state === "CALL_STATE_OPEN") return "open";
  if (call.code !== undefined) return codeName(call.code);
  if ((call.by ?? "").startsWith("ENDER_CLIENT")) return "client left";
  return "no status";
}

/** @param {string | undefined} by @returns {string} */
export function enderName(by) {
  return ENDERS[by ?? ""] ?? "";
}

/** @param {string | undefined} kind @returns {string} */
export function kindShort(kind) {
  return KINDS[kind ?? ""]?.[0] ?? "·";
}

/** @param {string | undefined} kind @returns {string} */
export function kindName(kind) {
  return KINDS[kind ?? ""]?.[1] ?? "not known yet";
}
