/**
 * The calls that the page holds: the newest of them, those of them that the
 * filter lets through, and their order. It knows nothing of elements.
 */

import { Row } from "./row.js";

/** @typedef {import("./types.js").CallSummary} CallSummary */

/** As many calls as ux.md's budget is measured with. */
export const CAPACITY = 10000;
/** Pinned calls stay beyond CAPACITY, so they need a bound of their own. */
export const PIN_LIMIT = 200;

export class Calls {
  constructor() {
    /** @type {Row[]} All, in the order in which they came. */
    this.all = [];
    /** @type {Row[]} Those that the filter lets through, as sorted. */
    this.shown = [];
    /** @type {Map<string, Row>} */
    this.byId = new Map();
    /** @type {(row: Row) => boolean} */
    this.wants = () => true;
    /** @type {((a: Row, b: Row) => number) | null} */
    this.order = null;
    /** Survives eviction. */
    this.selected = "";
    this.pins = 0;
    this.next = 0;
    this.unsorted = false;
    /** False for a saved capture, whose open calls stay as they were. */
    this.live = true;
  }

  /**
   * Takes new and changed calls.
   *
   * @param {CallSummary[]} calls
   * @returns {number} How many were new.
   */
  apply(calls) {
    let fresh = 0;
    for (const call of calls) {
      const known = this.byId.get(call.id);
      if (known) {
        if (known.update(call)) this.#judge(known);
        continue;
      }
      fresh++;
      const row = new Row(this.next++, call);
      row.live = this.live;
      this.all.push(row);
      this.byId.set(row.id, row);
      this.#judge(row);
    }
    this.#evict();
    return fresh;
  }

  /**
   * Draws a line after the calls that are there now.
   *
   * @param {"gap" | "epoch"} kind
   * @param {string} text
   */
  mark(kind, text) {
    const row = new Row(this.next++, null, text);
    row.markKind = kind;
    // Nobody will tell how the open calls of an earlier loomd end.
    if (kind === "epoch") for (const before of this.all) before.live = false;
    this.all.push(row);
    this.#judge(row);
  }

  /** Forgets the calls that have ended, but for those that are pinned. */
  clear() {
    this.#keep((row) => row.mark === "" && (row.open || row.pinned));
  }

  /** @param {(row: Row) => boolean} wants */
  filter(wants) {
    this.wants = wants;
    this.#rebuild();
  }

  /** @param {((a: Row, b: Row) => number) | null} order null: as they came. */
  sort(order) {
    this.order = order;
    this.#rebuild();
  }

  /** Puts a sorted list in order again after changes. */
  settle() {
    if (!this.unsorted || !this.order) return;
    this.unsorted = false;
    this.shown.sort(this.order);
  }

  /**
   * @param {string} id
   * @returns {boolean} Whether the call is pinned now.
   */
  togglePin(id) {
    const row = this.byId.get(id);
    if (!row || (!row.pinned && this.pins >= PIN_LIMIT)) return false;
    row.pinned = !row.pinned;
    row.version++;
    this.pins += row.pinned ? 1 : -1;
    this.#judge(row);
    return row.pinned;
  }

  /** @param {Row | undefined} row @returns {number} -1 if it is not shown. */
  indexOf(row) {
    if (!row || !row.shown) return -1;
    if (this.order) return this.shown.indexOf(row);
    const at = this.#place(row);
    return this.shown[at] === row ? at : -1;
  }

  /** @param {Row} row */
  #judge(row) {
    const wanted = row.mark !== "" ? !this.order : this.wants(row);
    if (wanted === row.shown) {
      if (wanted && this.order) this.unsorted = true;
      return;
    }
    row.shown = wanted;
    if (!wanted) {
      const at = this.order ? this.shown.indexOf(row) : this.#place(row);
      if (this.shown[at] === row) this.shown.splice(at, 1);
    } else if (this.order) {
      this.shown.push(row);
      this.unsorted = true;
    } else {
      this.shown.splice(this.#place(row), 0, row);
    }
  }

  /**
   * Where a row stands, or would, in a list that is not sorted.
   *
   * @param {Row} row
   */
  #place(row) {
    let low = 0;
    let high = this.shown.length;
    // Nearly every row is the newest.
    if (high > 0 && this.shown[high - 1].order < row.order) return high;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.shown[middle].order < row.order) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #evict() {
    const surplus = this.all.length - CAPACITY - this.pins;
    if (surplus <= 0) return;
    let left = surplus;
    let scanned = 0;
    /** @type {Row[]} */
    const stay = [];
    let shownGone = 0;
    while (left > 0 && scanned < this.all.length) {
      const row = this.all[scanned++];
      if (row.pinned || (row.id !== "" && row.id === this.selected)) {
        stay.push(row);
        // The selected one is not counted: one more row than CAPACITY is no harm.
        if (!row.pinned) left--;
        continue;
      }
      left--;
      if (row.id) this.byId.delete(row.id);
      if (row.shown) {
        row.shown = false;
        shownGone++;
      }
    }
    this.all.splice(0, scanned, ...stay);
    if (shownGone > 0) this.#dropHidden(shownGone);
  }

  /**
   * Takes rows out of shown that are no longer to be there.
   *
   * @param {number} gone How many.
   */
  #dropHidden(gone) {
    if (this.order) {
      this.shown = this.shown.filter((row) => row.shown);
      return;
    }
    // They are among the first: what stays there is pinned or selected.
    let end = 0;
    /** @type {Row[]} */
    const stay = [];
    for (; gone > 0 && end < this.shown.length; end++) {
      if (this.shown[end].shown) stay.push(this.shown[end]);
      else gone--;
    }
    this.shown.splice(0, end, ...stay);
  }

  /** @param {(row: Row) => boolean} stays */
  #keep(stays) {
    this.all = this.all.filter((row) => {
      const keep = stays(row);
      if (!keep) {
        row.shown = false;
        this.byId.delete(row.id);
      }
      return keep;
    });
    this.#rebuild();
  }

  #rebuild() {
    this.shown = this.all.filter((row) => {
      row.shown = row.mark !== "" ? !this.order : this.wants(row);
      return row.shown;
    });
    if (this.order) this.shown.sort(this.order);
    this.unsorted = false;
  }
}
