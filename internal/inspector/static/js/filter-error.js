/** Says where a text is no filter. */

/** FilterError is what parse throws. */
export class FilterError extends Error {
  /**
   * @param {string} text The filter.
   * @param {number} index Where in it, in UTF-16 units.
   * @param {string} message
   * @param {string} hint What would mend it; "" if nothing is known.
   */
  constructor(text, index, message, hint) {
    super(message);
    this.name = "FilterError";
    this.hint = hint;
    /** For a caret in the text. */
    this.index = index;
    /** In bytes of UTF-8, as loomd counts. */
    this.offset = new TextEncoder().encode(text.slice(0, index)).length;
  }
}
