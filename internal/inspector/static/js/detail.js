/** The pane of one call: its head, its tabs, and loading what they show. */

import { button, fill, h } from "./dom.js";
import { ApiError, callPath, get, sentence } from "./api.js";
import { codeName, statusWord, tone } from "./codes.js";
import { splitPath } from "./row.js";
import { overview } from "./overview.js";
import { exchange } from "./exchange.js";
import { Messages } from "./messages.js";
import { metadata } from "./metadata.js";
import { raw } from "./raw.js";
import { copy, notice } from "./toast.js";

/** @typedef {import("./types.js").Detail} CallDetail */

/** @type {[string, string][]} */
export const TABS = [["overview", "Overview"], ["exchange", "Request | Response"], ["messages", "Messages"], ["metadata", "Metadata"], ["raw", "Raw"]];

/** An open call changes often; its pane need not follow faster. */
const REFRESH = 300;

/** Detail reports by events: "tab", "close", "term", "replay" {edit}, "pin". */
export class Detail extends EventTarget {
  constructor() {
    super();
    this.id = "";
    this.tab = "overview";
    /** @type {CallDetail | null} */
    this.data = null;
    this.canReplay = true;
    this.pinned = false;
    this.revision = "";
    /** @type {AbortController | null} */
    this.request = null;
    /** @type {number | undefined} */
    this.timer = undefined;
    this.title = h("h2", { class: "detail-title", id: "detail-title" });
    this.actions = h("div", { class: "detail-actions", role: "toolbar", "aria-label": "Actions on this call" });
    this.tabs = h("div", { class: "tabs", role: "tablist", "aria-label": "Parts of the call", on: { keydown: (/** @type {KeyboardEvent} */ e) => this.#tabKey(e) } });
    this.state = h("div", { class: "detail-state", id: "detail-state" });
    /** @type {Record<string, HTMLElement>} */
    this.panels = {};
    for (const [key, name] of TABS) {
      this.tabs.append(h("button", { type: "button", role: "tab", id: "tab-" + key, "aria-controls": "panel-" + key, class: "tab", data: { tab: key }, on: { click: () => this.pick(key) } }, name));
      this.panels[key] = h("div", { role: "tabpanel", id: "panel-" + key, class: "panel", "aria-labelledby": "tab-" + key, tabindex: 0, hidden: true });
    }
    this.messages = new Messages(this.panels.messages);
    this.element = h("section", { class: "detail", id: "detail", "aria-labelledby": "detail-title", hidden: true },
      h("header", { class: "detail-head" }, this.title, this.actions), this.tabs, this.state, h("div", { class: "panels" }, Object.values(this.panels)));
  }

  /**
   * @param {string} id "" closes the pane.
   * @param {string} tab
   */
  show(id, tab) {
    this.element.hidden = id === "";
    const known = TABS.some(([key]) => key === tab) ? tab : id === this.id && !tab ? this.tab : tab || this.tab;
    this.tab = TABS.some(([key]) => key === known) ? known : "overview";
    if (id !== this.id) {
      this.id = id;
      this.data = null;
      this.revision = "";
      this.#drawHead();
      for (const panel of Object.values(this.panels)) panel.hidden = true;
      fill(this.state);
      if (id) this.#load();
    } else {
      this.#drawPanel();
    }
    for (const element of this.tabs.children) {
      const on = /** @type {HTMLElement} */ (element).dataset.tab === this.tab;
      element.setAttribute("aria-selected", String(on));
      /** @type {HTMLElement} */ (element).tabIndex = on ? 0 : -1;
    }
  }

  /** @param {string} tab */
  pick(tab) {
    this.dispatchEvent(new CustomEvent("tab", { detail: tab }));
  }

  /** @param {number} by Tabs to the right. */
  turn(by) {
    const at = TABS.findIndex(([key]) => key === this.tab);
    this.pick(TABS[(at + by + TABS.length) % TABS.length][0]);
  }

  /**
   * Tells of the newest summary of the call, so that the pane follows.
   *
   * @param {import("./row.js").Row} row
   */
  changed(row) {
    if (row.pinned !== this.pinned) {
      this.pinned = row.pinned;
      this.#drawHead();
    }
    const revision = row.call.revision ?? "";
    if (row.id !== this.id || revision === this.revision || this.timer !== undefined) return;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      if (row.id === this.id) this.#load();
    }, REFRESH);
    this.revision = revision;
  }

  /** @param {boolean} [credentials] */
  async copyGrpcurl(credentials = false) {
    try {
      const answer = await get(`${callPath(this.id)}/grpcurl?credentials=${credentials ? 1 : 0}`);
      const omitted = answer.omitted?.length ? ", without " + answer.omitted.join(", ") : "";
      await copy(answer.command, "grpcurl command" + omitted);
    } catch (error) {
      notice(sentence(error), "bad");
    }
  }

  copyJson() {
    const message = this.tab === "messages" ? this.messages.picked : this.data?.view.response?.first ?? this.data?.view.request?.first;
    if (message?.json === undefined || message.json === null) notice("There is no JSON to copy", "bad");
    else copy(JSON.stringify(message.json, null, 2), message.direction + " as JSON");
  }

  async #load() {
    this.request?.abort();
    this.request = new AbortController();
    const id = this.id;
    const first = !this.data;
    if (first) fill(this.state, h("p", { class: "loading" }, "Loading…"));
    try {
      const data = await get(callPath(id), this.request.signal);
      if (id !== this.id) return;
      this.data = data;
      fill(this.state);
      this.#drawHead();
      this.#drawPanel();
    } catch (error) {
      if (id !== this.id || (error instanceof DOMException && error.name === "AbortError")) return;
      if (!first && !(error instanceof ApiError && error.status === 404)) return;
      this.#failed(error);
    }
  }

