/**
 * The list of calls. Only the rows in sight have elements: a pool of them is
 * moved over a spacer as high as the whole list.
 */

import { fill, h } from "./dom.js";
import { chosen, fitting, template } from "./columns.js";
import { ROW_HEIGHT, RowView } from "./rowview.js";

/** @typedef {import("./calls.js").Calls} Calls */
/** @typedef {import("./row.js").Row} Row */
/** @typedef {import("./columns.js").Column} Column */

/** Rows above and below what is in sight, so that a scroll shows no blank. */
const OVERSCAN = 3;
/** A list this close to its end follows new calls. */
const NEAR_END = 6;

/**
 * List reports by events: "open" (a call is opened), "select", "term" (a value
 * was clicked), "sort", "follow" (it began or ended to follow).
 */
export class List extends EventTarget {
  /** @param {Calls} calls */
  constructor(calls) {
    super();
    this.calls = calls;
    this.following = true;
    this.sortKey = "";
    this.sortDown = false;
    /** @type {Column[]} */
    this.columns = [];
    /** @type {RowView[]} */
    this.pool = [];
    this.spacer = h("div", { class: "spacer", role: "presentation" });
    this.header = h("div", { class: "list-header", role: "row", "aria-rowindex": 1 });
    this.headerGroup = h("div", { role: "rowgroup", class: "list-head" }, this.header);
    this.body = h("div", { role: "rowgroup", class: "list-body" }, this.spacer);
    this.element = h("div", {
      id: "calls-grid", class: "list", role: "grid", tabindex: 0, "aria-label": "Calls",
      "aria-rowcount": 1, "aria-multiselectable": "false",
      on: { scroll: () => this.#scrolled(), click: (/** @type {MouseEvent} */ e) => this.#clicked(e) },
    }, this.headerGroup, this.body);
    this.height = 0;
    this.top = 0;
    /** @type {Row | undefined} What the list holds on to while rows come and go above it. */
    this.anchor = undefined;
    this.anchorOffset = 0;
    new ResizeObserver(() => this.layout()).observe(this.element);
  }

  /** Fits columns and pool to the size of the element. */
  layout() {
    const columns = fitting(this.element.clientWidth, chosen());
    this.height = this.element.clientHeight;
    const same = columns.length === this.columns.length && columns.every((c, at) => c === this.columns[at]);
    const size = Math.ceil(this.height / ROW_HEIGHT) + 2 * OVERSCAN;
    if (!same) {
      this.columns = columns;
      this.element.style.setProperty("--columns", template(columns));
      this.element.setAttribute("aria-colcount", String(columns.length));
      for (const view of this.pool) view.element.remove();
      this.pool = [];
      this.#drawHeader();
    }
    while (this.pool.length < size) {
      const view = new RowView(this.columns, this.pool.length);
      this.pool.push(view);
      this.body.append(view.element);
    }
    for (const view of this.pool.splice(size)) view.element.remove();
    // A slot depends on the size of the pool.
    for (const view of this.pool) view.hide();
    this.render();
  }

  /** Shows what the calls are now, without moving what is in sight. */
  render() {
    const shown = this.calls.shown;
    const height = shown.length * ROW_HEIGHT + "px";
    if (this.spacer.style.height !== height) {
      this.spacer.style.height = height;
      this.element.setAttribute("aria-rowcount", String(shown.length + 1));
    }
    if (this.following) this.#scrollTo(shown.length * ROW_HEIGHT - this.#room());
    else this.#holdAnchor();
    this.#draw();
  }

  /** @param {boolean} on */
  follow(on) {
    if (on && this.sortKey) this.sortBy("");
    this.#setFollowing(on);
    if (on) this.render();
  }

  /**
   * Selects a call and brings it into sight.
   *
   * @param {string} id
   */
  select(id) {
    this.calls.selected = id;
    const at = this.calls.indexOf(this.calls.byId.get(id));
    if (at >= 0) this.#reveal(at);
    this.#draw();
  }

  /** @param {number} steps Down; negative: up. */
  move(steps) {
    const shown = this.calls.shown;
    if (shown.length === 0) return;
    const now = this.calls.indexOf(this.calls.byId.get(this.calls.selected));
    let at = now < 0 ? (steps > 0 ? Math.floor(this.top / ROW_HEIGHT) : shown.length - 1) : now + steps;
    at = Math.max(0, Math.min(shown.length - 1, at));
    const step = steps < 0 ? -1 : 1;
    while (shown[at]?.mark) at += step;
    const row = shown[at];
    if (!row) return;
    this.#setFollowing(false);
    this.select(row.id);
    this.dispatchEvent(new CustomEvent("select", { detail: row.id }));
  }

  /** @param {string} key Of a column; the same again turns the order round, then ends it. */
  sortBy(key) {
    if (key === this.sortKey && key !== "") {
      if (this.sortDown) key = "";
      this.sortDown = !this.sortDown;
    } else {
      this.sortDown = false;
    }
    this.sortKey = key;
    const column = this.columns.find((c) => c.key === key);
    const sign = this.sortDown ? -1 : 1;
    this.calls.sort(column ? (a, b) => sign * compare(column.sort(a), column.sort(b)) || a.order - b.order : null);
    if (column) this.#setFollowing(false);
    this.#drawHeader();
    this.#scrollTo(0);
    this.render();
    this.dispatchEvent(new Event("sort"));
  }

  get pageSize() {
    return Math.max(1, Math.floor(this.#room() / ROW_HEIGHT) - 1);
  }

  #room() {
    return this.height - ROW_HEIGHT;
  }

  #drawHeader() {
    fill(this.header, this.columns.map((column, at) => {
      const sorted = column.key === this.sortKey;
      return h("div", {
        role: "columnheader", class: "head" + (column.right ? " right" : ""), "aria-colindex": at + 1,
        "aria-sort": sorted ? (this.sortDown ? "descending" : "ascending") : "none", data: { column: column.key },
      }, h("button", { type: "button", tabindex: -1, title: "Sort by " + column.title.toLowerCase(), on: { click: () => this.sortBy(column.key) } },
        column.title, sorted ? (this.sortDown ? " ▾" : " ▴") : ""));
    }));
  }

  #draw() {
    const shown = this.calls.shown;
    const first = Math.max(0, Math.floor(this.top / ROW_HEIGHT) - OVERSCAN);
    const end = Math.min(shown.length, first + this.pool.length);
    const size = this.pool.length;
    let active = "";
    for (let at = first; at < end; at++) {
      const view = this.pool[at % size];
      const row = shown[at];
      const selected = row.id !== "" && row.id === this.calls.selected;
      view.show(row, at, selected);
      if (selected) active = view.element.id;
    }
    for (let at = end; at < first + size; at++) this.pool[at % size].hide();
    if ((this.element.getAttribute("aria-activedescendant") ?? "") !== active) {
      if (active) this.element.setAttribute("aria-activedescendant", active);
      else this.element.removeAttribute("aria-activedescendant");
    }
  }

