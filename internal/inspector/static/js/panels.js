/** The panels beside the calls: routes, config, status. */

import { button, h } from "./dom.js";
import { empty, load, plain, table, words } from "./table.js";
import { ago, bytes, num, span } from "./format.js";

/** @typedef {import("./table.js").Item} Item */
/** @typedef {import("./table.js").TableColumn} TableColumn */
/** @typedef {(key: string, value: string) => void} FilterBy */

/** How often a panel in sight is loaded again, in milliseconds. */
const REFRESH = 2000;

/** Keys whose columns have a look of their own; others follow as they come. */
const SPECIAL = new Set(["name", "id", "state", "healthy"]);

/** @type {Record<string, {title: string, path: string, none: [string, string], key?: string}>} */
const KINDS = {
  routes: { title: "Routes", path: "/api/routes", none: ["No routes", "The configuration names none, so loomd refuses every call."], key: "route" },
};

/**
 * @param {string} kind
 * @param {FilterBy} filterBy
 */
export function listPanel(kind, filterBy) {
  const { title, path, none, key } = KINDS[kind];
  const body = h("div", { class: "panel-body" });
  const element = h("section", { class: "page", id: "page-" + kind, "aria-label": title, tabindex: "0" }, h("h2", null, title), body);
  const show = () => load(body, path, (answer) => {
    const items = /** @type {Item[]} */ (answer.items ?? []).map(flat);
    return items.length === 0 ? empty(none[0], none[1]) : table(columns(items, key ?? "", filterBy), items, "table-" + kind);
  });
  return polled(element, show);
}

/**
 * @param {"config" | "status"} kind
 */
export function objectPanel(kind) {
  const body = h("div", { class: "panel-body" });
  const title = kind === "config" ? "Config" : "Status";
  const element = h("section", { class: "page", id: "page-" + kind, "aria-label": title, tabindex: "0" }, h("h2", null, title), body);
  const show = () => load(body, "/api/" + kind, (answer) => {
    const { text, yaml, source, ...rest } = answer ?? {};
    const written = text ?? yaml ?? source;
    return [
      rest.error ? h("p", { class: "note note-error" }, "The last change was refused; loomd still serves what it had: " + rest.error) : null,
      groups(rest),
      typeof written === "string" ? h("pre", { class: "config-text", tabindex: 0, "aria-label": "Configuration" }, written) : null,
    ];
  });
  return polled(element, show);
}

/** @param {Item} answer */
function groups(answer) {
  const simple = Object.entries(answer).filter(([, v]) => typeof v !== "object" || v === null);
  const deep = Object.entries(answer).filter(([, v]) => typeof v === "object" && v !== null);
  return h("div", { class: "groups" },
    simple.length ? h("section", { class: "card" }, h("dl", { class: "plain" }, simple.map(([k, v]) => h("div", null, h("dt", null, words(k)), h("dd", null, value(k, v)))))) : null,
    deep.map(([key, value]) => h("section", { class: "card" }, h("h3", null, words(key)),
      Array.isArray(value) && value.length && typeof value[0] === "object" ? table(columns(value, "", null), value, "table-" + key) : plain(value))));
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
 * @param {Item[]} items
 * @param {string} key
 * @param {FilterBy | null} filterBy
 * @returns {TableColumn[]}
 */
function columns(items, key, filterBy) {
  /** @type {TableColumn[]} */
  const list = [];
  const name = items.some((i) => i.name !== undefined) ? "name" : items.some((i) => i.id !== undefined) ? "id" : "";
  if (name) {
    list.push({
      title: "Name",
      cell: (i) => (filterBy && key && i[name]
        ? button({ text: String(i[name]), class: "value", title: `Show the calls of ${i[name]}` }, () => filterBy(key, String(i[name])))
        : h("strong", null, i[name])),
    });
  }
  if (items.some((i) => i.state !== undefined)) {
    list.push({ title: "State", cell: (i) => pill(String(i.state ?? "")) });
  }
  const keys = new Set(items.flatMap((i) => Object.keys(i)).filter((k) => !SPECIAL.has(k) || (k === "id" && name === "name")));
  for (const k of keys) {
    const numeric = items.every((i) => i[k] === undefined || typeof i[k] === "number");
    list.push({ title: words(k), right: numeric, cell: (i) => value(k, i[k]) });
  }
  return list;
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
  if (v === null || v === undefined || v === "" || (/^p\d+$/.test(key) && !v)) return h("span", { class: "dim" }, "–");
  if (typeof v === "string" && /^\d{4}-\d\d-\d\dT/.test(v)) return moment(v);
  if (Array.isArray(v) && v.every((x) => typeof x === "object" && x !== null)) return h("ul", { class: "plain-list" }, v.map((x) => h("li", null, entry(x))));
  if (typeof v === "number" && /(^p\d+|micros|us$)/i.test(key)) return span(num(v));
  if (typeof v === "number" && !Number.isInteger(v)) return v.toFixed(2);
  return plain(v);
}

/** @param {string} text A time such as 2026-01-02T03:04:05Z. */
export function moment(text) {
  const at = Date.parse(text);
  return at > 0 ? h("time", { datetime: text, title: text }, ago(at * 1000) + " ago") : h("span", { class: "dim" }, "–");
}

/**
 * An endpoint or a weighted backend, on one line.
 *
 * @param {Item} x
 */
function entry(x) {
  const { address, name, state, error, ...rest } = x;
  return [
    h("code", null, address ?? name), " ",
    state ? pill(String(state)) : null, " ",
    h("span", { class: "dim" }, Object.entries(rest).map(([k, v]) => words(k) + " " + v).join(", ")),
    error ? h("div", { class: "note note-error" }, error) : null,
  ];
}

/**
 * A panel that is loaded while it is in sight.
 *
 * @param {HTMLElement} element
 * @param {() => Promise<void>} show
 */
export function polled(element, show) {
  /** @type {number | undefined} */
  let timer;
  return {
    element,
    enter() {
      show();
      clearInterval(timer);
      timer = setInterval(() => { if (!document.hidden) show(); }, REFRESH);
    },
    leave() {
      clearInterval(timer);
    },
  };
}
