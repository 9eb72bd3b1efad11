/** The fields of a message type. Types within it are loaded as they are opened. */

import { fill, h } from "./dom.js";
import { get, sentence } from "./api.js";

/**
 * @typedef {object} FieldShape
 * @property {string} name
 * @property {string} jsonName
 * @property {number} number
 * @property {string} type
 * @property {string} [label]
 * @property {string} [message] Full name of the type of a field that is a message.
 * @property {string} [oneof]
 * @property {{name: string, number: number}[]} [enum]
 * @property {string} [doc]
 * @property {boolean} [secret]
 *
 * @typedef {{name: string, doc?: string, fields?: FieldShape[]}} Shape
 */

/** Values of an enum that are shown without being asked for. */
const ENUM_SHOWN = 12;

/**
 * @param {string} backend
 * @param {string} type Full name of a message.
 * @returns {Promise<{shape: Shape, template: unknown}>}
 */
export function loadShape(backend, type) {
  return get(`/api/backends/${encodeURIComponent(backend)}/message/${encodeURIComponent(type)}`);
}

/**
 * @param {string} title
 * @param {string} backend
 * @param {string} type
 * @param {Shape | undefined} shape
 */
export function shapeView(title, backend, type, shape) {
  return h("section", { class: "shape-view", data: { type } }, h("h3", null, title, h("code", { class: "dim" }, type)),
    shape?.doc ? h("p", { class: "dim" }, shape.doc) : null, list(backend, shape));
}

/**
 * @param {string} backend
 * @param {Shape | undefined} shape
 * @returns {HTMLElement}
 */
function list(backend, shape) {
  const fields = shape?.fields ?? [];
  if (fields.length === 0) return h("p", { class: "dim" }, "It has no fields.");
  return h("ul", { class: "fields" }, fields.map((field) => h("li", null, one(backend, field))));
}

/**
 * @param {string} backend
 * @param {FieldShape} field
 * @returns {HTMLElement}
 */
function one(backend, field) {
  const text = [
    h("span", { class: "field-number" }, field.number),
    h("span", { class: "field-name", title: field.name }, field.jsonName || field.name),
    h("span", { class: "field-type" }, field.label && field.label !== "map" ? field.label + " " : "", field.type),
    field.oneof ? h("span", { class: "badge", title: "Only one field of this group is set" }, "oneof " + field.oneof) : null,
    field.secret ? h("span", { class: "badge warn" }, "redacted") : null,
    field.doc ? h("span", { class: "dim field-doc" }, field.doc) : null,
  ];
  const type = field.message;
  if (type) return branch(text, () => loadShape(backend, type).then(({ shape }) => list(backend, shape)));
  const line = h("div", { class: "field-line" }, text);
  return field.enum?.length ? h("div", null, line, values(field.enum)) : line;
}

/**
 * @param {import("./dom.js").Child[]} text
 * @param {() => Promise<Node>} load
 */
function branch(text, load) {
  const inner = h("div", { class: "field-inner" });
  const element = h("details", null, h("summary", { class: "field-line" }, text), inner);
  element.addEventListener("toggle", async () => {
    if (!element.open || inner.childNodes.length > 0) return;
    fill(inner, "Loading…");
    try {
      fill(inner, await load());
    } catch (error) {
      fill(inner, sentence(error));
    }
  });
  return element;
}

/** @param {{name: string, number: number}[]} list */
function values(list) {
  const names = list.map((v) => v.name + " = " + v.number);
  const rest = names.length - ENUM_SHOWN;
  return h("p", { class: "dim field-values", title: names.join("\n") }, names.slice(0, ENUM_SHOWN).join(", ") + (rest > 0 ? `, ${rest} more` : ""));
}
