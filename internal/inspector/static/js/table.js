/** Tables of the panels, and values of which only loomd knows the shape. */

import { h } from "./dom.js";

/** @typedef {Record<string, any>} Item */
/** @typedef {{title: string, cell: (item: Item) => import("./dom.js").Child | import("./dom.js").Child[], right?: boolean}} TableColumn */

/**
 * @param {TableColumn[]} columns
 * @param {Item[]} items
 * @param {string} id
 */
export function table(columns, items, id) {
  return h("table", { class: "table", id },
    h("thead", null, h("tr", null, columns.map((c) => h("th", { scope: "col", class: c.right ? "right" : "" }, c.title)))),
    h("tbody", null, items.map((item) => h("tr", { data: { name: String(item.name ?? item.id ?? "") } },
      columns.map((c) => h("td", { class: c.right ? "right" : "" }, c.cell(item)))))));
}

/**
 * @param {string} title
 * @param {string} text
 */
export function empty(title, text) {
  return h("div", { class: "empty small" }, h("h3", null, title), h("p", null, text));
}

/** What stands where there is no value. */
export function nothing() {
  return h("span", { class: "dim" }, "–");
}

/** Words that are written as they are spoken: letter by letter. */
const ACRONYMS = new Set(["tls", "pid"]);

/** @param {string} text Such as firstByte or end_points. @returns {string} */
export function words(text) {
  return ACRONYMS.has(text) ? text.toUpperCase() : text.replace(/_/g, " ").replace(/([a-z0-9])([A-Z])/g, "$1 $2").toLowerCase();
}

/**
 * @param {any} value
 * @returns {import("./dom.js").Child}
 */
export function plain(value) {
  if (value === null || value === undefined || value === "") return h("span", { class: "dim" }, "none");
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value !== "object") return String(value);
  if (Array.isArray(value)) return value.length === 0 ? h("span", { class: "dim" }, "none") : h("ul", { class: "plain-list" }, value.map((v) => h("li", null, plain(v))));
  return h("dl", { class: "plain" }, Object.entries(value).map(([k, v]) => h("div", null, h("dt", null, words(k)), h("dd", null, plain(v)))));
}
