/** The bar between list and detail: by pointer, and by arrow keys. */

import { h } from "./dom.js";
import { recall, remember } from "./prefs.js";

/** Neither side gets smaller than this part of the whole. */
const LEAST = 20;
const MOST = 80;
const STEP = 4;

/**
 * @param {HTMLElement} layout Gets --split, the share of the detail in percent.
 * @returns {HTMLElement}
 */
export function splitter(layout) {
  let share = recall("split", 46);
  const bar = h("div", {
    class: "splitter", role: "separator", tabindex: 0, "aria-label": "Size of the detail",
    "aria-valuemin": LEAST, "aria-valuemax": MOST, "aria-orientation": "vertical", id: "splitter",
  });
  /** @param {number} next */
  const set = (next) => {
    share = Math.max(LEAST, Math.min(MOST, next));
    layout.style.setProperty("--split", share.toFixed(1) + "%");
    bar.setAttribute("aria-valuenow", share.toFixed(0));
  };
  const stacked = () => getComputedStyle(layout).flexDirection === "column";
  bar.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    bar.setPointerCapture(event.pointerId);
    bar.classList.add("moving");
  });
  bar.addEventListener("pointermove", (event) => {
    if (!bar.hasPointerCapture(event.pointerId)) return;
    const box = layout.getBoundingClientRect();
    set(stacked() ? (100 * (box.bottom - event.clientY)) / box.height : (100 * (box.right - event.clientX)) / box.width);
  });
  bar.addEventListener("lostpointercapture", () => {
    bar.classList.remove("moving");
    remember("split", share);
  });
  bar.addEventListener("keydown", (event) => {
    const more = event.key === "ArrowLeft" || event.key === "ArrowUp";
    if (!more && event.key !== "ArrowRight" && event.key !== "ArrowDown") return;
    event.preventDefault();
    set(share + (more ? STEP : -STEP));
    remember("split", share);
  });
  set(share);
  return bar;
}
