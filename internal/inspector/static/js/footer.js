/** The line below the list: how many of how many. */

import { h, setText } from "./dom.js";
import { ago, bytes, clock, count, num } from "./format.js";

/** The summary for screen readers, in milliseconds. */
const SAID_EVERY = 10000;

export class Footer {
  constructor() {
    /** @type {Record<string, HTMLElement>} */
    this.cells = {};
    const items = [["shown", "shown"], ["kept", "kept"], ["seen", "seen"], ["open", "open"], ["dropped", "dropped"], ["bytes", "stored"], ["oldest", "oldest"]].map(([key, name]) => {
      this.cells[key] = h("b", null, "0");
      return h("span", { class: "foot-item", data: { count: key } }, this.cells[key], " " + name);
    });
    this.config = h("span", { class: "foot-config", id: "foot-config" });
    this.said = h("span", { class: "unseen", role: "status" });
    this.lastSaid = 0;
    this.element = h("footer", { class: "footer", id: "footer" }, items, h("span", { class: "push" }), this.config, this.said);
  }

  /** @param {number} shown */
  setShown(shown) {
    setText(this.cells.shown, count(shown));
    const now = Date.now();
    if (now - this.lastSaid < SAID_EVERY) return;
    this.lastSaid = now;
    setText(this.said, `${count(shown)} calls shown`);
  }

  /** @param {import("./types.js").Status} status */
  setStatus(status) {
    for (const key of /** @type {const} */ (["kept", "seen", "open", "dropped"])) setText(this.cells[key], count(num(status[key])));
    setText(this.cells.bytes, bytes(num(status.bytes)));
    const oldest = num(status.oldest);
    setText(this.cells.oldest, oldest ? ago(oldest) : "none");
    this.cells.oldest.title = clock(oldest);
    this.cells.dropped.parentElement?.classList.toggle("bad", num(status.dropped) > 0);
    const { hash, error } = status.config ?? {};
    setText(this.config, error ? "config refused: " + error : hash ? "config " + hash.slice(0, 8) : "");
    this.config.classList.toggle("bad", Boolean(error));
  }
}
