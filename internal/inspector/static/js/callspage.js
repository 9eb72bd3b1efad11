/** The tab Calls: toolbar, list, detail and footer, and what joins them. */

import { h } from "./dom.js";
import { get, post, sentence } from "./api.js";
import { Calls } from "./calls.js";
import { Stream } from "./stream.js";
import { Feed } from "./feed.js";
import { List } from "./list.js";
import { FilterBar } from "./filterbar.js";
import { Matcher } from "./match.js";
import { Toolbar } from "./toolbar.js";
import { Footer } from "./footer.js";
import { States } from "./states.js";
import { Detail } from "./detail.js";
import { splitter } from "./splitter.js";
import { replayDialog } from "./replay.js";
import { notice } from "./toast.js";
import { go } from "./router.js";

/** Open calls count their time, this often in milliseconds. */
const TICK = 500;
/** More ids than this do not fit an address; the filter is sent instead. */
const IDS_IN_ADDRESS = 300;

export class CallsPage {
  constructor() {
    /** @type {import("./types.js").Session | null} */
    this.session = null;
    this.calls = new Calls();
    this.stream = new Stream();
    this.feed = new Feed(this.calls, this.stream);
    this.list = new List(this.calls);
    this.bar = new FilterBar(this.calls);
    this.matcher = new Matcher(this.bar, (wants) => { this.calls.filter(wants); this.#draw(); });
    this.toolbar = new Toolbar(this.bar.element);
    this.footer = new Footer();
    this.states = new States(() => this.bar.set(""), () => this.#setMode("full"));
    this.detail = new Detail();
    this.place = { id: "", tab: "" };
    this.started = false;
    const layout = h("div", { class: "split", id: "split" });
    this.splitter = splitter(layout);
    layout.append(h("div", { class: "list-side" }, this.states.banner, h("div", { class: "list-wrap" }, this.list.element, this.states.blank)), this.splitter, this.detail.element);
    this.element = h("section", { class: "page calls", id: "page-calls", "aria-label": "Calls" }, this.toolbar.element, layout, this.footer.element);
    this.#listen();
    setInterval(() => this.#tick(), TICK);
  }

  /** @param {import("./types.js").Session} session */
  async start(session) {
    this.#know(session);
    this.calls.live = !session.readOnly;
    if (session.readOnly) this.toolbar.setReadOnly();
    this.states.setBlank("loading", session);
    await this.feed.start(session.generation);
    this.started = true;
    this.#draw();
  }

  /** @param {import("./types.js").Session} session */
  #know(session) {
    this.session = session;
    this.detail.canReplay = session.replay !== false && !session.readOnly;
    this.toolbar.setMode(session.capture?.mode ?? "full");
  }

  /** @param {import("./router.js").Place} place */
  enter(place) {
    // Before the filter, which writes the address of this place.
    this.place = { id: place.id, tab: place.tab };
    this.bar.set(place.q);
    this.splitter.hidden = place.id === "";
    this.element.classList.toggle("with-detail", place.id !== "");
    this.detail.show(place.id, place.tab);
    const row = this.calls.byId.get(place.id);
    if (place.id !== this.calls.selected) this.list.select(place.id);
    if (row) this.detail.changed(row);
  }

  leave() {}

  /** @returns {Record<string, () => void>} */
  commands() {
    const withCall = (/** @type {() => void} */ act) => () => { if (this.place.id) act(); };
    return {
      "/": () => this.bar.input.select(),
      j: () => this.list.move(1), k: () => this.list.move(-1),
      ArrowDown: () => this.list.move(1), ArrowUp: () => this.list.move(-1),
      PageDown: () => this.list.move(this.list.pageSize), PageUp: () => this.list.move(-this.list.pageSize),
      Enter: () => this.#open(this.calls.selected),
      Escape: withCall(() => this.#close()),
      "[": withCall(() => this.detail.turn(-1)), "]": withCall(() => this.detail.turn(1)),
      " ": () => this.#pause(), End: () => this.list.follow(true),
      c: withCall(() => this.detail.copyGrpcurl()), y: withCall(() => this.detail.copyJson()),
      r: withCall(() => this.#replay(false)), e: withCall(() => this.#replay(true)),
      p: () => this.#pin(),
    };
  }

  #listen() {
    const on = (/** @type {EventTarget} */ from, /** @type {string} */ name, /** @type {(detail: any) => void} */ act) =>
      from.addEventListener(name, (event) => act(/** @type {CustomEvent} */ (event).detail));
    on(this.feed, "drawn", () => { this.matcher.stale(); this.#draw(); });
    on(this.feed, "waiting", () => this.toolbar.setPaused(this.feed.paused, this.feed.fresh));
    on(this.stream, "session", (session) => this.#know(session));
    on(this.stream, "link", () => { this.toolbar.setLink(this.stream.link); this.#banner(); });
    on(this.stream, "status", (status) => { this.toolbar.setStatus(status); this.footer.setStatus(status); this.#banner(); });
    on(this.list, "open", (id) => this.#open(id));
    on(this.list, "select", (id) => { if (this.place.id) go({ id, tab: this.place.tab, q: this.bar.text }, { replace: true }); });
    on(this.list, "term", (term) => this.bar.add(term));
    on(this.list, "follow", () => this.toolbar.setFollowing(this.list.following));
    on(this.bar, "filter", () => go({ id: this.place.id, tab: this.place.tab, q: this.bar.text }, { replace: true }));
    on(this.toolbar, "pause", () => this.#pause());
    on(this.toolbar, "follow", () => this.list.follow(!this.list.following));
    on(this.toolbar, "clear", () => this.#clear());
    on(this.toolbar, "columns", () => this.list.layout());
    on(this.toolbar, "export", (format) => this.#export(format));
    on(this.toolbar, "capture", (mode) => this.#setMode(mode));
    on(this.detail, "tab", (tab) => go({ id: this.place.id, tab, q: this.bar.text }, { replace: true }));
    on(this.detail, "close", () => this.#close());
    on(this.detail, "term", (term) => this.bar.add(term));
    on(this.detail, "pin", () => this.#pin());
    on(this.detail, "replay", ({ edit }) => this.#replay(edit));
    this.toolbar.setFollowing(true);
  }

  #draw() {
    this.calls.settle();
    this.list.render();
    this.footer.setShown(this.calls.shown.length);
    const row = this.calls.byId.get(this.place.id);
    if (row) this.detail.changed(row);
    const none = this.calls.shown.length === 0;
    this.states.setBlank(!none || !this.started ? "" : this.calls.byId.size > 0 ? "nomatch" : "waiting", this.session);
  }

  #banner() {
    const mode = this.toolbar.mode;
    if (this.session?.readOnly) this.states.setBanner("readonly", this.session.title);
    else if (this.stream.link === "lost") this.states.setBanner("lost");
    else this.states.setBanner(mode === "off" || mode === "metadata" ? mode : "");
  }

  #tick() {
    if (document.hidden || this.element.hidden) return;
    this.list.render();
  }

  /** @param {string} id */
  #open(id) {
    if (id) go({ id, tab: this.place.tab || this.detail.tab, q: this.bar.text }, { replace: this.place.id !== "" });
  }

  #close() {
    go({ q: this.bar.text });
    this.list.element.focus();
  }

  #pause() {
    if (!this.session?.readOnly) this.feed.pause(!this.feed.paused);
  }

  #pin() {
    const id = this.place.id || this.calls.selected;
    if (!id) return;
    const on = this.calls.togglePin(id);
    notice(on ? "Pinned: the row stays, and is:pinned finds it" : "Not pinned");
    this.#draw();
  }

  /** @param {boolean} edit */
  #replay(edit) {
    const data = this.detail.data;
    if (!data || !this.detail.canReplay) return notice("Replay is turned off here", "bad");
    if (data.view.replayable === false) return notice(data.view.replayProblem || "This call cannot be replayed", "bad");
    replayDialog(data, edit);
  }

  async #clear() {
    try {
      await post("/api/clear");
      this.feed.forget();
    } catch (error) {
      notice(sentence(error), "bad");
    }
  }

  /** @param {string} mode */
  async #setMode(mode) {
    try {
      await post("/api/capture", { mode });
      this.toolbar.setMode(mode);
      this.#banner();
    } catch (error) {
      notice(sentence(error), "bad");
    }
  }

  /** @param {string} format */
  async #export(format) {
    const ids = this.calls.shown.filter((row) => row.id).map((row) => row.id);
    if (ids.length === 0) return notice("There is nothing to export", "bad");
    const which = ids.length <= IDS_IN_ADDRESS ? "ids=" + ids.join(",") : "q=" + encodeURIComponent(this.bar.text);
    try {
      // A download cannot show that the login is over, so this asks first.
      await get("/api/session");
      const link = h("a", { href: `/api/export?format=${format}&${which}`, download: true });
      document.body.append(link);
      link.click();
      link.remove();
    } catch (error) {
      notice(sentence(error), "bad");
    }
  }
}
