/** A menu below a button, on the platform's popover: Esc and a click elsewhere close it. */

import { button, fill, h } from "./dom.js";

/** @typedef {{text: string, note?: string, checked?: boolean, id?: string, act: () => void}} Item */

let last = 0;

/**
 * @param {{icon?: string, text?: string, title: string, class?: string, id?: string}} look
 * @param {() => Item[]} items Asked each time that it opens.
 * @returns {HTMLElement} The button with its menu.
 */
export function menu(look, items) {
  const list = h("div", { class: "menu", popover: "auto", role: "menu", id: "menu-" + ++last });
  const opener = button(look, () => {
    fill(list, items().map((item) => h("button", {
      type: "button", id: item.id, role: item.checked === undefined ? "menuitem" : "menuitemcheckbox",
      "aria-checked": item.checked === undefined ? undefined : String(item.checked), class: "menu-item",
      on: { click: () => { list.hidePopover(); item.act(); } },
    }, h("span", { class: "menu-check" }, item.checked ? "✓" : ""), h("span", null, item.text), item.note ? h("span", { class: "menu-note" }, item.note) : null)));
    list.showPopover();
    place(list, opener);
    list.querySelector("button")?.focus();
  });
  opener.setAttribute("aria-haspopup", "menu");
  opener.setAttribute("aria-expanded", "false");
  list.addEventListener("toggle", (event) => {
    const open = /** @type {ToggleEvent} */ (event).newState === "open";
    opener.setAttribute("aria-expanded", String(open));
  });
  list.addEventListener("keydown", (event) => step(list, event));
  return h("span", { class: "menu-host" }, opener, list);
}

/**
 * @param {HTMLElement} list
 * @param {HTMLElement} opener
 */
function place(list, opener) {
  const box = opener.getBoundingClientRect();
  const left = Math.max(4, Math.min(box.left, innerWidth - list.offsetWidth - 8));
  list.style.left = left + "px";
  list.style.top = box.bottom + 4 + "px";
}

/**
 * @param {HTMLElement} list
 * @param {KeyboardEvent} event
 */
function step(list, event) {
  const by = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
  if (!by) return;
  event.preventDefault();
  const buttons = [...list.querySelectorAll("button")];
  const at = buttons.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement));
  buttons[(at + by + buttons.length) % buttons.length]?.focus();
}
