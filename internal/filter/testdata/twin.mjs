// Runs the twin of package filter beside this file. Reads {rows, filters} from
// standard input and writes what becomes of each filter: its canonical text,
// its needs and a digit for each row, or its error. With measure it times the
// first filter over all rows instead, with edits it adds and excludes terms.
import { readFileSync } from "node:fs";
import { FilterError, KEYS, addTerm, excludeTerm, parse, tokens } from "./filter.js";

const input = JSON.parse(readFileSync(0, "utf8"));

function extra(row) {
  return {
    pinned: row.pinned,
    metadata: row.metadata && ((name) => row.metadata[name] ?? []),
    body: row.body && (() => row.body),
  };
}

function judge(text, rows) {
  // Colours must not depend on whether a text is a filter.
  if (tokens(text).map((t) => t.text).join("") !== text) throw new Error("the tokens of " + text + " are another text");
  try {
    const filter = parse(text);
    return { text: filter.text, needs: filter.needs, rows: rows.map(([call, x]) => (filter.match(call, x) ? "1" : "0")).join("") };
  } catch (error) {
    if (!(error instanceof FilterError)) throw error;
    return { error: { offset: error.offset, message: error.message, hint: error.hint } };
  }
}

function measure(text, rows) {
  const filter = parse(text);
  let best = Infinity;
  let matches = 0;
  for (let round = 0; round < 50; round++) {
    const begin = performance.now();
    matches = 0;
    for (const [call, x] of rows) if (filter.match(call, x)) matches++;
    best = Math.min(best, performance.now() - begin);
  }
  return { millis: best, matches };
}

const rows = (input.rows ?? []).map((row) => [row.call, extra(row)]);
let answer;
if (input.edits) {
  answer = input.edits.map(({ text, key, value, exclude }) => (exclude ? excludeTerm : addTerm)(text, key, value));
} else if (input.measure) {
  answer = measure(input.filters[0], rows);
} else {
  answer = { keys: KEYS.map((k) => k.key), filters: input.filters.map((text) => judge(text, rows)) };
}
process.stdout.write(JSON.stringify(answer));
