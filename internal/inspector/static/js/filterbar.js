/** The field of the filter: suggestions, errors in place, busy while loomd looks. */

import { button, fill, h, icon } from "./dom.js";
import { addTerm, excludeTerm, parse } from "./filter.js";
import { suggest } from "./suggest.js";

/** @typedef {import("./calls.js").Calls} Calls */

/** Typing shows its effect after this many milliseconds. */
const PAUSE = 120;

/** FilterBar reports by the event "filter", once what is typed is a filter. */
export class FilterBar extends EventTarget {
  /** @param {Calls} calls */
  constructor(calls) {
    super();
    this.calls = calls;
    this.text = "";
    /** @type {import("./filter.js").Filter} */
    this.filter = parse("");
    /** @type {{text: string, note: string}[]} */
    this.items = [];
    this.from = 0;
    this.at = -1;
    /** @type {number | undefined} */
    this.timer = undefined;
    this.input = h("input", {
      id: "filter", class: "filter-input", type: "text", spellcheck: "false", autocomplete: "off", role: "combobox", "aria-expanded": "false",
      "aria-controls": "filter-list", "aria-autocomplete": "list", "aria-label": "Filter", "aria-describedby": "filter-error", placeholder: "Filter, such as status:UNAVAILABLE latency:>50ms -route:canary",
      on: {
        input: () => { this.#offer(); clearTimeout(this.timer); this.timer = setTimeout(() => this.#apply(), PAUSE); },
        keydown: (/** @type {KeyboardEvent} */ e) => this.#key(e),
        focus: () => this.#offer(), blur: () => this.#close(),
      },
    });
    this.list = h("div", { id: "filter-list", class: "suggestions", role: "listbox", "aria-label": "Suggestions", hidden: true });
    this.error = h("div", { id: "filter-error", class: "filter-error", role: "status", hidden: true });
    this.reset = button({ icon: "close", class: "quiet tiny", id: "filter-clear", title: "Clear filter" }, () => { this.set(""); this.input.focus(); });
    this.element = h("div", { class: "filter", role: "search" }, icon("search"), this.input, this.reset, this.list, this.error);
    this.reset.hidden = true;
  }

  /** @param {string} text */
  set(text) {
    if (text === this.text && text === this.input.value) return;
    this.input.value = text;
    this.#close();
    this.#apply();
  }

  /** @param {{key: string, value: string, exclude: boolean}} term */
  add(term) {
    this.set((term.exclude ? excludeTerm : addTerm)(this.input.value.trim(), term.key, term.value));
  }

  /** @param {boolean} on Whether loomd is looking for calls. */
  busy(on) {
    this.element.classList.toggle("busy", on);
    this.input.setAttribute("aria-busy", String(on));
  }

  #apply() {
    clearTimeout(this.timer);
    const text = this.input.value.trim();
    this.reset.hidden = text === "";
    try {
      const filter = parse(text);
      this.filter = filter;
      this.error.hidden = true;
      this.input.removeAttribute("aria-invalid");
      if (text === this.text) return;
      this.text = text;
      this.dispatchEvent(new Event("filter"));
    } catch (error) {
      // What was shown before stays until this is a filter.
      const { message, hint, index } = /** @type {import("./filter.js").FilterError} */ (error);
      this.input.setAttribute("aria-invalid", "true");
      this.error.hidden = false;
      fill(this.error, h("span", null, message), hint ? h("span", { class: "dim" }, " " + hint) : null, h("span", { class: "dim" }, ` (at character ${index + 1})`));
    }
  }

  #offer() {
    const { from, items } = suggest(this.input.value, this.input.selectionStart ?? 0, this.calls);
    this.items = items;
    this.from = from;
    this.at = -1;
    this.#draw();
  }

  #draw() {
    this.list.hidden = this.items.length === 0;
    this.input.setAttribute("aria-expanded", String(!this.list.hidden));
    fill(this.list, this.items.map((item, at) => h("div", {
      role: "option", id: "suggestion-" + at, class: "suggestion", "aria-selected": String(at === this.at),
      on: { mousedown: (/** @type {Event} */ e) => { e.preventDefault(); this.#take(at); } },
    }, h("span", null, item.text), h("span", { class: "dim" }, item.note))));
    if (this.at >= 0) this.input.setAttribute("aria-activedescendant", "suggestion-" + this.at);
    else this.input.removeAttribute("aria-activedescendant");
  }

  #close() {
    this.items = [];
    this.#draw();
  }

  /** @param {number} at */
  #take(at) {
    const { text } = this.items[at];
    const value = this.input.value;
    const caret = this.input.selectionStart ?? value.length;
    const done = !/[:.]$/.test(text);
    this.input.value = value.slice(0, this.from) + text + (done ? " " : "") + value.slice(caret);
    const end = this.from + text.length + (done ? 1 : 0);
    this.input.setSelectionRange(end, end);
    this.#apply();
    this.#offer();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const by = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (by && this.items.length > 0) {
      event.preventDefault();
      this.at = (this.at + by + this.items.length + (this.at < 0 && by < 0 ? 1 : 0)) % this.items.length;
      this.#draw();
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (this.at >= 0) this.#take(this.at);
      else { this.#close(); this.#apply(); }
    } else if (event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      if (this.items.length > 0) this.#close();
      else this.input.blur();
    }
  }
}

