/** Light, dark, or as the system has it. */

import { button, fill, icon } from "./dom.js";
import { recall, remember } from "./prefs.js";

const THEMES = ["auto", "light", "dark"];

/** @returns {HTMLButtonElement} A button that goes round the three. */
export function themeButton() {
  let theme = recall("theme", "auto");
  const element = button({ icon: "auto", class: "quiet", id: "theme", title: "Theme" }, () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    remember("theme", theme);
    show();
  });
  const show = () => {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    fill(element, icon(theme));
    element.title = "Theme: " + theme;
    element.setAttribute("aria-label", element.title);
    element.dataset.theme = theme;
  };
  show();
  return element;
}
