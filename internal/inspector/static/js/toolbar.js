/** The bar above the list: the link to loomd, what is done to all calls. */

import { button, fill, h, icon, setText } from "./dom.js";
import { menu } from "./menu.js";
import { COLUMNS, choose, chosen } from "./columns.js";
import { count, num } from "./format.js";

/** @type {Record<string, string>} */
const LINKS = { connecting: "connecting", live: "live", lost: "reconnecting", hidden: "resting" };

/** Toolbar reports by events: "pause", "follow", "clear", "columns", "export" {format}, "capture" {mode}. */
export class Toolbar extends EventTarget {
  /** @param {HTMLElement} filter */
  constructor(filter) {
    super();
    this.dot = h("span", { class: "live-dot", "aria-hidden": "true" });
    this.link = h("span", { class: "link-word" }, "connecting");
    this.rate = h("span", { class: "rate", id: "rate" }, "0/s");
    this.live = h("span", { class: "live", id: "link", data: { link: "connecting" } }, this.dot, this.link, this.rate);
    this.pause = button({ icon: "pause", text: "Pause", class: "quiet", id: "pause", title: "Pause (Space)" }, () => this.dispatchEvent(new Event("pause")));
    this.follow = button({ icon: "follow", class: "quiet", id: "follow", title: "Follow the newest (End)" }, () => this.dispatchEvent(new Event("follow")));
    this.clear = button({ icon: "clear", class: "quiet", id: "clear", title: "Clear: forget calls that have ended" }, () => this.dispatchEvent(new Event("clear")));
    this.readOnly = false;
    /** The mode of capture, as loomd says. */
    this.mode = "full";
    this.capture = menu({ text: "Capture: full", icon: "down", class: "quiet flip", id: "capture", title: "What loomd records" }, () => ["full", "metadata", "off"].map((mode) => ({
      text: mode, checked: mode === this.mode, id: "capture-" + mode, act: () => this.dispatchEvent(new CustomEvent("capture", { detail: mode })),
    })));
    const columnsMenu = menu({ icon: "columns", class: "quiet", id: "columns", title: "Columns" }, () => COLUMNS.filter((c) => c.key !== "method").map((c) => ({
      text: c.title, checked: chosen().includes(c.key), id: "column-" + c.key,
      act: () => {
        const keys = chosen();
        choose(keys.includes(c.key) ? keys.filter((k) => k !== c.key) : [...keys, c.key]);
        this.dispatchEvent(new Event("columns"));
      },
    })));
    const exportMenu = menu({ icon: "export", class: "quiet", id: "export", title: "Export what is shown" }, () => [["ndjson", "NDJSON", "a call a line"], ["har", "HAR", "for other tools"], ["loom", "Capture (.loom)", "loomd -open shows it"]].map(([format, text, note]) => ({
      text, note, id: "export-" + format, act: () => this.dispatchEvent(new CustomEvent("export", { detail: format })),
    })));
    this.element = h("div", { class: "toolbar", role: "toolbar", "aria-label": "Calls" }, this.live, this.pause, this.follow, this.clear, filter, this.capture, columnsMenu, exportMenu);
  }

  /** @param {boolean} paused @param {number} waiting New calls that are not shown. */
  setPaused(paused, waiting) {
    const text = paused ? (waiting > 0 ? `Resume, +${count(waiting)} new` : "Resume") : "Pause";
    if (this.pause.dataset.text === text) return;
    this.pause.dataset.text = text;
    this.pause.setAttribute("aria-pressed", String(paused));
    fill(this.pause, icon(paused ? "play" : "pause"), h("span", null, text));
    this.pause.classList.toggle("on", paused);
  }

  /** @param {boolean} on */
  setFollowing(on) {
    this.follow.setAttribute("aria-pressed", String(on));
    this.follow.classList.toggle("on", on);
  }

  /** @param {string} link */
  setLink(link) {
    this.live.dataset.link = link;
    setText(this.link, LINKS[link] ?? link);
  }

  /** @param {import("./types.js").Status} status */
  setStatus(status) {
    setText(this.rate, count(Math.round(num(status.rate))) + "/s");
    if (status.capture) this.setMode(status.capture);
  }

  /** @param {string} mode */
  setMode(mode) {
    this.mode = mode;
    const label = this.capture.querySelector("#capture span");
    if (label) setText(label, "Capture: " + mode);
    this.capture.classList.toggle("off", mode === "off");
  }

  setReadOnly() {
    this.readOnly = true;
    for (const element of [this.pause, this.clear, this.capture, this.live]) element.hidden = true;
  }
}
