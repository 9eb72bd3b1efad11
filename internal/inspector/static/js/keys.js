/** Single keys as commands. Not in fields, not in dialogs, never Tab. */

import { recall, remember } from "./prefs.js";

export class Keys {
  /** @param {Record<string, () => void>} commands By KeyboardEvent.key. */
  constructor(commands) {
    this.commands = commands;
    this.on = recall("keys", true);
    document.addEventListener("keydown", (event) => this.#pressed(event));
  }

  /** @param {boolean} on */
  use(on) {
    this.on = on;
    remember("keys", on);
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.key === "Tab") return;
    const target = /** @type {Element} */ (event.target);
    if (target.closest("input, textarea, select")) return;
    // The focus may be on nothing while a dialog is open.
    if (document.querySelector("dialog[open], :popover-open")) return;
    // Enter and Space belong to what has the focus.
    if ((event.key === "Enter" || event.key === " ") && target.closest("button, a, summary")) return;
    // Without single-key commands the keys of grids and dialogs stay.
    if (!this.on && event.key.length === 1) return;
    const act = this.commands[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }
}
