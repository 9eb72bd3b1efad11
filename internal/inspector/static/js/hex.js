/** Bytes as a person reads them: offset, hexadecimal, characters. */

import { h } from "./dom.js";

const WIDTH = 16;

/**
 * @param {string} digits Hexadecimal, two for each byte.
 * @returns {HTMLElement}
 */
export function hexView(digits) {
  const lines = [];
  for (let at = 0; at < digits.length; at += WIDTH * 2) {
    const pairs = digits.slice(at, at + WIDTH * 2).match(/../g) ?? [];
    const characters = pairs.map((pair) => {
      const code = parseInt(pair, 16);
      return code >= 0x20 && code < 0x7f ? String.fromCharCode(code) : "·";
    });
    const offset = (at / 2).toString(16).padStart(6, "0");
    const left = pairs.slice(0, 8).join(" ").padEnd(23);
    const right = pairs.slice(8).join(" ").padEnd(23);
    lines.push(offset + "  " + left + "  " + right + "  " + characters.join(""));
  }
  return h("pre", { class: "hex", tabindex: 0, "aria-label": "Bytes" }, lines.join("\n") || "no bytes");
}
