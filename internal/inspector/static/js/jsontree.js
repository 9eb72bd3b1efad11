/**
 * A tree of JSON. Branches are made when they are opened, long arrays in
 * pieces, so a large message costs what is in sight of it. The tree is one
 * stop of the Tab key; arrows move in it.
 */

import { button, fill, h } from "./dom.js";
import { visible } from "./format.js";
import { copy } from "./toast.js";

/** Children that a branch shows at once. */
const PIECE = 100;
/** Nodes that a tree opens by itself. */
const OPEN_NODES = 120;
/** Longer strings are cut until asked for. */
const LONG_STRING = 400;

/** @typedef {{value: unknown, path: string, key: string | number | null, element: HTMLElement, branch: HTMLElement | null}} Node */

/**
 * @param {unknown} value
 * @param {{label?: string, collapsed?: boolean}} [how]
 * @returns {HTMLElement}
 */
export function jsonTree(value, how = {}) {
  const tree = new Tree(how.collapsed ? 1 : OPEN_NODES);
  tree.element.setAttribute("aria-label", how.label ?? "Message");
  tree.element.append(tree.node(value, "", null, 1));
  tree.focusable(tree.element.querySelector(".json-node"));
  return tree.element;
}

class Tree {
  /** @param {number} budget */
  constructor(budget) {
    this.budget = budget;
    /** @type {WeakMap<Element, Node>} */
    this.nodes = new WeakMap();
    this.element = h("div", {
      class: "json", role: "tree",
      on: {
        keydown: (/** @type {KeyboardEvent} */ e) => this.#key(e),
        click: (/** @type {MouseEvent} */ e) => this.#click(e),
        pointerover: (/** @type {Event} */ e) => this.#offer(/** @type {Element} */ (e.target)),
        focusin: (/** @type {Event} */ e) => this.#offer(/** @type {Element} */ (e.target)),
      },
    });
    /** @type {Element | null} */
    this.current = null;
    /** The node that the copy buttons are for: one pair serves the whole tree. */
    this.actions = h("span", { class: "json-actions" },
      button({ text: "Copy", title: "Copy value (y)", class: "tiny" }, () => this.#copyValue(this.#offered())),
      button({ text: "Path", title: "Copy path (Shift+Y)", class: "tiny" }, () => this.#copyPath(this.#offered())));
    for (const b of this.actions.querySelectorAll("button")) b.tabIndex = -1;
  }

  /**
   * @param {unknown} value
   * @param {string} path
   * @param {string | number | null} key
   * @param {number} level
   * @returns {HTMLElement}
   */
  node(value, path, key, level) {
    const branchy = value !== null && typeof value === "object" && Object.keys(value).length > 0;
    const element = h("div", { class: "json-node" + (branchy ? " branch" : ""), role: "treeitem", tabindex: -1, "aria-level": level });
    const line = h("div", { class: "json-line" }, h("span", { class: "json-twist", "aria-hidden": "true" }));
    if (key !== null) line.append(h("span", { class: typeof key === "number" ? "json-index" : "json-key" }, visible(String(key))), h("span", { class: "json-colon" }, ": "));
    line.append(branchy ? h("span", { class: "json-summary" }, summary(value)) : leaf(value));
    element.append(line);
    this.nodes.set(element, { value, path, key, element, branch: null });
    this.budget--;
    if (branchy) {
      element.setAttribute("aria-expanded", "false");
      const size = Object.keys(value).length;
      if (this.budget > 0 && (size <= this.budget || level === 1)) this.open(element);
    }
    return element;
  }

  /** @param {Element} element */
  open(element) {
    const node = this.nodes.get(element);
    if (!node || !element.hasAttribute("aria-expanded")) return;
    element.setAttribute("aria-expanded", "true");
    if (!node.branch) {
      node.branch = h("div", { class: "json-branch", role: "group" });
      this.#more(node, 0);
    }
    element.append(node.branch);
  }

  /** @param {Element} element */
  close(element) {
    this.nodes.get(element)?.branch?.remove();
    element.setAttribute("aria-expanded", "false");
  }

  /** @param {Element | null} element */
  focusable(element) {
    if (!element) return;
    this.current?.setAttribute("tabindex", "-1");
    this.current = element;
    element.setAttribute("tabindex", "0");
  }

  /**
   * @param {Node} node
   * @param {number} from
   */
  #more(node, from) {
    const list = Array.isArray(node.value);
    const entries = Object.entries(/** @type {object} */ (node.value));
    const level = Number(node.element.getAttribute("aria-level")) + 1;
    const end = Math.min(entries.length, from + PIECE);
    for (let at = from; at < end; at++) {
      const [key, value] = entries[at];
      node.branch?.append(this.node(value, node.path + step(key, list), list ? at : key, level));
    }
    if (end < entries.length) {
      const rest = button({ text: `${entries.length - end} more`, class: "tiny json-more" }, () => {
        rest.remove();
        this.#more(node, end);
      });
      node.branch?.append(rest);
    }
  }

  /** @param {Element} target */
  #offer(target) {
    const line = target.closest(".json-node")?.firstElementChild;
    if (line && this.actions.parentNode !== line) line.append(this.actions);
  }

  #offered() {
    return this.nodes.get(/** @type {Element} */ (this.actions.closest(".json-node")));
  }

