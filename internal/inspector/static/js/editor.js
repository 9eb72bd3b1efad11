/** A field for the JSON of messages, with what is wrong about it, by field. */

import { button, fill, h } from "./dom.js";
import { post } from "./api.js";

/** How long a pause in typing has to be before loomd is asked. */
const PAUSE = 350;

/** @typedef {{path?: string, text?: string, message?: number | string}} Problem */

export class Editor {
  /**
   * @param {() => {backend: string, path: string}} target What to check against.
   */
  constructor(target) {
    this.target = target;
    /** @type {number | undefined} */
    this.timer = undefined;
    this.round = 0;
    this.valid = true;
    this.list = h("div", { class: "editor-list" });
    this.errors = h("ul", { class: "editor-errors", id: "editor-errors" });
    this.add = button({ text: "Add message", class: "tiny", id: "editor-add" }, () => this.#append("{}"));
    this.element = h("div", { class: "editor" }, this.list, this.add, h("div", { class: "editor-status", role: "status" }, this.errors));
  }

  /** @param {unknown[]} messages */
  set(messages) {
    fill(this.list);
    for (const message of messages) this.#append(JSON.stringify(message, null, 2));
  }

  /** @returns {unknown[]} Throws what JSON.parse does. */
  get() {
    return this.areas.map((area) => JSON.parse(area.value));
  }

  get areas() {
    return [...this.list.querySelectorAll("textarea")];
  }

  /**
   * @param {Problem[]} problems
   */
  show(problems) {
    this.valid = problems.length === 0;
    const many = this.areas.length > 1;
    for (const [at, area] of this.areas.entries()) {
      area.setAttribute("aria-invalid", String(problems.some((p) => Number(p.message ?? 0) === at)));
    }
    fill(this.errors, problems.map((p) => h("li", { data: { path: p.path ?? "" } },
      h("button", { type: "button", class: "button link", on: { click: () => this.#goTo(p) } }, (many ? `message ${Number(p.message ?? 0) + 1} ` : "") + (p.path || "/")), " ", p.text ?? "")));
  }

  async check() {
    const round = ++this.round;
    const problems = this.#syntax();
    if (problems.length === 0) {
      try {
        const answer = await post("/api/validate", { ...this.target(), messages: this.get() });
        if (round === this.round) this.show(answer?.errors ?? []);
        return;
      } catch {
        // Sending says what is wrong if loomd cannot be asked now.
      }
    }
    if (round === this.round) this.show(problems);
  }

  /** @returns {Problem[]} */
  #syntax() {
    return this.areas.flatMap((area, at) => {
      try {
        JSON.parse(area.value);
        return [];
      } catch (error) {
        return [{ path: "", message: at, text: error instanceof Error ? error.message : String(error) }];
      }
    });
  }

  /** @param {string} text */
  #append(text) {
    const area = h("textarea", {
      spellcheck: "false", autocomplete: "off", rows: Math.max(4, Math.min(18, text.split("\n").length + 1)), value: text, "aria-describedby": "editor-errors",
      on: { input: () => { clearTimeout(this.timer); this.timer = setTimeout(() => this.check(), PAUSE); } },
    });
    const item = h("div", { class: "editor-item" },
      h("div", { class: "editor-bar" }, h("span", { class: "editor-number" }), h("span", { class: "push" }),
        button({ text: "Format", class: "tiny" }, () => this.#format(area)),
        button({ icon: "close", class: "quiet tiny", title: "Remove this message" }, () => { item.remove(); this.#number(); this.check(); })),
      area);
    this.list.append(item);
    this.#number();
  }

  #number() {
    for (const [at, label] of [...this.list.querySelectorAll(".editor-number")].entries()) label.textContent = "Message " + (at + 1);
    for (const [at, area] of this.areas.entries()) area.setAttribute("aria-label", "Message " + (at + 1) + " as JSON");
  }

  /** @param {HTMLTextAreaElement} area */
  #format(area) {
    try {
      area.value = JSON.stringify(JSON.parse(area.value), null, 2);
    } catch {
      // What is wrong with it is listed already.
    }
    this.check();
  }

  /**
   * Puts the caret at the field that a problem names.
   *
   * @param {Problem} problem
   */
  #goTo(problem) {
    const area = this.areas[Number(problem.message ?? 0)];
    if (!area) return;
    const name = (problem.path ?? "").split(/[/.]/).filter((p) => p && !/^\d+$/.test(p)).pop();
    const at = name ? area.value.indexOf(JSON.stringify(name)) : -1;
    area.focus();
    if (at >= 0) area.setSelectionRange(at, at + (name ?? "").length + 2);
  }
}
