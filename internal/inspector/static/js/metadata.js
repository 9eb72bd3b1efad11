/** Headers and trailers of a call. Secrets are masked until they are asked for. */

import { button, fill, h } from "./dom.js";
import { visible } from "./format.js";
import { copy } from "./toast.js";

/** @typedef {import("./types.js").Detail} Detail */
/** @typedef {import("./types.js").Field} Field */

const MASK = "••••••••";

/**
 * @param {HTMLElement} panel
 * @param {Detail} detail
 */
export function metadata(panel, detail) {
  const md = detail.view.metadata ?? {};
  fill(panel, section("Request", "request", md.request), section("Response", "response", md.response), section("Trailers", "trailers", md.trailers));
}

/**
 * @param {string} title
 * @param {string} part
 * @param {Field[]} [fields]
 */
function section(title, part, fields = []) {
  return h("section", { class: "md", data: { part } }, h("h3", null, title, h("span", { class: "dim" }, " " + fields.length)),
    fields.length === 0 ? h("p", { class: "dim" }, "none") : h("table", { class: "md-table" }, h("tbody", null, fields.map(line))));
}

/** @param {Field} field */
function line(field) {
  const value = h("span", { class: "md-value" });
  const cell = h("td", null, value);
  let masked = Boolean(field.secret);
  const show = () => fill(value, field.redacted ? h("span", { class: "badge warn" }, "redacted before it was stored") : masked ? MASK : visible(field.decoded ? field.value + "  (" + field.decoded + ")" : field.value));
  show();
  if (field.secret && !field.redacted) {
    const reveal = button({ icon: "eye", class: "quiet tiny", title: "Reveal " + field.name, data: { reveal: field.name } }, () => {
      masked = !masked;
      reveal.setAttribute("aria-pressed", String(!masked));
      show();
    });
    reveal.setAttribute("aria-pressed", "false");
    cell.append(reveal);
  }
  const take = field.redacted ? null : button({ icon: "copy", class: "quiet tiny hover", title: "Copy " + field.name }, () => copy(field.value, field.name));
  return h("tr", null, h("th", { scope: "row" }, field.name, field.binary ? h("span", { class: "badge" }, "binary") : null), cell, h("td", { class: "md-act" }, take));
}
