/** What the keys of filters are about. */

import { ENDER, KIND, STATE, STATUS } from "./filter-names.js";
import { COUNT, DURATION, SIZE } from "./filter-number.js";

/** @typedef {import("./types.js").CallSummary} CallSummary */
/** @typedef {import("./filter-text.js").Pattern} Pattern */

/**
 * A key as shown to a person.
 *
 * @typedef {object} Key
 * @property {string} key Ends in a dot if a name follows.
 * @property {string} note What it is about.
 * @property {string} example A value.
 * @property {string[]} values All its values; empty if they are free.
 */

/** @type {Key[]} */
export const KEYS = [
  { key: "method", note: "name of the method, or the path", example: "Get*", values: [] },
  { key: "service", note: "name of the service, with or without package", example: "Users", values: [] },
  { key: "route", note: "name of the route", example: "canary", values: [] },
  { key: "upstream", note: "name of the backend", example: "users", values: [] },
  { key: "endpoint", note: "address that answered", example: "10.0.0.*", values: [] },
  { key: "status", note: "name or number", example: "UNAVAILABLE,INTERNAL", values: STATUS.names },
  { key: "kind", note: "how many messages each way", example: "unary", values: KIND.names },
  { key: "latency", note: "start to end", example: ">50ms", values: [] },
  { key: "size", note: "bytes both ways", example: ">64KiB", values: [] },
  { key: "msgs", note: "messages both ways", example: ">100", values: [] },
  { key: "time", note: "local time of the start", example: ">=14:02", values: [] },
  { key: "peer", note: "address of the caller", example: "127.0.0.1", values: [] },
  { key: "trace", note: "trace id", example: "4bf9*", values: [] },
  { key: "reason", note: "why loom ended it", example: "NO_ROUTE", values: [] },
  { key: "by", note: "who ended it", example: "client", values: ENDER.names },
  { key: "is", note: "state of the call", example: "error", values: STATE.names },
  { key: "md.", note: "value of a metadata key; loomd looks it up", example: "md.x-tenant:acme", values: [] },
  { key: "body", note: "text in the messages; loomd looks it up", example: "alice", values: [] },
];

/** @type {Record<string, string>} */
export const ALIASES = { backend: "upstream", ender: "by" };

/** @type {Record<string, (row: CallSummary, test: (text: string) => boolean) => boolean>} */
export const TEXTS = {
  method(row, test) {
    const path = row.path ?? "";
    return test(halves(path)[1]) || test(path);
  },
  service(row, test) {
    const service = halves(row.path ?? "")[0];
    return test(service) || test(service.slice(service.lastIndexOf(".") + 1));
  },
  route: (row, test) => test(row.route ?? ""),
  upstream: (row, test) => test(row.backend ?? ""),
  endpoint: (row, test) => test(row.endpoint ?? ""),
  peer,
  trace: (row, test) => test(row.trace ?? ""),
  reason: (row, test) => test(row.reason ?? ""),
};

/** @type {Record<string, {measure: import("./filter-number.js").Measure, of: (row: CallSummary) => number}>} */
export const NUMBERS = {
  latency: { measure: DURATION, of: (row) => Number(row.took ?? 0) },
  size: { measure: SIZE, of: (row) => Number(row.upBytes ?? 0) + Number(row.downBytes ?? 0) },
  msgs: { measure: COUNT, of: (row) => Number(row.up ?? 0) + Number(row.down ?? 0) },
};

/** @type {Record<string, import("./filter-names.js").Names>} */
export const NAMES = { status: STATUS, kind: KIND, by: ENDER, is: STATE };

/**
 * @param {string} path
 * @returns {[string, string]} Service and method.
 */
function halves(path) {
  const from = path.startsWith("/") ? 1 : 0;
  const slash = path.indexOf("/", from);
  return slash < 0 ? [path.slice(from), ""] : [path.slice(from, slash), path.slice(slash + 1)];
}

/** @type {(row: CallSummary, test: (text: string) => boolean) => boolean} */
function peer(row, test) {
  const address = row.peer ?? "";
  if (test(address)) return true;
  if (address.startsWith("[")) {
    const end = address.indexOf("]");
    return end > 0 && (test(address.slice(1, end)) || test(address.slice(0, end + 1)));
  }
  const colon = address.indexOf(":");
  return colon > 0 && colon === address.lastIndexOf(":") && test(address.slice(0, colon));
}
