/** Request and response beside each other; under one another where it is narrow. */

import { fill, h } from "./dom.js";
import { plural } from "./format.js";
import { decodedView } from "./decoded.js";

/** @typedef {import("./types.js").Detail} Detail */
/** @typedef {import("./types.js").Decoded} Decoded */

/**
 * @param {HTMLElement} panel
 * @param {Detail} detail
 * @param {() => void} showMessages Goes to the tab that has all of them.
 */
export function exchange(panel, detail, showMessages) {
  const { call, view } = detail;
  const open = call.state === "CALL_STATE_OPEN";
  fill(panel, h("div", { class: "exchange" },
    side("Request", "request", call.id, view.request, open, showMessages),
    side("Response", "response", call.id, view.response, open, showMessages)));
}

/**
 * @param {string} title
 * @param {string} direction
 * @param {string} id
 * @param {{messages?: number, first?: Decoded | null} | undefined} part
 * @param {boolean} open
 * @param {() => void} showMessages
 */
function side(title, direction, id, part, open, showMessages) {
  const total = Number(part?.messages ?? 0);
  const more = total > 1
    ? h("button", { type: "button", class: "button link", on: { click: showMessages } }, `First of ${plural(total, "message")}: show all`) : null;
  const none = open ? "No message yet." : direction === "request" ? "The client sent no message." : "No message came back.";
  return h("section", { class: "side", data: { side: direction }, "aria-label": title },
    h("h3", null, title, more),
    part?.first ? decodedView(id, part.first) : h("p", { class: "dim" }, total > 0 ? "Its message was not stored." : none));
}
