/** Speaks with loomd. Every failure is an ApiError with a sentence to show. */

export class ApiError extends Error {
  /**
   * @param {number} status 0 if loomd did not answer at all.
   * @param {string} message
   * @param {{path: string, message: string}[]} [fields] What is wrong where, of a body that loomd refused.
   */
  constructor(status, message, fields = []) {
    super(message);
    this.status = status;
    this.fields = fields;
  }
}

/** Tells whoever listens that the cookie is missing or no longer good. */
export const locked = new EventTarget();

/**
 * @param {string} path
 * @param {RequestInit} [init]
 * @returns {Promise<any>} The JSON of the answer; null if there is none.
 */
async function ask(path, init) {
  let answer;
  try {
    answer = await fetch(path, { credentials: "same-origin", cache: "no-store", ...init });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, "loomd does not answer");
  }
  if (answer.status === 401) locked.dispatchEvent(new Event("locked"));
  if (!answer.ok) {
    const body = await answer.json().catch(() => ({}));
    throw new ApiError(answer.status, body.error ?? "loomd answered " + answer.status, body.fields ?? []);
  }
  return answer.status === 204 ? null : answer.json();
}

/**
 * @param {string} path
 * @param {AbortSignal} [signal]
 */
export function get(path, signal) {
  return ask(path, { signal });
}

/**
 * @param {string} path
 * @param {unknown} [body]
 */
export function post(path, body = {}) {
  return ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
}

/** @param {string} id */
export function callPath(id) {
  return "/api/calls/" + encodeURIComponent(id);
}

/**
 * @param {unknown} error
 * @returns {string} A sentence to show.
 */
export function sentence(error) {
  return error instanceof Error ? error.message : String(error);
}
