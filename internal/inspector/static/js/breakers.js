/** The panel of the circuit breakers: how each is, and what an operator may tell it. */

import { button, h } from "./dom.js";
import { post } from "./api.js";
import { confirm } from "./dialog.js";
import { count, span } from "./format.js";
import { panel } from "./panel.js";
import { calls, moment, pill } from "./panels.js";
import { empty, nothing, table } from "./table.js";

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
  return panel("breakers", "Breakers", (answer, show) => {
    const items = itemsOf(answer);
    return items.length === 0 ? empty("No circuit breakers", "No backend has one: see breaker in loom.yaml.") : table(columns(filterBy, show), items.map(named), "table-breakers");
  }, (answer) => itemsOf(answer).some((i) => i.nextProbe)); // a time runs only where somebody waits for it
}

/**
 * @param {any} answer
 * @returns {Item[]}
 */
function itemsOf(answer) {
  return answer.items ?? [];
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
    { title: "Name", cell: (i) => calls(i.name, "upstream", filterBy) },
    { title: "State", cell: (i) => pill(i.state) },
    { title: "Failures", right: true, cell: (i) => (i.verdicts ? [(100 * i.failureRatio).toFixed(1) + " % ", h("span", { class: "dim" }, `of ${count(i.verdicts)}`)] : nothing()) },
    { title: "In a row", right: true, cell: (i) => count(i.consecutive) },
    { title: "Since", cell: (i) => moment(i.since) },
    { title: "Next probe", cell: (i) => next(i) },
    { title: "Last error", cell: (i) => (i.lastError ? [i.lastError, " ", h("span", { class: "dim" }, moment(i.lastErrorAt))] : nothing()) },
    { title: "Refused", right: true, cell: (i) => count(i.totals.rejected) },
    { title: "Openings", right: true, cell: (i) => count(i.totals.openings) },
    { title: "Late", right: true, cell: (i) => count(i.totals.late) },
    { title: "Control", cell: (i) => h("span", { class: "row-actions" }, Object.keys(ACTIONS).map((action) => control(i.name, action, show))) },
  ];
}

/** @param {Item} item */
function next(item) {
  if (item.nextProbe) return "in " + span(Math.max(0, (Date.parse(item.nextProbe) - Date.now()) * 1000));
  return item.state === "half-open" ? `now, ${count(item.probing)} under way` : nothing();
}

/**
 * @param {string} backend
 * @param {string} action
 * @param {() => Promise<void>} show
 */
function control(backend, action, show) {
  const { word, effect } = ACTIONS[action];
  const question = action === "auto" ? `Put the breaker of ${backend} on auto?` : `${word} the breaker of ${backend}?`;
  const act = async () => {
    const now = await post("/api/breakers/" + encodeURIComponent(backend), { action });
    return `The breaker of ${backend} is ${now.state}`;
  };
  return button({ text: word, class: "quiet", id: `breaker-${action}-${backend}`, label: `${word} the breaker of ${backend}` },
    () => confirm("breaker", question, effect, word, act, show));
}
