/** The panel of the circuit breakers: how each is, and what an operator may tell it. */

import { button, fill, h } from "./dom.js";
import { get, post, sentence } from "./api.js";
import { openDialog } from "./dialog.js";
import { count, span } from "./format.js";
import { moment, pill, polled } from "./panels.js";
import { empty, table } from "./table.js";
import { notice } from "./toast.js";

/** @typedef {import("./table.js").Item} Item */

/** @type {Record<string, {word: string, effect: string}>} What an operator may tell a breaker, and what comes of it. */
const ACTIONS = {
  open: { word: "Open", effect: "Every call to it is refused with UNAVAILABLE until you choose Auto or Reset." },
  close: { word: "Close", effect: "Every call to it passes, however many fail, until you choose Auto." },
  auto: { word: "Auto", effect: "The breaker judges for itself again. If it was opened or closed by hand, it begins closed, with nothing counted." },
  reset: { word: "Reset", effect: "The breaker closes now and forgets the failures that it counted. Then it judges as before." },
};

/** @param {(key: string, value: string) => void} filterBy */
export function breakersPanel(filterBy) {
  const body = h("div", { class: "panel-body" });
  const element = h("section", { class: "page", id: "page-breakers", "aria-label": "Breakers", tabindex: "0" }, h("h2", null, "Breakers"), body);
  const show = async () => {
    try {
      const items = /** @type {Item[]} */ ((await get("/api/breakers")).items ?? []);
      // Times run only where somebody waits for them; drawing anew costs marked text.
      const seal = JSON.stringify(items) + (items.some((i) => i.nextProbe) ? Date.now() : "");
      if (body.dataset.seal === seal) return;
      body.dataset.seal = seal;
      const focused = document.activeElement?.id;
      fill(body, items.length === 0 ? empty("No circuit breakers", "No backend has one: see breaker in loom.yaml.") : table(columns(filterBy, show), items.map(named), "table-breakers"));
      if (focused && body.querySelector("#" + CSS.escape(focused))) document.getElementById(focused)?.focus();
    } catch (error) {
      delete body.dataset.seal;
      fill(body, empty("This could not be loaded", sentence(error)));
    }
  };
  return polled(element, show);
}

/** @param {Item} item */
function named(item) {
  return { name: item.backend, ...item };
}

/**
 * @param {(key: string, value: string) => void} filterBy
 * @param {() => Promise<void>} show
 * @returns {import("./table.js").TableColumn[]}
 */
function columns(filterBy, show) {
  return [
    { title: "Name", cell: (i) => button({ text: i.name, class: "value", title: `Show the calls of ${i.name}` }, () => filterBy("upstream", i.name)) },
    { title: "State", cell: (i) => pill(i.state) },
    { title: "Failures", right: true, cell: (i) => (i.verdicts ? [(100 * i.failureRatio).toFixed(1) + " % ", h("span", { class: "dim" }, `of ${count(i.verdicts)}`)] : h("span", { class: "dim" }, "–")) },
    { title: "In a row", right: true, cell: (i) => count(i.consecutive) },
    { title: "Since", cell: (i) => moment(i.since) },
    { title: "Next probe", cell: (i) => next(i) },
    { title: "Last error", cell: (i) => (i.lastError ? [i.lastError, " ", h("span", { class: "dim" }, moment(i.lastErrorAt))] : h("span", { class: "dim" }, "–")) },
    { title: "Refused", right: true, cell: (i) => count(i.totals.rejected) },
    { title: "Openings", right: true, cell: (i) => count(i.totals.openings) },
    { title: "Late", right: true, cell: (i) => count(i.totals.late) },
    { title: "Control", cell: (i) => h("span", { class: "row-actions" }, Object.keys(ACTIONS).map((action) => control(i.name, action, show))) },
  ];
}

/** @param {Item} item */
function next(item) {
  if (item.nextProbe) return "in " + span(Math.max(0, (Date.parse(item.nextProbe) - Date.now()) * 1000));
  return item.state === "half-open" ? `now, ${count(item.probing)} under way` : h("span", { class: "dim" }, "–");
}

/**
 * @param {string} backend
 * @param {string} action
 * @param {() => Promise<void>} show
 */
function control(backend, action, show) {
  const { word } = ACTIONS[action];
  return button({ text: word, class: "quiet", id: `breaker-${action}-${backend}`, label: `${word} the breaker of ${backend}` }, () => confirm(backend, action, show));
}

/**
 * @param {string} backend
 * @param {string} action
 * @param {() => Promise<void>} show
 */
function confirm(backend, action, show) {
  const { word, effect } = ACTIONS[action];
  const dialog = openDialog("breaker-confirm", action === "auto" ? `Put the breaker of ${backend} on auto?` : `${word} the breaker of ${backend}?`, [h("p", null, effect)], [
    button({ text: "Cancel", class: "quiet" }, () => dialog.close()),
    button({ text: word, class: "primary", id: "breaker-do" }, async () => {
      try {
        const now = await post("/api/breakers/" + encodeURIComponent(backend), { action });
        dialog.close();
        notice(`The breaker of ${backend} is ${now.state}`);
      } catch (error) {
        notice(sentence(error), "bad");
      }
      await show();
    }),
  ]);
}
