/**
 * The address of what is shown: #/calls/ID/TAB?q=FILTER, or #/PANEL/... The
 * address is the only memory of it, so a reload and a link show the same.
 */

/** @typedef {{panel: string, id: string, tab: string, rest: string[], q: string}} Place */

/** @returns {Place} */
export function read() {
  const hash = location.hash.replace(/^#\/?/, "");
  const [path, query = ""] = hash.split("?", 2);
  const parts = path.split("/").map(unescapePart).filter((p) => p !== "");
  return {
    panel: parts[0] ?? "calls",
    id: parts[1] ?? "",
    tab: parts[2] ?? "",
    rest: parts.slice(1),
    q: new URLSearchParams(query).get("q") ?? "",
  };
}

/** @param {string} part */
function unescapePart(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/**
 * @param {{panel?: string, id?: string, tab?: string, rest?: string[], q?: string}} place
 * @returns {string}
 */
export function address(place) {
  const panel = place.panel ?? "calls";
  const parts = place.rest ?? [place.id ?? "", place.id ? place.tab ?? "" : ""];
  const path = [panel, ...parts].filter((p) => p !== "").map(encodeURIComponent).join("/");
  return "#/" + path + (place.q ? "?q=" + encodeURIComponent(place.q) : "");
}

/**
 * Goes there. A step that the back button should undo gets an entry of its own.
 *
 * @param {Parameters<typeof address>[0]} place
 * @param {{replace?: boolean}} [how]
 */
export function go(place, how = {}) {
  const target = address(place);
  if (target === location.hash) return;
  if (how.replace) {
    history.replaceState(null, "", target);
    window.dispatchEvent(new HashChangeEvent("hashchange"));
  } else {
    location.hash = target;
  }
}