  /** @param {unknown} error */
  #failed(error) {
    // What was read of a call stays readable after loomd has let go of it.
    if (error instanceof ApiError && error.status === 404) {
      fill(this.state, h("div", { class: "empty small", data: { state: "evicted" } },
        h("h3", null, `Call ${this.id} is no longer kept`),
        h("p", null, "loomd keeps the newest calls only. Pinning a call keeps its row here, but not what loomd stored of it; capture.calls and capture.bytes set how much is kept.")));
    } else {
      fill(this.state, h("div", { class: "empty small", data: { state: "failed" } }, h("h3", null, "The call could not be loaded"), h("p", null, sentence(error)), button({ text: "Try again" }, () => this.#load())));
    }
  }

  #drawHead() {
    const call = this.data?.call;
    const parts = splitPath(call?.path ?? "");
    const code = call?.status ? call.status.code ?? 0 : undefined;
    fill(this.title,
      call ? h("span", { class: "pill tone-" + tone({ ...call, code }) }, h("span", { class: "shape", "aria-hidden": "true" }), code !== undefined ? codeName(code) : statusWord({ ...call, by: call.endedBy })) : null,
      h("span", { class: "detail-method", title: call?.path }, h("span", { class: "package" }, parts.packageName), parts.rest),
      h("span", { class: "dim detail-id" }, this.id ? "#" + this.id : ""));
    const view = this.data?.view;
    const stuck = !this.canReplay ? "Replay is turned off" : view && view.replayable === false ? view.replayProblem || "This call cannot be replayed" : "";
    const act = (/** @type {boolean} */ edit) => this.dispatchEvent(new CustomEvent("replay", { detail: { edit } }));
    fill(this.actions,
      button({ icon: "replay", text: "Replay", class: "quiet", id: "replay", title: stuck || "Replay (r)", disabled: !view || stuck !== "" }, () => act(false)),
      button({ icon: "edit", class: "quiet", id: "edit", title: stuck || "Edit and send again (e)", disabled: !view || stuck !== "" }, () => act(true)),
      button({ icon: "copy", text: "grpcurl", class: "quiet", id: "copy-grpcurl", title: "Copy as grpcurl (c); with Alt also its credentials", disabled: !view }, (e) => this.copyGrpcurl(e.altKey)),
      button({ icon: "pin", class: "quiet" + (this.pinned ? " on" : ""), id: "pin", title: this.pinned ? "Unpin (p)" : "Pin (p)" }, () => this.dispatchEvent(new Event("pin"))),
      button({ icon: "close", class: "quiet", id: "detail-close", title: "Close (Esc)" }, () => this.dispatchEvent(new Event("close"))));
  }

  #drawPanel() {
    for (const [key] of TABS) this.panels[key].hidden = key !== this.tab || !this.data;
    const data = this.data;
    if (!data) return;
    const panel = this.panels[this.tab];
    // Drawing anew would close what the user has opened in it.
    if (this.tab !== "messages") {
      const seal = JSON.stringify([data.call.id, this.#sealOf(data)]);
      if (panel.dataset.seal === seal) return;
      panel.dataset.seal = seal;
    }
    const term = (/** @type {string} */ key, /** @type {string} */ value) => this.dispatchEvent(new CustomEvent("term", { detail: { key, value, exclude: false } }));
    if (this.tab === "overview") overview(panel, data, term);
    else if (this.tab === "exchange") exchange(panel, data, () => this.pick("messages"));
    else if (this.tab === "messages") this.messages.update(data);
    else if (this.tab === "metadata") metadata(panel, data);
    else raw(panel, data, this.messages.id === this.id ? this.messages.picked : null);
  }

  /**
   * What the panel in sight depends on.
   *
   * @param {CallDetail} data
   */
  #sealOf(data) {
    if (this.tab === "overview") return [data.call, data.view.verdict, data.view.diff];
    if (this.tab === "metadata") return data.view.metadata;
    const sides = [data.view.request, data.view.response].map((s) => [s?.messages, s?.first?.size, s?.first?.source, s?.first?.truncated]);
    return this.tab === "raw" ? [sides, this.messages.picked?.seq, this.messages.picked?.direction] : sides;
  }

  /** @param {KeyboardEvent} event */
  #tabKey(event) {
    const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (!by) return;
    event.preventDefault();
    this.turn(by);
    /** @type {HTMLElement | null} */ (this.tabs.querySelector('[aria-selected="true"]'))?.focus();
  }
}
