/** Shows one message: what it is, what is wrong with it, and its fields. */

import { button, fill, h } from "./dom.js";
import { bytes, num } from "./format.js";
import { jsonTree } from "./jsontree.js";
import { hexView } from "./hex.js";
import { copy, notice } from "./toast.js";
import { callPath, get, sentence } from "./api.js";

/** @typedef {import("./types.js").Decoded} Decoded */

/** @type {Record<string, string>} */
const SOURCES = {
  reflection: "Decoded with what the backend's Server Reflection tells",
  files: "Decoded with the files of the configuration",
  disk: "Decoded with descriptors kept from an earlier run",
  bundled: "Decoded with types that loomd carries",
  schemaless: "No schema: fields by number, types guessed",
};

/**
 * @param {string} id Of the call.
 * @param {Decoded} message
 * @returns {HTMLElement}
 */
export function decodedView(id, message) {
  const box = h("div", { class: "decoded", data: { direction: message.direction, seq: String(message.seq) } });
  fill(box, header(message), notes(message), body(id, message, box));
  return box;
}

/**
 * @param {Decoded} message
 * @returns {HTMLElement[]} Small labels.
 */
export function badges(message) {
  /** @type {HTMLElement[]} */
  const list = [];
  /** @type {(text: string, title: string, kind?: string) => void} */
  const add = (text, title, kind = "") => void list.push(h("span", { class: "badge " + kind, title }, text));
  if (message.source) add(message.source, SOURCES[message.source] ?? "", message.source === "schemaless" ? "warn" : "");
  if (message.encoding && message.compressed !== false) add(message.encoding, "Compressed on the wire");
  if (message.redacted) add("redacted", "Fields were taken out before it was stored", "warn");
  if (message.truncated) add("truncated", "Only the first part was stored", "warn");
  if (message.unknown?.length) add("schema drift", "Carries fields that its schema does not have", "warn");
  return list;
}

/** @param {Decoded} message */
function header(message) {
  const size = num(message.size);
  const decoded = num(message.decodedSize);
  return h("div", { class: "decoded-head" },
    h("span", { class: "type", title: message.type }, message.type || "unknown type"),
    h("span", { class: "dim" }, bytes(size), decoded && decoded !== size ? " → " + bytes(decoded) : ""),
    badges(message),
    h("span", { class: "push" }),
    message.json !== undefined && message.json !== null
      ? button({ icon: "copy", class: "quiet tiny", title: "Copy JSON (y)" }, () => copy(JSON.stringify(message.json, null, 2), "JSON"))
      : null);
}

/** @param {Decoded} message @returns {HTMLElement[]} */
function notes(message) {
  const list = [];
  if (message.withheld) list.push(note("withheld", "Not stored: " + message.withheld));
  if (message.truncated) list.push(note("truncated", `Truncated: loomd stored only the first part of ${bytes(num(message.size))}. capture.message_bytes sets how much it stores.`));
  if (message.error) list.push(note("error", message.error));
  if (!message.withheld && (message.source === "schemaless" || (message.error && !message.type))) {
    list.push(note("hint", "Shown as it is on the wire. Turn on Server Reflection in the backend, or name its .proto files or a protoset in the configuration, and names and types appear."));
  }
  if (message.unknown?.length) {
    list.push(note("drift", "Fields that the schema does not have: " + message.unknown.map((u) => `${u.path || "."} #${u.number}`).join(", ")));
  }
  return list;
}

/**
 * @param {string} kind
 * @param {string} text
 */
export function note(kind, text) {
  return h("p", { class: "note note-" + kind, data: { note: kind } }, text);
}

/**
 * @param {string} id
 * @param {Decoded} message
 * @param {HTMLElement} box
 */
function body(id, message, box) {
  if (message.large && (message.json === undefined || message.json === null)) {
    const load = button({ text: `Show all ${bytes(num(message.decodedSize ?? message.size))}`, class: "" }, async () => {
      load.disabled = true;
      load.classList.add("busy");
      try {
        const answer = await get(`${callPath(id)}/messages?dir=${message.direction}&from=${message.seq}&count=1&full=1`);
        const whole = /** @type {Decoded} */ (answer.messages[0]);
        fill(box, header(whole), notes(whole), jsonTree(whole.json, { collapsed: true }));
      } catch (error) {
        load.disabled = false;
        load.classList.remove("busy");
        notice(sentence(error), "bad");
      }
    });
    return h("div", { class: "large" }, message.preview ? h("pre", { class: "preview" }, message.preview) : null, load);
  }
  if (message.json !== undefined && message.json !== null) return jsonTree(message.json);
  if (message.hex) return hexView(message.hex);
  if (!message.withheld && !message.error) return h("p", { class: "dim empty-message" }, num(message.size) === 0 ? "An empty message: every field has its default." : "Nothing of it was stored.");
  return h("span");
}
