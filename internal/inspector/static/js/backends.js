/** The panel of the backends: how each is, and its endpoints, which an operator may drain. */

import { button, fill, h } from "./dom.js";
import { get, post, sentence } from "./api.js";
import { openDialog } from "./dialog.js";
import { count, span } from "./format.js";
import { pill, polled } from "./panels.js";
import { empty, table } from "./table.js";
import { notice } from "./toast.js";

/** @typedef {import("./table.js").Item} Item */
/** @typedef {import("./table.js").TableColumn} TableColumn */

/** @param {(key: string, value: string) => void} filterBy */
export function backendsPanel(filterBy) {
  const body = h("div", { class: "panel-body" });
  const element = h("section", { class: "page", id: "page-backends", "aria-label": "Backends", tabindex: "0" }, h("h2", null, "Backends"), body);
  const show = async () => {
    try {
      const items = /** @type {Item[]} */ ((await get("/api/backends")).items ?? []);
      const seal = JSON.stringify(items);
      if (body.dataset.seal === seal) return;
      body.dataset.seal = seal;
      const focused = document.activeElement?.id;
      fill(body, items.length === 0 ? empty("No backends", "The configuration names none.") : [
        table(backendColumns(filterBy), items, "table-backends"),
        h("h3", { class: "table-title" }, "Endpoints"),
        table(endpointColumns(show), endpoints(items), "table-endpoints"),
      ]);
      if (focused && body.querySelector("#" + CSS.escape(focused))) document.getElementById(focused)?.focus();
    } catch (error) {
      delete body.dataset.seal;
      fill(body, empty("This could not be loaded", sentence(error)));
    }
  };
  return polled(element, show);
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
    { title: "Name", cell: (i) => button({ text: i.name, class: "value", title: `Show the calls of ${i.name}` }, () => filterBy("upstream", i.name)) },
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

function nothing() {
  return h("span", { class: "dim" }, "–");
}

/** @param {number} micros */
function time(micros) {
  return micros ? span(micros) : nothing();
}

/**
 * @param {Item} endpoint
 * @param {() => Promise<void>} show
 */
function control(endpoint, show) {
  const word = endpoint.drained ? "Undrain" : "Drain";
  return button({ text: word, class: "quiet", id: `drain-${endpoint.backend}-${endpoint.address}`, label: `${word} ${endpoint.address} of ${endpoint.backend}` },
    () => confirm(endpoint, word, show));
}

/**
 * @param {Item} endpoint
 * @param {string} word
 * @param {() => Promise<void>} show
 */
function confirm({ backend, address, drained, open }, word, show) {
  const effect = drained
    ? "It gets calls again, as its weight and its health say."
    : `It gets no new calls until you choose Undrain. Those that it has, ${count(open)} now, go on.`;
  const dialog = openDialog("drain-confirm", `${word} ${address} of ${backend}?`, [h("p", null, effect)], [
    button({ text: "Cancel", class: "quiet" }, () => dialog.close()),
    button({ text: word, class: "primary", id: "drain-do" }, async () => {
      try {
        await post(`/api/backends/${encodeURIComponent(backend)}/drain`, { endpoint: address, drained: !drained });
        dialog.close();
        notice(drained ? `${address} gets calls again` : `${address} gets no new calls`);
      } catch (error) {
        notice(sentence(error), "bad");
      }
      await show();
    }),
  ]);
}
