/**
 * All messages of a call in the order in which they came, with the gaps
 * between them. Rows have elements only while they are in sight.
 */

import { fill, h } from "./dom.js";
import { bytes, num, span, visible } from "./format.js";
import { callPath, get, sentence } from "./api.js";
import { decodedView, note } from "./decoded.js";

/** @typedef {import("./types.js").Decoded} Decoded */
/** @typedef {import("./types.js").Detail} Detail */

/** Messages kept of a call; older ones give way. */
const KEPT = 1000;
const PIECE = 250;
const HEIGHT = 24;
const OVERSCAN = 4;

export class Messages {
  /** @param {HTMLElement} panel */
  constructor(panel) {
    this.panel = panel;
    this.id = "";
    /** @type {Decoded[]} */
    this.list = [];
    this.dropped = 0;
    /** The highest sequence number that is there already. */
    this.seen = { request: 0, response: 0 };
    /** @type {Decoded | null} */
    this.picked = null;
    this.loading = false;
    this.following = true;
    this.spacer = h("div", { class: "spacer" });
    this.rows = h("div", { class: "message-rows" });
    this.view = h("div", {
      class: "message-list", tabindex: 0, role: "listbox", "aria-label": "Messages", id: "message-list",
      on: { scroll: () => this.#scrolled(), keydown: (/** @type {KeyboardEvent} */ e) => this.#key(e) },
    }, this.spacer, this.rows);
    this.notes = h("div");
    this.shown = h("div", { class: "message-shown" });
    fill(panel, this.notes, this.view, this.shown);
    new ResizeObserver(() => this.#draw()).observe(this.view);
  }

  /** @param {Detail} detail */
  async update(detail) {
    if (detail.call.id !== this.id) this.#reset(detail.call.id);
    if (this.loading) return;
    this.loading = true;
    const id = this.id;
    try {
      for (const direction of /** @type {const} */ (["request", "response"])) {
        await this.#load(id, direction, num(detail.call[direction]?.messages));
      }
    } catch (error) {
      if (id === this.id) fill(this.notes, note("error", sentence(error)));
    } finally {
      this.loading = false;
    }
    if (id !== this.id) return;
    this.#show(detail);
  }

  /** @param {string} id */
  #reset(id) {
    this.id = id;
    this.list = [];
    this.dropped = 0;
    this.seen = { request: 0, response: 0 };
    this.picked = null;
    this.following = true;
    this.loading = false;
    fill(this.shown);
    fill(this.notes);
  }

  /**
   * @param {string} id
   * @param {"request" | "response"} direction
   * @param {number} total
   */
  async #load(id, direction, total) {
    while (this.id === id && this.seen[direction] < total) {
      const from = this.seen[direction] + 1;
      const answer = await get(`${callPath(id)}/messages?dir=${direction}&from=${from}&count=${PIECE}`);
      if (this.id !== id) return;
      /** @type {Decoded[]} */
      const fresh = (answer.messages ?? []).filter((/** @type {Decoded} */ m) => num(m.seq) >= from);
      if (fresh.length === 0) return;
      this.list.push(...fresh);
      this.seen[direction] = num(fresh[fresh.length - 1].seq);
    }
  }

  /** @param {Detail} detail */
  #show(detail) {
    this.list.sort((a, b) => num(a.at) - num(b.at) || (a.direction === b.direction ? num(a.seq) - num(b.seq) : a.direction === "request" ? -1 : 1));
    if (this.list.length > KEPT) this.dropped += this.list.splice(0, this.list.length - KEPT).length;
    const missing = num(detail.call.request?.unrecorded) + num(detail.call.response?.unrecorded);
    fill(this.notes,
      this.dropped ? note("gap", `${this.dropped} older messages are no longer shown.`) : null,
      missing ? note("gap", `${missing} messages from the middle of the stream were not recorded.`) : null);
    this.view.hidden = this.list.length === 0;
    if (this.list.length === 0) fill(this.shown, h("p", { class: "dim" }, detail.call.state === "CALL_STATE_OPEN" ? "No message yet." : "This call carried no message."));
    else if (!this.picked) this.#pick(this.list[0]);
    this.spacer.style.height = this.list.length * HEIGHT + "px";
    if (this.following && detail.call.state === "CALL_STATE_OPEN") this.view.scrollTop = this.view.scrollHeight;
    this.#draw();
  }

  #scrolled() {
    this.following = this.view.scrollTop + this.view.clientHeight >= this.view.scrollHeight - HEIGHT;
    this.#draw();
  }

  #draw() {
    const first = Math.max(0, Math.floor(this.view.scrollTop / HEIGHT) - OVERSCAN);
    const end = Math.min(this.list.length, first + Math.ceil(this.view.clientHeight / HEIGHT) + 2 * OVERSCAN);
    this.rows.style.transform = `translateY(${first * HEIGHT}px)`;
    fill(this.rows, this.list.slice(first, end).map((message, at) => this.#row(message, first + at)));
    const at = this.picked ? this.list.indexOf(this.picked) : -1;
    if (at >= first && at < end) this.view.setAttribute("aria-activedescendant", "message-" + at);
    else this.view.removeAttribute("aria-activedescendant");
  }

  /**
   * @param {Decoded} message
   * @param {number} at
   */
  #row(message, at) {
    const before = this.list[at - 1];
    const delta = message.delta ?? num(message.at) - num(before?.at);
    const up = message.direction === "request";
    const text = message.withheld ? "not stored: " + message.withheld : message.preview || message.error || "";
    return h("div", {
      class: "message " + (up ? "up" : "down") + (message === this.picked ? " selected" : ""), role: "option", id: "message-" + at,
      "aria-selected": String(message === this.picked), data: { direction: message.direction, seq: String(message.seq) },
      on: { click: () => this.#pick(message) },
    },
    h("span", { class: "message-seq" }, "#" + message.seq),
    h("span", { class: "message-arrow", title: up ? "request" : "response", "aria-label": up ? "request" : "response" }, up ? "↑" : "↓"),
    h("span", { class: "message-delta" + (delta >= 1e6 ? " long" : "") }, "+" + span(delta)),
    h("span", { class: "message-size" }, bytes(num(message.size))),
    h("span", { class: "message-preview" }, visible(text)));
  }

  /** @param {Decoded} message */
  #pick(message) {
    this.picked = message;
    fill(this.shown, decodedView(this.id, message));
    this.#draw();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const by = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (!by || !this.picked) return;
    event.preventDefault();
    const at = Math.max(0, Math.min(this.list.length - 1, this.list.indexOf(this.picked) + by));
    const top = at * HEIGHT;
    if (top < this.view.scrollTop) this.view.scrollTop = top;
    if (top + HEIGHT > this.view.scrollTop + this.view.clientHeight) this.view.scrollTop = top + HEIGHT - this.view.clientHeight;
    this.#pick(this.list[at]);
  }
}
