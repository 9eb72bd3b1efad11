/** What came of a request that the page had sent. */

import { fill, h } from "./dom.js";
import { ApiError, sentence } from "./api.js";
import { codeName, tone } from "./codes.js";
import { address } from "./router.js";
import { diffView } from "./diff.js";

/**
 * @param {HTMLElement} box
 * @param {{id?: string, note?: string, status?: {code?: number, message?: string}, diff?: import("./types.js").Change[] | null}} answer
 * @param {boolean} compared Whether there was an earlier response.
 */
export function showResult(box, answer, compared) {
  const code = answer.status?.code ?? 0;
  fill(box, h("div", { class: "result", id: "result" },
    h("span", { class: "pill tone-" + tone({ code }) }, h("span", { class: "shape", "aria-hidden": "true" }), codeName(code)),
    answer.status?.message ? h("span", { class: "result-message" }, answer.status.message) : null,
    answer.id ? h("a", { class: "call-link", id: "result-link", href: address({ id: answer.id, tab: "exchange" }) }, "Open call " + answer.id) : null),
  answer.note ? h("p", { class: "note note-hint" }, answer.note) : null,
  compared && answer.diff ? [h("h3", null, "Compared with the first response"), diffView(answer.diff)] : []);
}

/**
 * @param {HTMLElement} box
 * @param {unknown} error
 * @param {import("./editor.js").Editor} editor
 */
export function showFailure(box, error, editor) {
  fill(box, h("p", { class: "note note-error", role: "alert", id: "result-error" }, sentence(error)));
  if (error instanceof ApiError && error.fields.length > 0) {
    editor.show(error.fields.map((f) => {
      // The path of a body begins with the place of its message: /messages/0/order/id.
      const parts = /^\/?messages\/(\d+)(\/.*)?$/.exec(f.path);
      return { path: parts ? parts[2] ?? "" : f.path, message: parts ? Number(parts[1]) : 0, text: f.message };
    }));
  }
}
