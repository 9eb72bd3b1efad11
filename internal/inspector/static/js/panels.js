/** The panels beside the calls: routes, config, status. */

import { button, h } from "./dom.js";
import { ago, bytes, num, span } from "./format.js";
import { panel } from "./panel.js";
import { empty, nothing, plain, table, words } from "./table.js";

/** @typedef {import("./table.js").Item} Item */
/** @typedef {import("./table.js").TableColumn} TableColumn */
/** @typedef {(key: string, value: string) => void} FilterBy */

/** @param {FilterBy} filterBy */
export function routesPanel(filterBy) {
  return panel("routes", "Routes", (answer) => {
    const items = /** @type {Item[]} */ (answer.items ?? []).map(flat);
    return items.length === 0 ? empty("No routes", "The configuration names none, so loomd refuses every call.") : table(columns(items, (i) => calls(i.name, "route", filterBy)), items, "table-routes");
  });
}

/**
 * @param {"config" | "status"} kind
 */
export function objectPanel(kind) {
  return panel(kind, kind === "config" ? "Config" : "Status", (answer) => {
    const { text, ...rest } = answer ?? {};
    return [
      rest.error ? h("p", { class: "note note-error" }, "The last change was refused; loomd still serves what it had: " + rest.error) : null,
      groups(rest),
      typeof text === "string" ? h("pre", { class: "config-text", tabindex: 0, "aria-label": "Configuration" }, text) : null,
    ];
  });
}

/** @param {Item} answer */
function groups(answer) {
  const simple = Object.entries(answer).filter(([, v]) => typeof v !== "object" || v === null);
  const deep = Object.entries(answer).filter(([, v]) => typeof v === "object" && v !== null);
  return h("div", { class: "groups" },
    simple.length ? h("section", { class: "card" }, h("dl", { class: "plain" }, simple.map(([k, v]) => h("div", null, h("dt", null, words(k)), h("dd", null, value(k, v)))))) : null,
    deep.map(([key, value]) => h("section", { class: "card" }, h("h3", null, words(key)),
      Array.isArray(value) && value.length && typeof value[0] === "object" ? table(columns(value, strong), value, "table-" + key) : plain(value))));
}

/**
 * Makes the load of an item columns of their own.
 *
 * @param {Item} item
 * @returns {Item}
 */
function flat({ load: figures, ...rest }) {
  return { ...rest, ...figures };
}

/**
 * A column for the name; others follow as they come.
 *
 * @param {Item[]} items
 * @param {(item: Item) => Node} name
 * @returns {TableColumn[]}
 */
function columns(items, name) {
  const keys = new Set(items.flatMap((i) => Object.keys(i)).filter((k) => k !== "name"));
  return [{ title: "Name", cell: name }, ...[...keys].map((k) => ({
    title: words(k),
    right: items.every((i) => i[k] === undefined || typeof i[k] === "number"),
    cell: (/** @type {Item} */ i) => value(k, i[k]),
  }))];
}

/** @param {Item} item */
function strong(item) {
  return h("strong", null, item.name);
}

/** @param {string} state */
export function pill(state) {
  return h("span", { class: "pill tone-" + stateTone(state) }, h("span", { class: "shape", "aria-hidden": "true" }), state);
}

/** @param {string} state */
function stateTone(state) {
  if (/^(closed|ready|up|healthy|ok|serving)$/i.test(state)) return "ok";
  if (/^(open|forced-open|down|failed|unhealthy|ejected|backing off|transient_failure)$/i.test(state)) return "bad";
  return "warn";
}

/**
 * @param {string} key
 * @param {any} v
 */
function value(key, v) {
  if (typeof v === "number" && /memory|bytes/i.test(key)) return bytes(v);
  if (v === null || v === undefined || v === "" || (/^p\d+$/.test(key) && !v)) return nothing();
  if (typeof v === "string" && /^\d{4}-\d\d-\d\dT/.test(v)) return moment(v);
  if (Array.isArray(v) && v.every((x) => typeof x === "object" && x !== null)) return h("ul", { class: "plain-list" }, v.map((x) => h("li", null, entry(x))));
  if (typeof v === "number" && /(^p\d+|micros|us$)/i.test(key)) return span(num(v));
  if (typeof v === "number" && !Number.isInteger(v)) return v.toFixed(2);
  return plain(v);
}

/** @param {string} text A time such as 2026-01-02T03:04:05Z. */
export function moment(text) {
  const at = Date.parse(text);
  return at > 0 ? h("time", { datetime: text, title: text }, ago(at * 1000) + " ago") : nothing();
}

/**
 * A weighted backend, or a certificate, on one line.
 *
 * @param {Item} x
 */
function entry({ name, error, ...rest }) {
  return [
    h("code", null, name), " ",
    h("span", { class: "dim" }, Object.entries(rest).map(([k, v]) => words(k) + " " + v).join(", ")),
    error ? h("div", { class: "note note-error" }, error) : null,
  ];
}

/**
 * A name that shows the calls which have it.
 *
 * @param {string} name
 * @param {string} key The key of the filter.
 * @param {FilterBy} filterBy
 */
export function calls(name, key, filterBy) {
  return button({ text: name, class: "value", title: `Show the calls of ${name}` }, () => filterBy(key, name));
}
