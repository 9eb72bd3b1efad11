/** Dialogs of the platform: modal, closed by Esc, gone from the page once closed. */

import { button, h } from "./dom.js";

/**
 * @param {string} id
 * @param {string} title
 * @param {(Node | null)[]} content
 * @param {Node[]} [actions]
 * @param {{locked?: boolean}} [how] locked: only the page closes it.
 * @returns {HTMLDialogElement}
 */
export function openDialog(id, title, content, actions = [], how = {}) {
  const dialog = h("dialog", { id, class: "dialog", "aria-labelledby": id + "-title" },
    h("header", { class: "dialog-head" }, h("h2", { id: id + "-title" }, title),
      how.locked ? null : button({ icon: "close", class: "quiet", title: "Close (Esc)" }, () => dialog.close())),
    h("div", { class: "dialog-body" }, content),
    actions.length ? h("footer", { class: "dialog-foot" }, actions) : null);
  dialog.addEventListener("close", () => dialog.remove());
  if (how.locked) dialog.addEventListener("cancel", (event) => event.preventDefault());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog && !how.locked) dialog.close();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
