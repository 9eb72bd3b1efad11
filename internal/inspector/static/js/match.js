/**
 * Judges calls by the filter. Terms on metadata and bodies are not in a
 * summary, so loomd is asked which calls match, again as calls change.
 */

import { get, sentence } from "./api.js";
import { notice } from "./toast.js";

/** @typedef {import("./row.js").Row} Row */
/** @typedef {import("./filterbar.js").FilterBar} FilterBar */

/** Between two questions to loomd, in milliseconds. */
const PAUSE = 1000;

export class Matcher {
  /**
   * @param {FilterBar} bar
   * @param {(wants: (row: Row) => boolean) => void} judged Told when calls must be judged anew.
   */
  constructor(bar, judged) {
    this.bar = bar;
    this.judged = judged;
    /** @type {Set<string>} */
    this.ids = new Set();
    /** @type {number | undefined} */
    this.timer = undefined;
    this.round = 0;
    bar.addEventListener("filter", () => this.#begin());
  }

  /** Says that calls have come or changed. */
  stale() {
    if (this.remote && this.timer === undefined) this.timer = setTimeout(() => this.#ask(), PAUSE);
  }

  get remote() {
    const needs = this.bar.filter.needs;
    return needs.body || needs.metadata;
  }

  #begin() {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.round++;
    this.bar.busy(false);
    if (this.remote) {
      this.ids = new Set();
      this.judged(() => false);
      this.#ask();
      return;
    }
    const filter = this.bar.filter;
    this.judged(this.bar.text === "" ? () => true : (row) => filter.match(row.call, { pinned: row.pinned }));
  }

  async #ask() {
    const round = this.round;
    this.bar.busy(true);
    try {
      const answer = await get("/api/match?q=" + encodeURIComponent(this.bar.text));
      if (round !== this.round) return;
      this.ids = new Set(answer.ids ?? []);
      this.judged((row) => this.ids.has(row.id));
    } catch (error) {
      if (round === this.round) notice(sentence(error), "bad");
    } finally {
      if (round === this.round) {
        this.timer = undefined;
        this.bar.busy(false);
      }
    }
  }
}
