/** The first tab of a call: what became of it, in a sentence, a bar and facts. */

import { button, fill, h } from "./dom.js";
import { bytes, clock, micros, num, plural, span, visible } from "./format.js";
import { codeName, enderName, kindName, tone } from "./codes.js";
import { jsonTree } from "./jsontree.js";
import { note } from "./decoded.js";
import { diffView } from "./diff.js";
import { address } from "./router.js";

/** @typedef {import("./types.js").Detail} Detail */
/** @typedef {import("./types.js").Phase} Phase */
/** @typedef {import("./dom.js").Child} Child */

/**
 * @param {HTMLElement} panel
 * @param {Detail} detail
 * @param {(key: string, value: string) => void} addTerm
 */
export function overview(panel, detail, addTerm) {
  const { call, view } = detail;
  fill(panel,
    h("div", { class: "verdict tone-" + tone({ ...call, code: call.status ? call.status.code ?? 0 : undefined }), id: "verdict" },
      h("span", { class: "shape", "aria-hidden": "true" }), h("span", null, view.verdict ?? "")),
    call.status?.message ? h("p", { class: "status-message" }, visible(call.status.message)) : null,
    view.schemaChange ? note("drift", view.schemaChange) : null,
    view.schemaProblem ? note("hint", "No schema: " + view.schemaProblem) : null,
    view.statusError ? note("error", view.statusError) : null,
    view.drift?.length ? note("drift", "Messages of this call carry fields that its schema does not have: " + view.drift.map(driftText).join(", ")) : null,
    call.omission?.bodiesOff ? note("withheld", "Messages were not stored: capture is set to metadata here.") : null,
    call.omission?.noRoom ? note("truncated", "Some of it was not stored: there was no room for it.") : null,
    phases(view.phases ?? []),
    facts(detail, addTerm),
    attempts(detail),
    view.statusDetails ? [h("h3", null, "Status details"), jsonTree(view.statusDetails, { label: "Status details" })] : [],
    view.diff ? [h("h3", null, "Compared with ", callLink(call.replayOf ?? "")), diffView(view.diff)] : []);
}

/** @param {unknown} drift */
function driftText(drift) {
  if (typeof drift === "string") return drift;
  const field = /** @type {{path?: string, number?: number}} */ (drift);
  return `${field.path || "."} #${field.number}`;
}

/** @param {Phase[]} list */
function phases(list) {
  const end = Math.max(1, ...list.map((p) => num(p.to)));
  if (list.length === 0) return null;
  return h("div", { class: "phases", id: "phases", role: "img", "aria-label": list.map((p) => `${p.name} ${span(num(p.to) - num(p.from))}`).join(", ") },
    list.map((phase, at) => {
      const from = num(phase.from);
      const to = num(phase.to);
      const bar = h("span", { class: "phase-bar phase-" + (at % 5) });
      bar.style.left = (100 * from) / end + "%";
      bar.style.width = Math.max(0.4, (100 * (to - from)) / end) + "%";
      return h("div", { class: "phase" }, h("span", { class: "phase-name" }, phase.name), h("span", { class: "phase-track" }, bar), h("span", { class: "phase-time" }, span(to - from)));
    }));
}

/** @param {string} id */
function callLink(id) {
  return h("a", { href: address({ id }), class: "call-link" }, "#" + id);
}

/**
 * @param {Detail} detail
 * @param {(key: string, value: string) => void} addTerm
 */
function facts({ call, view }, addTerm) {
  /** @type {[string, Child | Child[]][]} */
  const rows = [];
  /** @type {(name: string, value: Child | Child[]) => void} */
  const add = (name, value) => void (value && rows.push([name, value]));
  /** @type {(key: string, value: string | undefined) => Child} */
  const term = (key, value) => value
    ? button({ text: value, class: "value", title: `Filter by ${key}:${value}` }, () => addTerm(key, value)) : null;
  const started = call.start ? Date.parse(call.start) * 1000 : 0;
  const up = call.request ?? {};
  const down = call.response ?? {};
  add("Method", h("code", null, call.path));
  add("Kind", kindName(call.kind));
  add("Status", call.status ? codeName(call.status.code ?? 0) + " (" + (call.status.code ?? 0) + ")" : call.state === "CALL_STATE_OPEN" ? "open" : "none was given");
  add("Ended by", enderName(call.endedBy) + (call.reason ? ": " + call.reason : ""));
  add("Started", clock(started));
  add("Took", call.timings?.end ? span(micros(call.timings.end)) : null);
  add("Deadline", call.timeout ? span(micros(call.timeout)) : "none");
  add("Route", term("route", call.route));
  add("Upstream", [term("upstream", call.backend), call.endpoint ? h("code", null, call.endpoint) : null]);
  add("Peer", h("code", null, call.peer));
  add("Identity", call.identity ? h("code", null, call.identity) : null);
  add("Authority", h("code", null, call.authority));
  add("Request", traffic(up));
  add("Response", traffic(down));
  add("Schema", view.source);
  add("Replay of", call.replayOf ? callLink(call.replayOf) : null);
  return h("dl", { class: "facts" }, rows.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, ...(Array.isArray(value) ? value : [value])))));
}

/** @param {import("./types.js").Traffic} traffic */
function traffic(traffic) {
  const missing = num(traffic.unrecorded);
  return plural(num(traffic.messages), "message") + ", " + bytes(num(traffic.bytes)) + (missing ? `, ${missing} not recorded` : "");
}

/** @param {Detail} detail */
function attempts({ call }) {
  const list = call.attempts ?? [];
  if (list.length < 2) return null;
  return [h("h3", null, "Attempts"), h("ol", { class: "attempts" }, list.map((a) =>
    h("li", null, h("code", null, a.endpoint), " of " + (a.backend ?? "") + " after " + span(micros(a.at)))))];
}
