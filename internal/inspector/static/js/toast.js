/** A short notice in a corner, and the clipboard, whose success needs one. */

import { h, setText } from "./dom.js";

/** Long enough to read a line. */
const SHOWN_FOR = 3200;

const box = h("div", { class: "toast", role: "status", id: "toast" });
/** @type {number | undefined} */
let timer;

/**
 * @param {string} text
 * @param {"good" | "bad"} [kind]
 */
export function notice(text, kind = "good") {
  // A modal dialog hides the rest of the page, so the notice goes into it.
  const host = document.querySelector("dialog[open]") ?? document.body;
  if (box.parentNode !== host) host.append(box);
  box.className = "toast shown " + kind;
  setText(box, text);
  clearTimeout(timer);
  timer = setTimeout(() => box.classList.remove("shown"), SHOWN_FOR);
}

/**
 * @param {string} text
 * @param {string} what Such as "grpcurl command".
 */
export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    notice("Copied " + what);
  } catch {
    notice("The browser does not let the page copy", "bad");
  }
}
