/**
 * One element of the pool that shows rows. It is made once for its columns
 * and then only has its text nodes and its place changed.
 */

import { h } from "./dom.js";
import { num } from "./format.js";
import { tone } from "./codes.js";
import { hint } from "./columns.js";

/** @typedef {import("./row.js").Row} Row */
/** @typedef {import("./columns.js").Column} Column */

/** As in the style sheet. */
export const ROW_HEIGHT = 24;

export class RowView {
  /**
   * @param {Column[]} columns
   * @param {number} slot Its place in the pool.
   */
  constructor(columns, slot) {
    this.columns = columns;
    this.element = h("div", { role: "row", class: "row", id: "row-" + slot, hidden: true });
    /** @type {Text[]} */
    this.texts = [];
    /** @type {HTMLElement[]} */
    this.cells = [];
    this.packageText = document.createTextNode("");
    columns.forEach((column, at) => {
      const text = document.createTextNode("");
      const cell = h("div", { role: "gridcell", class: "cell", data: { column: column.key }, "aria-colindex": at + 1 });
      if (column.right) cell.classList.add("right");
      if (column.term) cell.classList.add("term");
      if (column.key === "method") cell.append(h("span", { class: "package" }, this.packageText));
      cell.append(text);
      this.texts.push(text);
      this.cells.push(cell);
      this.element.append(cell);
    });
    /** @type {Row | null} */
    this.row = null;
    this.version = -1;
    this.index = -1;
    this.bar = "";
    this.className = "";
  }

  /**
   * @param {Row} row
   * @param {number} index
   * @param {boolean} selected
   */
  show(row, index, selected) {
    if (index !== this.index) {
      this.index = index;
      this.element.style.transform = "translateY(" + index * ROW_HEIGHT + "px)";
      // The header is row 1.
      this.element.setAttribute("aria-rowindex", String(index + 2));
      this.element.hidden = false;
    }
    const changed = row !== this.row || row.version !== this.version;
    if (changed || row.open) this.#write(row);
    const name = this.#className(row, selected, index);
    if (name !== this.className) {
      this.className = name;
      this.element.className = name;
      this.element.setAttribute("aria-selected", String(selected));
    }
    if (row !== this.row) {
      if (row.mark) delete this.element.dataset.id;
      else this.element.dataset.id = row.id;
    }
    this.row = row;
    this.version = row.version;
  }

  hide() {
    if (this.index < 0) return;
    this.index = -1;
    this.row = null;
    this.element.hidden = true;
  }

  /** @param {Row} row */
  #write(row) {
    if (row.mark) {
      this.texts.forEach((text, at) => put(text, at === 0 ? row.mark : ""));
      put(this.packageText, "");
      this.#setBar("0%");
      return;
    }
    this.columns.forEach((column, at) => {
      put(this.texts[at], column.text(row));
      if (column.key === "method") {
        put(this.packageText, row.packageName);
        const title = hint(column, row);
        if (row !== this.row && this.cells[at].title !== title) this.cells[at].title = title;
      }
    });
    this.#setBar(barWidth(num(row.call.took)));
  }

  /** @param {string} width */
  #setBar(width) {
    if (width === this.bar) return;
    this.bar = width;
    this.element.style.setProperty("--bar", width);
  }

  /**
   * @param {Row} row
   * @param {boolean} selected
   * @param {number} index
   */
  #className(row, selected, index) {
    if (row.mark) return "row mark " + row.markKind;
    return "row tone-" + tone(row.call) + (selected ? " selected" : "") + (row.pinned ? " pinned" : "") +
      (row.call.replayOf ? " replayed" : "") + (row.call.cut ? " cut" : "") + (index % 2 ? " odd" : "");
  }
}

/**
 * @param {Text} node
 * @param {string} text
 */
function put(node, text) {
  if (node.data !== text) node.data = text;
}

/**
 * The bar grows with the logarithm: calls of 1 ms and of 10 s are in one list.
 *
 * @param {number} micros
 */
function barWidth(micros) {
  if (micros <= 0) return "0%";
  const share = Math.log10(1 + micros / 100) / 5;
  return Math.round(Math.min(1, share) * 50) * 2 + "%";
}