  /** @param {Node | undefined} node */
  #copyValue(node) {
    if (node) copy(typeof node.value === "string" ? node.value : JSON.stringify(node.value, null, 2), "value");
  }

  /** @param {Node | undefined} node */
  #copyPath(node) {
    if (node) copy(node.path || ".", "path");
  }

  /** @param {MouseEvent} event */
  #click(event) {
    const target = /** @type {Element} */ (event.target);
    const element = target.closest(".json-node");
    if (!element || target.closest("button")) return;
    this.focusable(element);
    // A drag that marks text is not a click on a branch.
    if (String(getSelection())) return;
    this.#toggle(element);
  }

  /** @param {Element} element */
  #toggle(element) {
    if (element.getAttribute("aria-expanded") === "true") this.close(element);
    else this.open(element);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const element = /** @type {Element} */ (event.target).closest(".json-node");
    if (!element || event.ctrlKey || event.metaKey || event.altKey || /** @type {Element} */ (event.target).closest("button")) return;
    const open = element.getAttribute("aria-expanded") === "true";
    const all = [...this.element.querySelectorAll(".json-node")];
    const at = all.indexOf(element);
    /** @type {Record<string, () => void>} */
    const keys = {
      ArrowDown: () => this.#focus(all[at + 1]),
      ArrowUp: () => this.#focus(all[at - 1]),
      ArrowRight: () => (open ? this.#focus(all[at + 1]) : this.open(element)),
      ArrowLeft: () => (open ? this.close(element) : this.#focus(element.parentElement?.closest(".json-node"))),
      Home: () => this.#focus(all[0]),
      End: () => this.#focus(all[all.length - 1]),
      Enter: () => this.#toggle(element),
      y: () => this.#copyValue(this.nodes.get(element)),
      Y: () => this.#copyPath(this.nodes.get(element)),
    };
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  }

  /** @param {Element | null | undefined} element */
  #focus(element) {
    if (!element) return;
    this.focusable(element);
    /** @type {HTMLElement} */ (element).focus();
  }
}

/** @param {string} key @param {boolean} list */
function step(key, list) {
  if (list) return "[" + key + "]";
  return /^[A-Za-z_$][\w$]*$/.test(key) ? "." + key : "[" + JSON.stringify(key) + "]";
}

/** @param {unknown} value */
function summary(value) {
  const size = Object.keys(/** @type {object} */ (value)).length;
  return Array.isArray(value) ? `[${size}]` : `{${size}}`;
}

/** @param {unknown} value */
function leaf(value) {
  if (value === null) return h("span", { class: "json-null" }, "null");
  if (Array.isArray(value)) return h("span", { class: "json-null" }, "[]");
  if (typeof value === "object") return h("span", { class: "json-null" }, "{}");
  if (typeof value !== "string") return h("span", { class: "json-" + typeof value }, String(value));
  if (value.length <= LONG_STRING) return h("span", { class: "json-string" }, visible(JSON.stringify(value)));
  const span = h("span", { class: "json-string" }, visible(JSON.stringify(value.slice(0, LONG_STRING))), " ");
  const more = button({ text: `${value.length.toLocaleString("en-GB")} characters: show all`, class: "tiny" }, () => fill(span, visible(JSON.stringify(value))));
  span.append(more);
  return span;
}
