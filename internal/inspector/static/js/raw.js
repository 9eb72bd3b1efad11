/** The bytes of messages as they were on the wire. */

import { fill, h } from "./dom.js";
import { bytes, num } from "./format.js";
import { hexView } from "./hex.js";
import { callPath } from "./api.js";
import { note } from "./decoded.js";

/** @typedef {import("./types.js").Decoded} Decoded */
/** @typedef {import("./types.js").Detail} Detail */

/** Bytes of hexadecimal that loomd sends with a message. */
const SHOWN = 4096;

/**
 * @param {HTMLElement} panel
 * @param {Detail} detail
 * @param {Decoded | null} picked The message that the Messages tab has selected.
 */
export function raw(panel, detail, picked) {
  const { call, view } = detail;
  const list = picked ? [picked] : [view.request?.first, view.response?.first];
  const shown = /** @type {Decoded[]} */ (list.filter(Boolean));
  fill(panel, shown.length === 0 ? h("p", { class: "dim" }, "This call carries no message whose bytes are stored.") : null,
    shown.map((message) => h("section", { class: "raw", data: { direction: message.direction } },
      h("h3", null, `${message.direction === "request" ? "Request" : "Response"} message ${message.seq}`,
        h("span", { class: "dim" }, " " + bytes(num(message.size))),
        h("a", { class: "button link", href: `${callPath(call.id)}/raw/${message.direction}/${message.seq}`, download: true }, "Download")),
      message.withheld ? note("withheld", "Not stored: " + message.withheld) : hexView(message.hex ?? ""),
      num(message.size) > SHOWN ? note("truncated", `The first ${bytes(SHOWN)} of ${bytes(num(message.size))}.`) : null)));
}
