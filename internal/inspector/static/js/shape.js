/** The fields of a message type. */

import { h } from "./dom.js";

/** Types within types are shown this deep. */
const DEPTH = 6;

/**
 * @param {string} title
 * @param {string} name Full name of the type.
 * @param {any} shape
 */
export function shapeView(title, name, shape) {
  const fields = fieldsOf(shape);
  return h("section", { class: "shape-view" }, h("h3", null, title, h("code", { class: "dim" }, name)),
    fields.length === 0 ? h("p", { class: "dim" }, "It has no fields.") : list(fields, shape, 0));
}

/** @param {any} shape @returns {any[]} */
function fieldsOf(shape) {
  return Array.isArray(shape) ? shape : shape?.fields ?? [];
}

/**
 * @param {any[]} fields
 * @param {any} whole
 * @param {number} depth
 * @returns {HTMLElement}
 */
function list(fields, whole, depth) {
  return h("ul", { class: "fields" }, fields.map((field) => {
    const inner = fieldsOf(field.message ?? field.fields ?? whole?.messages?.[field.type] ?? whole?.types?.[field.type]);
    const line = [
      h("span", { class: "field-number" }, String(field.number ?? "")),
      h("span", { class: "field-name" }, field.jsonName ?? field.name),
      h("span", { class: "field-type", title: field.type }, (field.label && field.label !== "optional" ? field.label + " " : "") + (field.type ?? field.kind ?? "")),
      field.doc ? h("span", { class: "dim field-doc" }, field.doc) : null,
      field.values ? h("span", { class: "dim field-doc" }, field.values.map((/** @type {any} */ v) => v.name ?? v).join(", ")) : null,
    ];
    if (inner.length === 0 || depth >= DEPTH) return h("li", null, h("div", { class: "field-line" }, line));
    return h("li", null, h("details", { open: depth < 1 }, h("summary", { class: "field-line" }, line), list(inner, whole, depth + 1)));
  }));
}
