/** The dialog that sends a recorded call again, as it was or edited. */

import { button, fill, h } from "./dom.js";
import { callPath, get, post, sentence } from "./api.js";
import { micros, num, plural } from "./format.js";
import { RequestForm } from "./requestform.js";
import { showFailure, showResult } from "./result.js";
import { openDialog } from "./dialog.js";
import { note } from "./decoded.js";

/** @typedef {import("./types.js").Detail} Detail */

/** More messages than these are not edited by hand. */
const EDITABLE = 100;

/** Set by loom or by HTTP/2 itself, so not the user's to give. */
const OWN = new Set(["te", "content-type", "user-agent", "grpc-timeout", "grpc-encoding", "grpc-accept-encoding", "loom-replay-of", "loom-inspector-call"]);

/**
 * @param {Detail} detail
 * @param {boolean} edit Whether the messages are opened for editing at once.
 */
export function replayDialog(detail, edit) {
  const { call, view } = detail;
  const total = num(call.request?.messages);
  const form = new RequestForm({
    backend: call.backend ?? "", path: call.path ?? "", deadlineMs: Math.round(micros(call.timeout) / 1000), timing: total > 1,
    pairs: (view.metadata?.request ?? []).filter((f) => !f.name.startsWith(":") && !OWN.has(f.name))
      .map((f) => (f.secret || f.redacted ? { name: f.name, text: "", note: "left out; type it again to send it" } : { name: f.name, text: f.value })),
  });
  let edited = false;
  const result = h("div", { class: "result-box", "aria-live": "polite" });
  const send = button({ icon: "send", text: "Send", class: "primary", id: "send" }, async () => {
    send.disabled = true;
    send.classList.add("busy");
    fill(result);
    try {
      showResult(result, await post(callPath(call.id) + "/replay", form.body(edited)), true);
    } catch (error) {
      showFailure(result, error, form.editor);
    }
    send.disabled = false;
    send.classList.remove("busy");
    // A button that is disabled loses the focus.
    send.focus();
    result.scrollIntoView({ block: "nearest" });
  });
  const beginEdit = async () => {
    form.instead(h("p", { class: "loading" }, "Loading…"));
    try {
      const answer = await get(`${callPath(call.id)}/messages?dir=request&from=1&count=${EDITABLE}&full=1`);
      form.editor.set((answer.messages ?? []).map((/** @type {import("./types.js").Decoded} */ m) => m.json ?? {}));
      form.edit();
      edited = true;
      form.editor.areas[0]?.focus();
      form.editor.check();
    } catch (error) {
      form.instead(note("error", sentence(error)));
    }
  };
  const asRecorded = () => {
    const tooMany = total > EDITABLE;
    form.instead(h("div", { class: "form-row" }, h("span", null, total === 0 ? "No message, as recorded" : plural(total, "message") + ", the recorded bytes"),
      button({ icon: "edit", text: "Edit", id: "edit-messages", disabled: tooMany, title: tooMany ? `More than ${EDITABLE} messages are not edited by hand` : "Edit as JSON" }, beginEdit)));
  };
  const dialog = openDialog("replay-dialog", "Replay " + (call.path ?? ""), [form.element, result], [send]);
  if (edit && total <= EDITABLE) beginEdit();
  else asRecorded();
  result.addEventListener("click", (event) => {
    if (/** @type {Element} */ (event.target).closest("a")) dialog.close();
  });
  if (!edit) send.focus();
}
