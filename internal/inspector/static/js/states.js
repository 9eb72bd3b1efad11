/** What stands in place of rows, or above them, when there is something to say. */

import { button, fill, h } from "./dom.js";
import { copy } from "./toast.js";

/** @typedef {import("./types.js").Session} Session */

export class States {
  /** @param {() => void} clearFilter @param {() => void} captureOn */
  constructor(clearFilter, captureOn) {
    this.clearFilter = clearFilter;
    this.captureOn = captureOn;
    this.blank = h("div", { class: "blank", id: "blank", hidden: true });
    this.banner = h("div", { class: "banner", id: "banner", role: "status", hidden: true });
    this.shownBlank = "";
    this.shownBanner = "";
  }

  /**
   * @param {"" | "waiting" | "nomatch" | "loading"} which
   * @param {Session | null} session
   */
  setBlank(which, session) {
    if (which === this.shownBlank) return;
    this.shownBlank = which;
    this.blank.hidden = which === "";
    this.blank.dataset.state = which;
    if (which === "waiting") fill(this.blank, waiting(session));
    else if (which === "nomatch") fill(this.blank, h("div", { class: "empty" }, h("h3", null, "No call matches the filter"), h("p", null, "New calls appear here once one does."), button({ text: "Clear filter", id: "blank-clear" }, this.clearFilter)));
    else if (which === "loading") fill(this.blank, h("p", { class: "loading" }, "Loading…"));
  }

  /**
   * @param {"" | "off" | "metadata" | "lost" | "readonly"} which
   * @param {string} [title]
   */
  setBanner(which, title = "") {
    if (which + title === this.shownBanner) return;
    this.shownBanner = which + title;
    this.banner.hidden = which === "";
    this.banner.dataset.state = which;
    if (which === "lost") fill(this.banner, h("span", { class: "spinner", "aria-hidden": "true" }), "loomd does not answer. The calls below stay; the page goes on by itself.");
    else if (which === "off") fill(this.banner, "Capture is off: calls pass through loomd, none is recorded.", button({ text: "Turn on", class: "tiny", id: "capture-on" }, this.captureOn));
    else if (which === "metadata") fill(this.banner, "Capture records metadata only: no message is stored.");
    else if (which === "readonly") fill(this.banner, "A saved capture: ", h("strong", null, title || "read-only"));
  }
}

/** @param {Session | null} session */
function waiting(session) {
  const listeners = session?.listeners ?? [];
  const sample = session?.sample ?? "";
  if (session?.readOnly) return h("div", { class: "empty" }, h("h3", null, "This capture holds no calls"));
  return h("div", { class: "empty" },
    h("span", { class: "pulse", "aria-hidden": "true" }),
    h("h3", null, "Waiting for the first call"),
    h("p", null, "loomd listens on ", listeners.map((l, at) => [at ? ", " : "", h("code", null, l.address), l.tls ? " (TLS)" : ""]).flat(), ". Point a gRPC client there, and each call appears here the moment it starts."),
    sample ? h("div", { class: "sample" }, h("pre", { tabindex: 0, "aria-label": "Sample command" }, sample), button({ icon: "copy", class: "quiet", title: "Copy the command" }, () => copy(sample, "the command"))) : null);
}
