/** A panel: a page that is loaded anew while it is in sight. */

import { fill, h } from "./dom.js";
import { get, sentence } from "./api.js";
import { empty } from "./table.js";

/** @typedef {import("./dom.js").Child} Child */

/** How often a panel in sight is loaded again, in milliseconds. */
const REFRESH = 2000;

/**
 * A failure to load is shown where the content would be.
 *
 * @param {string} kind What is listed; the answer is that of /api/ with it.
 * @param {string} title
 * @param {(answer: any, show: () => Promise<void>) => Child | Child[]} draw show loads the panel again at once.
 * @param {(answer: any) => boolean} [moves] Whether what is drawn changes although the answer does not.
 */
export function panel(kind, title, draw, moves = () => false) {
  const body = h("div", { class: "panel-body" });
  const element = h("section", { class: "page", id: "page-" + kind, "aria-label": title, tabindex: "0" }, h("h2", null, title), body);
  let seal = "";
  const show = async () => {
    try {
      const answer = await get("/api/" + kind);
      const next = JSON.stringify(answer);
      // Drawing anew would take marked text away.
      if (seal === next && !moves(answer)) return;
      seal = next;
      const focused = document.activeElement?.id;
      fill(body, draw(answer, show));
      if (focused && body.querySelector("#" + CSS.escape(focused))) document.getElementById(focused)?.focus();
    } catch (error) {
      seal = "";
      fill(body, empty("This could not be loaded", sentence(error)));
    }
  };
  /** @type {number | undefined} */
  let timer;
  return {
    element,
    enter() {
      show();
      clearInterval(timer);
      timer = setInterval(() => { if (!document.hidden) show(); }, REFRESH);
    },
    leave() {
      clearInterval(timer);
    },
  };
}
