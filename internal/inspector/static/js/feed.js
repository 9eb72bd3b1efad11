/**
 * Brings calls from the stream into the list, once a frame: changes gather
 * between two frames, and while the list is paused.
 */

import { get } from "./api.js";
import { CAPACITY } from "./calls.js";
import { num } from "./format.js";
import { notice } from "./toast.js";

/** @typedef {import("./types.js").CallSummary} CallSummary */

/** Calls taken into the list in one frame, so that no frame is late. */
const PER_FRAME = 300;

/** Feed reports by events: "drawn" (the calls have changed), "waiting" (those that a pause holds back). */
export class Feed extends EventTarget {
  /**
   * @param {import("./calls.js").Calls} calls
   * @param {import("./stream.js").Stream} stream
   */
  constructor(calls, stream) {
    super();
    this.calls = calls;
    this.stream = stream;
    this.paused = false;
    /** @type {Map<string, CallSummary>} Newest summary of each, in the order of arrival. */
    this.queue = new Map();
    this.fresh = 0;
    this.missed = 0;
    this.generation = 0;
    this.frame = 0;
    stream.addEventListener("calls", (event) => this.#take(/** @type {CustomEvent} */ (event).detail));
    stream.addEventListener("hello", (event) => this.#hello(/** @type {CustomEvent} */ (event).detail));
  }

  /**
   * Loads what loomd keeps, then follows what comes.
   *
   * @param {number} generation
   */
  async start(generation) {
    this.#epoch(generation);
    const cursor = await this.#load();
    this.stream.start(cursor);
  }

  /** @param {boolean} on */
  pause(on) {
    this.paused = on;
    if (!on) this.#plan();
    this.dispatchEvent(new Event("waiting"));
  }

  forget() {
    this.queue.clear();
    this.fresh = 0;
    this.calls.clear();
    this.dispatchEvent(new Event("drawn"));
  }

  async #load() {
    const answer = await get("/api/calls?limit=" + CAPACITY);
    this.#queue(answer.calls ?? []);
    return answer.cursor ?? "";
  }

  /** @param {{calls?: CallSummary[], missed?: number | string}} batch */
  #take(batch) {
    this.missed += num(batch.missed);
    this.#queue(batch.calls ?? []);
  }

  /** @param {CallSummary[]} calls */
  #queue(calls) {
    for (const call of calls) {
      if (!this.queue.has(call.id) && !this.calls.byId.has(call.id)) this.fresh++;
      this.queue.set(call.id, call);
    }
    // A long pause must not hold more than the list would.
    if (this.queue.size > CAPACITY) {
      let surplus = this.queue.size - CAPACITY;
      for (const id of this.queue.keys()) {
        if (surplus-- <= 0) break;
        this.queue.delete(id);
        this.missed++;
      }
    }
    if (this.paused) this.dispatchEvent(new Event("waiting"));
    else this.#plan();
  }

  #plan() {
    if (this.frame || (this.queue.size === 0 && this.missed === 0)) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.#flush();
    });
  }

  #flush() {
    if (this.missed > 0) {
      this.calls.mark("gap", `missed ${this.missed.toLocaleString("en-GB")} changes here: more came than this page could take`);
      this.missed = 0;
    }
    /** @type {CallSummary[]} */
    let batch = [];
    if (this.queue.size <= PER_FRAME) {
      batch = [...this.queue.values()];
      this.queue.clear();
    } else {
      for (const [id, call] of this.queue) {
        batch.push(call);
        this.queue.delete(id);
        if (batch.length === PER_FRAME) break;
      }
    }
    this.calls.apply(batch);
    if (this.queue.size === 0) this.fresh = 0;
    this.dispatchEvent(new Event("drawn"));
    this.#plan();
  }

  /** @param {{generation: number | string, resumed?: boolean, continues?: number}} hello */
  #hello(hello) {
    this.#epoch(num(hello.generation), num(hello.continues));
    if (!hello.resumed) this.#load().catch(() => undefined);
  }

  /**
   * @param {number} generation
   * @param {number} [continues] Which restart it is, of a loomd that has the calls of the one before.
   */
  #epoch(generation, continues = 0) {
    if (this.generation && generation !== this.generation) {
      if (continues) notice(`loomd restarted: generation ${continues}`);
      else this.calls.mark("epoch", `loomd was started anew at ${new Date().toLocaleTimeString("en-GB")}; earlier calls above stay as they were`);
    }
    this.generation = generation;
  }
}
