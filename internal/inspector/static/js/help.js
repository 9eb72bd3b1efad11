/** The keys, the filter language, and the switch that turns the keys off. */

import { h } from "./dom.js";
import { openDialog } from "./dialog.js";

/** @type {[string[], string][]} */
const KEYS = [
  [["/"], "Filter"], [["j", "k"], "Next and previous call"], [["Enter"], "Open the call"], [["Esc"], "Leave the filter, close the call"],
  [["[", "]"], "Previous and next tab"], [["Space"], "Pause"], [["End"], "Follow the newest"], [["c"], "Copy as grpcurl"],
  [["y"], "Copy as JSON"], [["r"], "Replay"], [["e"], "Edit and send again"], [["p"], "Pin"], [["?"], "This help"],
];

/** @type {[string, string][]} */
const FILTERS = [
  ["status:UNAVAILABLE,INTERNAL", "either status"], ["latency:>50ms", "slower than that"], ["-route:canary", "not of that route"],
  ["is:stream is:open", "both"], ["method:GetUser OR is:error", "one of them"], ["md.x-tenant:acme", "by metadata; loomd looks it up"],
  ["body:\"card declined\"", "by content; loomd looks it up"],
];

/**
 * @param {boolean} keysOn
 * @param {(on: boolean) => void} setKeys
 */
export function help(keysOn, setKeys) {
  if (document.getElementById("help-dialog")) return;
  const toggle = h("input", { type: "checkbox", checked: keysOn, id: "keys-on", on: { change: () => setKeys(toggle.checked) } });
  openDialog("help-dialog", "Keys and filters", [h("div", { class: "help" },
    h("section", null, h("h3", null, "Keys"),
      h("dl", { class: "keys" }, KEYS.map(([keys, what]) => h("div", null, h("dt", null, keys.map((k) => h("kbd", null, k))), h("dd", null, what)))),
      h("label", { class: "choice" }, toggle, "Use these keys")),
    h("section", null, h("h3", null, "Filters"),
      h("dl", { class: "filters" }, FILTERS.map(([text, what]) => h("div", null, h("dt", null, h("code", null, text)), h("dd", null, what)))),
      h("p", { class: "dim" }, "A click on a route, an upstream, a kind or a status adds it to the filter; with Alt it is left out instead. Within a message, y copies a value and Shift+Y its path.")))]);
}
