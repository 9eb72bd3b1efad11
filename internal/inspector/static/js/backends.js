/** The panel of the backends: how each is, and its endpoints, which an operator may drain. */

import { button, h } from "./dom.js";
import { post } from "./api.js";
import { confirm } from "./dialog.js";
import { count, span } from "./format.js";
import { panel } from "./panel.js";
import { calls, pill } from "./panels.js";
import { empty, nothing, table } from "./table.js";

/** @typedef {import("./table.js").Item} Item */
/** @typedef {import("./table.js").TableColumn} TableColumn */

/** @param {(key: string, value: string) => void} filterBy */
export function backendsPanel(filterBy) {
  return panel("backends", "Backends", (answer, show) => {
    const items = /** @type {Item[]} */ (answer.items ?? []);
    return items.length === 0 ? empty("No backends", "The configuration names none.") : [
      table(backendColumns(filterBy), items, "table-backends"),
      h("h3", { class: "table-title" }, "Endpoints"),
      table(endpointColumns(show), endpoints(items), "table-endpoints"),
    ];
  });
}

/**
 * @param {Item[]} items
 * @returns {Item[]} The endpoints of all backends.
 */
function endpoints(items) {
  return items.flatMap((b) => /** @type {Item[]} */ (b.endpoints ?? []).map((e) => ({ name: e.address, backend: b.name, ...e })));
}

/**
 * @param {(key: string, value: string) => void} filterBy
 * @returns {TableColumn[]}
 */
function backendColumns(filterBy) {
  return [
    { title: "Name", cell: (i) => calls(i.name, "upstream", filterBy) },
    { title: "Targets", cell: (i) => h("ul", { class: "plain-list" }, i.targets.map((/** @type {string} */ t) => h("li", null, h("code", null, t)))) },
    { title: "Balance", cell: (i) => String(i.balance).replace(/_/g, " ") },
    { title: "Rate", right: true, cell: (i) => i.load.rate.toFixed(1) + " /s" },
    { title: "Errors", right: true, cell: (i) => (100 * i.load.errorShare).toFixed(1) + " %" },
    { title: "p50", right: true, cell: (i) => time(i.load.p50) },
    { title: "p99", right: true, cell: (i) => time(i.load.p99) },
    { title: "Open", right: true, cell: (i) => count(i.load.open) },
    { title: "Waiting", right: true, cell: (i) => count(i.waiting) },
    { title: "Calls", right: true, cell: (i) => count(i.load.calls) },
    { title: "Problems", cell: (i) => (i.problems?.length ? i.problems.map((/** @type {string} */ p) => h("div", { class: "note note-error" }, p)) : nothing()) },
  ];
}

/**
 * @param {() => Promise<void>} show
 * @returns {TableColumn[]}
 */
function endpointColumns(show) {
  return [
    { title: "Address", cell: (i) => h("code", null, i.address) },
    { title: "Backend", cell: (i) => i.backend },
    { title: "State", cell: (i) => [pill(i.state), i.error ? h("div", { class: "dim" }, i.error) : null] },
    { title: "Health", cell: (i) => (i.health ? i.health : h("span", { class: "dim" }, "not asked")) },
    { title: "Weight", right: true, cell: (i) => [count(i.weight), i.warmth < 1 ? h("span", { class: "dim" }, ` at ${Math.round(100 * i.warmth)} %`) : null] },
    { title: "In flight", right: true, cell: (i) => count(i.open) },
    { title: "Connections", right: true, cell: (i) => count(i.connections) },
    { title: "Good", right: true, cell: (i) => count(i.good) },
    { title: "Failed", right: true, cell: (i) => count(i.bad) },
    { title: "Ejections", right: true, cell: (i) => count(i.ejections) },
    { title: "Control", cell: (i) => control(i, show) },
  ];
}

/** @param {number} micros */
function time(micros) {
  return micros ? span(micros) : nothing();
}

/**
 * @param {Item} endpoint
 * @param {() => Promise<void>} show
 */
function control({ backend, address, drained, open }, show) {
  const word = drained ? "Undrain" : "Drain";
  const effect = drained
    ? "It gets calls again, as its weight and its health say."
    : `It gets no new calls until you choose Undrain. Those that it has, ${count(open)} now, go on.`;
  const act = async () => {
    await post(`/api/backends/${encodeURIComponent(backend)}/drain`, { endpoint: address, drained: !drained });
    return drained ? `${address} gets calls again` : `${address} gets no new calls`;
  };
  return button({ text: word, class: "quiet", id: `drain-${backend}-${address}`, label: `${word} ${address} of ${backend}` },
    () => confirm("drain", `${word} ${address} of ${backend}?`, effect, word, act, show));
}
