/** The language in which a person says which calls to show. */

import { Parser } from "./filter-parse.js";

export { FilterError } from "./filter-error.js";
export { KEYS } from "./filter-keys.js";
export { addTerm, excludeTerm, tokens } from "./filter-edit.js";

/**
 * A filter. It never changes.
 *
 * @typedef {object} Filter
 * @property {(row: import("./types.js").CallSummary, extra?: import("./filter-names.js").Extra) => boolean} match
 * @property {{metadata: boolean, body: boolean}} needs What extra must give for the filter to judge a call. Without it, such terms do not match.
 * @property {import("./filter-parse.js").Term[]} terms In the order of the text.
 * @property {string} text Canonical: parses to a filter that matches the same calls.
 */

/**
 * @param {string} text Empty: every call.
 * @returns {Filter}
 * @throws {import("./filter-error.js").FilterError} if the text is no filter.
 */
export function parse(text) {
  const parser = new Parser(text);
  const root = parser.parse();
  return { match: (row, extra = {}) => root.match(row, extra), needs: parser.needs, terms: parser.terms, text: root.text };
}