  #scrolled() {
    const top = this.element.scrollTop;
    if (top === this.top) return;
    const up = top < this.top;
    this.top = top;
    this.#rememberAnchor();
    const end = this.calls.shown.length * ROW_HEIGHT - this.#room();
    if (up && top < end - NEAR_END) this.#setFollowing(false);
    else if (!this.sortKey && top >= end - NEAR_END) this.#setFollowing(true);
    this.#draw();
  }

  /** @param {number} top */
  #scrollTo(top) {
    const end = Math.max(0, this.calls.shown.length * ROW_HEIGHT - this.#room());
    const place = Math.max(0, Math.min(top, end));
    if (place !== this.top) {
      this.element.scrollTop = place;
      this.top = place;
    }
    this.#rememberAnchor();
  }

  #rememberAnchor() {
    const at = Math.floor(this.top / ROW_HEIGHT);
    this.anchor = this.calls.shown[at];
    this.anchorOffset = this.top - at * ROW_HEIGHT;
  }

  #holdAnchor() {
    const at = this.calls.indexOf(this.anchor);
    this.#scrollTo(at < 0 ? this.top : at * ROW_HEIGHT + this.anchorOffset);
  }

  /** @param {number} at */
  #reveal(at) {
    const place = at * ROW_HEIGHT;
    if (place < this.top) this.#scrollTo(place);
    else if (place + ROW_HEIGHT > this.top + this.#room()) this.#scrollTo(place + ROW_HEIGHT - this.#room());
  }

  /** @param {boolean} on */
  #setFollowing(on) {
    if (on === this.following) return;
    this.following = on;
    this.dispatchEvent(new Event("follow"));
  }

  /** @param {MouseEvent} event */
  #clicked(event) {
    const target = /** @type {Element} */ (event.target);
    const element = target.closest(".row");
    const view = this.pool.find((v) => v.element === element);
    if (!view?.row || view.row.mark) return;
    const cell = target.closest(".cell.term");
    const column = cell && this.columns.find((c) => c.key === /** @type {HTMLElement} */ (cell).dataset.column);
    const value = column ? (column.value ?? column.text)(view.row) : "";
    if (column?.term && value && value !== "·") {
      this.dispatchEvent(new CustomEvent("term", { detail: { key: column.term, value, exclude: event.altKey } }));
      return;
    }
    // What is being read must not scroll away.
    this.#setFollowing(false);
    this.select(view.row.id);
    this.dispatchEvent(new CustomEvent("open", { detail: view.row.id }));
  }
}

/**
 * @param {string | number} a
 * @param {string | number} b
 */
function compare(a, b) {
  return a < b ? -1 : a > b ? 1 : 0;
}
