/** What differs between two responses, field by field. */

import { h } from "./dom.js";

/** @typedef {import("./types.js").Change} Change */

/** Longer lists help nobody. */
const LIMIT = 200;

/** @type {Record<string, [string, string]>} */
const KINDS = { added: ["+", "added"], removed: ["−", "removed"], changed: ["~", "changed"] };

/**
 * @param {Change[]} changes
 * @returns {HTMLElement}
 */
export function diffView(changes) {
  if (changes.length === 0) return h("p", { class: "same", id: "diff-same" }, "The two responses are the same, field by field.");
  const shown = changes.slice(0, LIMIT);
  return h("div", { class: "diff", id: "diff" },
    h("table", null,
      h("thead", null, h("tr", null, h("th", { scope: "col" }, ""), h("th", { scope: "col" }, "Field"), h("th", { scope: "col" }, "Before"), h("th", { scope: "col" }, "Now"))),
      h("tbody", null, shown.map(row))),
    changes.length > LIMIT ? h("p", { class: "dim" }, `${changes.length - LIMIT} more are not shown.`) : null);
}

/** @param {Change} change */
function row(change) {
  const kind = String(change.kind ?? change.Kind ?? "changed");
  const [sign, word] = KINDS[kind] ?? KINDS.changed;
  const path = change.path ?? change.Path;
  return h("tr", { class: "diff-" + kind, data: { kind } },
    h("td", { title: word, "aria-label": word }, sign),
    h("td", null, path ? h("code", null, path) : "all of it"),
    h("td", { class: "diff-old" }, text(change.old ?? change.Old)),
    h("td", { class: "diff-new" }, text(change.new ?? change.New)));
}

/** @param {unknown} value */
function text(value) {
  if (value === undefined || value === null) return "";
  const json = JSON.stringify(value);
  return json.length > 200 ? json.slice(0, 200) + "…" : json;
}
