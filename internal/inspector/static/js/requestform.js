/** What is needed to send a request: the way, metadata, deadline, messages. */

import { button, fill, h } from "./dom.js";
import { Editor } from "./editor.js";

/** @typedef {{name: string, text: string, note?: string}} Pair */

let serial = 0;

export class RequestForm {
  /**
   * @param {{backend: string, path: string, pairs: Pair[], deadlineMs: number, timing: boolean}} start
   */
  constructor(start) {
    this.start = start;
    const group = "target-" + ++serial;
    this.route = h("input", { type: "radio", name: group, value: "route", checked: true, id: "target-route" });
    this.direct = h("input", { type: "radio", name: group, value: "direct", id: "target-direct", disabled: !start.backend });
    this.deadline = h("input", { type: "number", min: 0, step: 100, class: "field short", id: "deadline", value: start.deadlineMs || "", placeholder: "none" });
    this.recorded = h("input", { type: "checkbox", id: "timing" });
    this.pairs = h("div", { class: "pairs" });
    this.editor = new Editor(() => ({ backend: start.backend, path: start.path }));
    for (const pair of start.pairs) this.#pair(pair);
    this.messages = h("div", { class: "form-messages" }, this.editor.element);
    this.element = h("div", { class: "request-form" },
      h("fieldset", null, h("legend", null, "Target"),
        h("label", { class: "choice" }, this.route, "via the route, as a client would"),
        h("label", { class: "choice" }, this.direct, "straight to ", h("code", null, start.backend || "the backend"))),
      h("div", { class: "form-row" },
        h("label", { class: "labelled" }, h("span", null, "Deadline"), this.deadline, h("span", { class: "dim" }, "ms")),
        start.timing ? h("label", { class: "choice" }, this.recorded, "keep the recorded delays between messages") : null),
      h("fieldset", null, h("legend", null, "Metadata"), this.pairs, button({ text: "Add metadata", class: "tiny" }, () => this.#pair({ name: "", text: "" }, true))),
      h("fieldset", null, h("legend", null, "Messages"), this.messages));
  }

  /** @param {Pair} pair @param {boolean} [focus] */
  #pair(pair, focus = false) {
    const name = h("input", { class: "field mono", value: pair.name, placeholder: "name", "aria-label": "Metadata name" });
    const text = h("input", { class: "field mono", value: pair.text, placeholder: pair.note ?? "value", "aria-label": "Metadata value" });
    const line = h("div", { class: "pair" }, name, text, button({ icon: "close", class: "quiet tiny", title: "Remove" }, () => line.remove()));
    this.pairs.append(line);
    if (focus) name.focus();
  }

  /**
   * What to send; messages is null for the recorded bytes.
   *
   * @param {boolean} edited
   */
  body(edited) {
    const metadata = [...this.pairs.children].map((line) => {
      const [name, text] = line.querySelectorAll("input");
      return { name: name.value.trim().toLowerCase(), text: text.value };
    }).filter((p) => p.name !== "" && p.text !== "");
    return {
      target: this.direct.checked ? "direct" : "route",
      backend: this.start.backend,
      metadata,
      messages: edited ? this.editor.get() : null,
      deadlineMs: Math.max(0, Number(this.deadline.value) || 0),
      timing: this.recorded.checked ? "recorded" : "zero",
    };
  }

  /** @param {Node} content In place of the editor. */
  instead(content) {
    fill(this.messages, content);
  }

  edit() {
    fill(this.messages, this.editor.element);
  }
}
