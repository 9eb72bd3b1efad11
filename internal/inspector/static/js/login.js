/** Asks for the token where the cookie is missing or no longer good. */

import { button, fill, h } from "./dom.js";
import { post, sentence } from "./api.js";
import { openDialog } from "./dialog.js";

/**
 * @param {() => void} done Called once loomd has taken the token.
 */
export function login(done) {
  if (document.getElementById("login-dialog")) return;
  const token = h("input", { type: "password", class: "field mono", id: "token", autocomplete: "off", required: true, "aria-describedby": "login-error" });
  const error = h("p", { class: "login-error", id: "login-error", role: "alert" });
  const submit = button({ text: "Sign in", class: "primary", id: "login" }, () => form.requestSubmit());
  const form = h("form", {
    on: {
      submit: async (/** @type {Event} */ event) => {
        event.preventDefault();
        submit.disabled = true;
        try {
          await post("/api/login", { token: token.value.trim() });
          dialog.close();
          done();
        } catch (problem) {
          fill(error, sentence(problem));
          token.select();
        }
        submit.disabled = false;
      },
    },
  },
  h("p", null, "loomd shows captured calls only to those who have its token. It prints a link with the token when it starts; the token alone does here."),
  h("label", { class: "labelled column" }, h("span", null, "Token"), token), error);
  const dialog = openDialog("login-dialog", "Sign in to loomd", [form], [submit], { locked: true });
  token.focus();
}
