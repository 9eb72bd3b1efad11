/** What backends offer, as a tree, and a call to any method of it. */

import { button, fill, h } from "./dom.js";
import { get, post, sentence } from "./api.js";
import { RequestForm } from "./requestform.js";
import { showFailure, showResult } from "./result.js";
import { loadShape, shapeView } from "./shape.js";
import { empty } from "./table.js";
import { note } from "./decoded.js";
import { go } from "./router.js";

/** @typedef {{name?: string, path: string, kind?: string, input?: string, output?: string}} Method */
/** @typedef {{name: string, source?: string, error?: string, methods?: Method[]}} Service */

export class Services {
  /** @param {() => boolean} maySend */
  constructor(maySend) {
    this.maySend = maySend;
    this.tree = h("div", { class: "services-tree", id: "services-tree" });
    this.pane = h("div", { class: "services-pane", id: "services-pane" });
    this.element = h("section", { class: "page services", id: "page-services", "aria-label": "Services" }, this.tree, this.pane);
    this.loaded = false;
    this.shown = "";
  }

  /** @param {string[]} place Backend and path of the method, if one is chosen. */
  async enter(place) {
    if (!this.loaded) await this.#load();
    const [backend, path] = place;
    this.#mark(backend, path);
    if (!path) fill(this.pane, empty("Choose a method", "Its messages and a form to call it appear here."));
    else if (this.shown !== backend + path) this.#show(backend, path);
    this.shown = path ? backend + path : "";
  }

  leave() {}

  async #load() {
    try {
      const answer = await get("/api/backends");
      const items = /** @type {{name: string}[]} */ (answer.items ?? []);
      this.loaded = items.length > 0;
      /** @type {Map<string, Method>} */
      this.methods = new Map();
      const blocks = await Promise.all(items.map((b) => this.#backend(b.name)));
      fill(this.tree, h("div", { class: "tree-head" }, h("h2", null, "Services"), button({ icon: "replay", class: "quiet tiny", title: "Ask the backends again" }, () => this.#load())),
        items.length === 0 ? empty("No backends", "The configuration names none.") : blocks);
    } catch (error) {
      fill(this.tree, empty("This could not be loaded", sentence(error)));
    }
  }

  /** @param {string} backend */
  async #backend(backend) {
    /** @type {{services?: Service[], problems?: string[], error?: string}} */
    let answer;
    try {
      answer = await get(`/api/backends/${encodeURIComponent(backend)}/services`);
    } catch (error) {
      answer = { error: sentence(error) };
    }
    const services = answer.services ?? [];
    return h("details", { class: "tree-backend", open: true },
      h("summary", null, h("strong", null, backend), h("span", { class: "dim" }, " " + services.length)),
      answer.error ? note("error", answer.error) : null,
      (answer.problems ?? []).map((p) => note("drift", p)),
      !answer.error && services.length === 0 ? h("p", { class: "dim" }, "It offers no service by reflection.") : null,
      services.map((s) => this.#service(backend, s)));
  }

  /** @param {string} backend @param {Service} service */
  #service(backend, service) {
    const dot = service.name.lastIndexOf(".");
    return h("details", { class: "tree-service", open: !service.name.startsWith("grpc.") },
      h("summary", { title: service.name }, h("span", { class: "package" }, service.name.slice(0, dot + 1)), service.name.slice(dot + 1), " ",
        service.source ? h("span", { class: "badge" }, service.source) : null),
      service.error ? note("error", service.error) : null,
      (service.methods ?? []).map((m) => {
        this.methods?.set(backend + m.path, m);
        return h("button", {
          type: "button", class: "tree-method", data: { path: m.path, backend },
          on: { click: () => go({ panel: "services", rest: [backend, m.path] }) },
        }, h("span", { class: "kind", title: m.kind }, kindLetters(m.kind)), m.name ?? m.path.slice(m.path.lastIndexOf("/") + 1));
      }));
  }

  /** @param {string | undefined} backend @param {string | undefined} path */
  #mark(backend, path) {
    for (const element of this.tree.querySelectorAll(".tree-method")) {
      const { dataset } = /** @type {HTMLElement} */ (element);
      element.setAttribute("aria-current", String(dataset.path === path && dataset.backend === backend));
    }
  }

  /** @param {string} backend @param {string} path */
  async #show(backend, path) {
    const method = this.methods?.get(backend + path);
    if (!method) {
      fill(this.pane, empty("No such method", `${backend} does not offer ${path} now.`));
      return;
    }
    fill(this.pane, h("p", { class: "loading" }, "Loading…"));
    try {
      const [input, output] = await Promise.all([method.input, method.output].map((name) => (name ? loadShape(backend, name) : null)));
      fill(this.pane, h("h2", { class: "mono" }, path), h("p", { class: "dim" }, `${kindWords(method.kind)} at ${backend}`),
        h("div", { class: "shapes" }, shapeView("Request", backend, method.input ?? "", input?.shape), shapeView("Response", backend, method.output ?? "", output?.shape)),
        this.maySend() ? this.#compose(backend, path, input?.template ?? {}) : note("hint", "Sending is turned off here."));
    } catch (error) {
      fill(this.pane, empty("This could not be loaded", sentence(error)));
    }
  }

  /**
   * @param {string} backend
   * @param {string} path
   * @param {unknown} template
   */
  #compose(backend, path, template) {
    const form = new RequestForm({ backend, path, pairs: [], deadlineMs: 10000, timing: false });
    form.editor.set([template]);
    const result = h("div", { class: "result-box", "aria-live": "polite" });
    const send = button({ icon: "send", text: "Send", class: "primary", id: "compose-send" }, async () => {
      send.disabled = true;
      try {
        // The timing is that of a recording.
        const { timing, ...body } = form.body(true);
        showResult(result, await post("/api/compose", { ...body, method: path, ...(timing === "zero" ? {} : { timing }) }), false);
      } catch (error) {
        showFailure(result, error, form.editor);
      }
      send.disabled = false;
      send.focus();
    });
    return h("section", { class: "compose", id: "compose" }, h("h3", null, "Call it"), form.element, h("div", { class: "compose-foot" }, send), result);
  }
}

/** @param {string | undefined} kind */
function kindWords(kind) {
  return (kind ?? "unary").replace(/^STREAM_KIND_/, "").replace(/_/g, " ").toLowerCase();
}

/** @param {string | undefined} kind */
function kindLetters(kind) {
  const k = kindWords(kind);
  if (k.startsWith("bidi") || k === "bd") return "BD";
  if (k.startsWith("server") || k === "ss") return "SS";
  if (k.startsWith("client") || k === "cs") return "CS";
  return "U";
}
