/**
 * Makes elements. Text always becomes a text node, so that nothing that a
 * call carried is ever read as markup.
 */

/** @typedef {Node | string | number | null | undefined | false} Child */
/**
 * @typedef {object} Extra
 * @property {Record<string, (event: any) => void>} [on] Listeners by event.
 * @property {Record<string, string>} [data] data- attributes.
 */
/** @typedef {Extra & Record<string, any>} Props */

/**
 * Makes an element. A prop that is true becomes an empty attribute; one that
 * is false, null or undefined is left out.
 *
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Props | null} [props]
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, /** @type {EventListener} */ (listener));
    } else if (name === "data") {
      Object.assign(element.dataset, value);
    } else if (name === "value") {
      /** @type {any} */ (element).value = value;
    } else {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  append(element, children);
  return element;
}

/**
 * @param {Element | DocumentFragment} parent
 * @param {(Child | Child[])[]} children
 */
export function append(parent, children) {
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    parent.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/**
 * Puts children in place of all that an element held.
 *
 * @param {Element} parent
 * @param {...(Child | Child[])} children
 */
export function fill(parent, ...children) {
  parent.replaceChildren();
  append(parent, children);
}

/**
 * Writes the text of an element if it differs: a write costs layout even if
 * it changes nothing.
 *
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** @type {Record<string, string>} Strokes in a box of 16 by 16. */
const ICONS = {
  pause: "M5.5 3.5v9M10.5 3.5v9",
  play: "M5 3.5l7 4.5-7 4.5z",
  clear: "M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11zM4.2 11.8l7.6-7.6",
  follow: "M8 2.5v8M4.5 7.5L8 11l3.5-3.5M3.5 13.5h9",
  search: "M7 2.8a4.2 4.2 0 1 0 0 8.4 4.2 4.2 0 0 0 0-8.4zM10.2 10.2l3.3 3.3",
  close: "M4 4l8 8M12 4l-8 8",
  copy: "M5.5 5.5v-3h8v8h-3M2.5 5.5h8v8h-8z",
  replay: "M3 8a5 5 0 1 0 1.6-3.7L3 5.8M3 2.8v3h3",
  edit: "M3 13l.7-3L11 2.7 13.3 5 6 12.3z",
  pin: "M8 9.5V14M5 2.5h6M6 2.5v4L4 9.5h8l-2-3v-4",
  export: "M8 10V2.5M5 5l3-3 3 3M3 9.5v4h10v-4",
  columns: "M2.5 3.5h11v9h-11zM6.2 3.5v9M9.8 3.5v9",
  auto: "M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11zM8 2.5v11M8 5h4M8 8h5.3M8 11h4",
  light: "M8 5.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6zM8 1.5v1.6M8 12.9v1.6M1.5 8h1.6M12.9 8h1.6M3.4 3.4l1.1 1.1M11.5 11.5l1.1 1.1M3.4 12.6l1.1-1.1M11.5 4.5l1.1-1.1",
  dark: "M13.2 9.6A5.6 5.6 0 0 1 6.4 2.8a5.6 5.6 0 1 0 6.8 6.8z",
  help: "M6 6a2 2 0 1 1 2.8 1.9c-.6.3-.8.7-.8 1.4M8 11.6v.4M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8z",
  chevron: "M6 4l4 4-4 4",
  down: "M4 6l4 4 4-4",
  send: "M2.5 8L13.5 3l-3 10.5-2.7-4.3zM7.8 9.2l5.7-6.2",
  eye: "M1.8 8S4 3.8 8 3.8 14.2 8 14.2 8 12 12.2 8 12.2 1.8 8 1.8 8zM8 6.2a1.8 1.8 0 1 0 0 3.6 1.8 1.8 0 0 0 0-3.6z",
  warn: "M8 2.2L14.4 13H1.6zM8 6.5v3M8 11.2v.3",
};

/**
 * @param {string} name One of ICONS.
 * @returns {SVGSVGElement}
 */
export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = /** @type {SVGSVGElement} */ (document.createElementNS(space, "svg"));
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", ICONS[name] ?? "");
  svg.append(path);
  return svg;
}

/**
 * A button that shows an icon, a word or both.
 *
 * @param {{icon?: string, text?: string, label?: string, title?: string, class?: string, id?: string, data?: Record<string, string>, disabled?: boolean}} look
 * @param {(event: MouseEvent) => void} act
 * @returns {HTMLButtonElement}
 */
export function button(look, act) {
  return h("button", {
    type: "button",
    class: "button " + (look.class ?? ""),
    id: look.id,
    title: look.title,
    "aria-label": look.label ?? (look.text ? undefined : look.title),
    data: look.data ?? {},
    disabled: look.disabled,
    on: { click: act },
  }, look.icon ? icon(look.icon) : null, look.text ? h("span", null, look.text) : null);
}
