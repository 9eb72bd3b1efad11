/** Dialogs of the platform: modal, closed by Esc, gone from the page once closed. */

import { button, h } from "./dom.js";
import { sentence } from "./api.js";
import { notice } from "./toast.js";

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

/**
 * Asks before something is done, and tells what came of it.
 *
 * @param {string} kind The beginning of the names of its parts.
 * @param {string} question
 * @param {string} effect What comes of it.
 * @param {string} word What the button says that does it.
 * @param {() => Promise<string>} act Does it, and returns what is to be told.
 * @param {() => Promise<void>} after Runs then, whether that failed or not.
 */
export function confirm(kind, question, effect, word, act, after) {
  const dialog = openDialog(kind + "-confirm", question, [h("p", null, effect)], [
    button({ text: "Cancel", class: "quiet" }, () => dialog.close()),
    button({ text: word, class: "primary", id: kind + "-do" }, async () => {
      try {
        const done = await act();
        dialog.close();
        notice(done);
      } catch (error) {
        notice(sentence(error), "bad");
      }
      await after();
    }),
  ]);
}
