/** What the list knows of one call, made ready to be shown and sorted. */

import { clock, num } from "./format.js";

/** @typedef {import("./types.js").CallSummary} CallSummary */

/** Row is a call, or a line between calls. */
export class Row {
  /**
   * @param {number} order Grows with each row of the list.
   * @param {CallSummary | null} call
   * @param {string} [mark] The text of a line between calls.
   */
  constructor(order, call, mark = "") {
    this.order = order;
    this.mark = mark;
    /** "gap" or "epoch" for a line. */
    this.markKind = "";
    this.pinned = false;
    /** Whether loomd still tells of it: only then does an open call go on. */
    this.live = true;
    /** Whether the list shows it now. */
    this.shown = false;
    /** Changes whenever what is shown of it does. */
    this.version = 0;
    this.id = "";
    this.at = 0;
    this.time = "";
    this.packageName = "";
    this.method = "";
    this.revision = 0;
    /** @type {CallSummary} */
    this.call = { id: "" };
    if (call) this.update(call);
  }

  /**
   * Takes a newer summary. An older one changes nothing.
   *
   * @param {CallSummary} call
   * @returns {boolean} Whether it was newer.
   */
  update(call) {
    const revision = num(call.revision);
    if (this.id && revision < this.revision) return false;
    if (!this.id) {
      this.id = call.id;
      this.at = num(call.at);
      this.time = clock(this.at);
      const parts = splitPath(call.path ?? "");
      this.packageName = parts.packageName;
      this.method = parts.rest;
    }
    this.revision = revision;
    this.call = call;
    this.version++;
    return true;
  }

  get open() {
    return this.call.state === "CALL_STATE_OPEN";
  }
}

/**
 * @param {string} path Such as /acme.users.v1.Users/GetUser.
 * @returns {{packageName: string, rest: string}} Such as "acme.users.v1." and "Users/GetUser".
 */
export function splitPath(path) {
  const bare = path.startsWith("/") ? path.slice(1) : path;
  const slash = bare.lastIndexOf("/");
  const dot = bare.lastIndexOf(".", slash < 0 ? bare.length : slash);
  return { packageName: bare.slice(0, dot + 1), rest: bare.slice(dot + 1) };
}
