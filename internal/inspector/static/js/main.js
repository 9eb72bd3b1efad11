/** Puts the page together: the tabs at the top, and the one that is shown. */

import { backendsPanel } from "./backends.js";
import { button, h, icon } from "./dom.js";
import { ApiError, get, locked, sentence } from "./api.js";
import { breakersPanel } from "./breakers.js";
import { CallsPage } from "./callspage.js";
import { objectPanel, routesPanel } from "./panels.js";
import { Services } from "./services.js";
import { themeButton } from "./theme.js";
import { Keys } from "./keys.js";
import { help } from "./help.js";
import { login } from "./login.js";
import { address, go, read } from "./router.js";
import { notice } from "./toast.js";

/** Until loomd answers at all, in milliseconds. */
const RETRY = 1500;

const calls = new CallsPage();
/** @type {(key: string, value: string) => void} */
const filterBy = (key, value) => {
  calls.bar.add({ key, value, exclude: false });
  go({ q: calls.bar.text });
};
/** @type {[string, string, {element: HTMLElement, enter: (place: any) => void, leave: () => void}][]} */
const PAGES = [
  ["calls", "Calls", calls],
  ["services", "Services", new Services(() => calls.detail.canReplay)],
  ["routes", "Routes", routesPanel(filterBy)],
  ["backends", "Backends", backendsPanel(filterBy)],
  ["breakers", "Breakers", breakersPanel(filterBy)],
  ["config", "Config", objectPanel("config")],
  ["status", "Status", objectPanel("status")],
];

const nav = h("nav", { class: "nav", "aria-label": "Parts of loomd" }, PAGES.map(([key, name]) => h("a", { href: "#/" + key, class: "nav-tab", data: { page: key } }, name)));
// Going to another tab and back must not lose the filter.
calls.bar.addEventListener("filter", () => nav.firstElementChild?.setAttribute("href", address({ q: calls.bar.text })));
const version = h("span", { class: "version dim" });
const keys = new Keys({ ...calls.commands(), "?": () => help(keys.on, (on) => keys.use(on)) });
const main = h("main", { id: "main" });
document.body.append(
  h("header", { class: "top" }, h("h1", null, h("a", { href: "#/calls", class: "brand" }, logo(), h("span", null, "loom"))), nav, h("span", { class: "push" }), version,
    button({ icon: "help", class: "quiet", id: "help", title: "Help (?)" }, () => help(keys.on, (on) => keys.use(on))), themeButton()),
  main);

let current = "";
let ready = false;

function show() {
  if (!ready) return;
  const place = read();
  const found = PAGES.find(([key]) => key === place.panel) ?? PAGES[0];
  if (found[0] !== current) {
    PAGES.find(([key]) => key === current)?.[2].leave();
    current = found[0];
    main.replaceChildren(found[2].element);
    for (const tab of nav.children) {
      if (/** @type {HTMLElement} */ (tab).dataset.page === current) tab.setAttribute("aria-current", "page");
      else tab.removeAttribute("aria-current");
    }
    document.title = found[1] + " · Loom";
  }
  found[2].enter(found[0] === "services" ? place.rest : place);
}

async function start() {
  try {
    const session = await get("/api/session");
    know(session);
    ready = true;
    show();
    await calls.start(session);
    show();
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) return;
    notice(sentence(error), "bad");
    setTimeout(start, RETRY);
  }
}

/** @param {import("./types.js").Session} session */
function know(session) {
  version.textContent = session.version ?? "";
}

function logo() {
  const svg = icon("columns");
  svg.firstElementChild?.setAttribute("d", "M4.5 3v10M8 3v10M11.5 3v10M2.8 6.2h3.4M9.8 6.2h3.4M6.3 9.8h3.4");
  return svg;
}

locked.addEventListener("locked", () => login(() => {
  calls.stream.stop();
  start();
}));
// Another loomd that took over may be of another version.
calls.stream.addEventListener("session", (event) => know(/** @type {CustomEvent} */ (event).detail));
window.addEventListener("hashchange", show);
start();
