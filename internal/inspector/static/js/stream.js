/**
 * The stream of changes from loomd. It ends while the page is hidden, since a
 * browser has few connections for each host, and goes on where it ended.
 */

import { ApiError, get } from "./api.js";

/** @typedef {import("./types.js").CallSummary} CallSummary */
/** @typedef {import("./types.js").Status} Status */
/** @typedef {{calls: CallSummary[], missed?: number | string}} Batch */

/** How long to wait before asking again, in milliseconds; doubled to LONGEST. */
const SHORTEST = 400;
const LONGEST = 5000;

/**
 * Stream reports by events: "hello" {generation, resumed, continues}, "calls"
 * Batch, "status" Status, "link" ("connecting", "live", "lost", "hidden"), and
 * "session" Session when loomd answers again.
 */
export class Stream extends EventTarget {
  constructor() {
    super();
    /** @type {EventSource | null} */
    this.source = null;
    this.cursor = "";
    this.wanted = false;
    this.link = "connecting";
    this.pause = SHORTEST;
    /** @type {number | undefined} */
    this.timer = undefined;
    document.addEventListener("visibilitychange", () => this.#seen());
  }

  /** @param {string} cursor Of the calls that the page has already. */
  start(cursor) {
    this.cursor = cursor;
    this.wanted = true;
    this.#open();
  }

  stop() {
    this.wanted = false;
    this.#close();
  }

  #open() {
    this.#close();
    if (!this.wanted || document.hidden) return;
    const source = new EventSource("/api/stream" + (this.cursor ? "?since=" + encodeURIComponent(this.cursor) : ""));
    this.source = source;
    /** @type {(name: string) => void} */
    const pass = (name) => source.addEventListener(name, (event) => {
      if (event.lastEventId) this.cursor = event.lastEventId;
      this.dispatchEvent(new CustomEvent(name, { detail: JSON.parse(event.data) }));
    });
    pass("hello");
    pass("calls");
    pass("status");
    source.addEventListener("open", () => {
      this.pause = SHORTEST;
      this.#setLink("live");
    });
    source.addEventListener("error", () => this.#failed());
  }

  #close() {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
  }

  // An EventSource hides why it failed, so a plain request asks. The source is
  // not left to itself: its own pauses do not grow. Nothing is lost before that
  // request fails, too: another loomd may have taken over.
  #failed() {
    this.#close();
    this.timer = setTimeout(async () => {
      try {
        const session = await get("/api/session");
        this.dispatchEvent(new CustomEvent("session", { detail: session }));
        this.#open();
      } catch (error) {
        // 401 shows the login, which starts the stream again.
        this.#setLink("lost");
        if (error instanceof ApiError && error.status === 401) return;
        this.pause = Math.min(LONGEST, this.pause * 2);
        this.#failed();
      }
    }, this.pause);
  }

  #seen() {
    if (!this.wanted) return;
    if (document.hidden) {
      this.#close();
      this.#setLink("hidden");
    } else if (!this.source) {
      this.#open();
    }
  }

  /** @param {string} link */
  #setLink(link) {
    if (link === this.link) return;
    this.link = link;
    this.dispatchEvent(new Event("link"));
  }
}
