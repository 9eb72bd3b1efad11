/** Comparisons of numbers: durations, sizes and counts. */

/** @typedef {{text: string, test: (value: number) => boolean}} Comparison */
/** @typedef {{what: string, units: Record<string, [string, number]>, hint: string}} Measure */

/** @type {Measure} In microseconds. */
export const DURATION = {
  what: "a duration with a unit",
  units: {
    us: ["us", 1], "µs": ["us", 1], "μs": ["us", 1], ms: ["ms", 1e3], s: ["s", 1e6], m: ["m", 6e7], h: ["h", 3.6e9],
  },
  hint: "such as >50ms, <=1.5s or 10ms..2s",
};

/** @type {Measure} In bytes. */
export const SIZE = {
  what: "a size",
  units: {
    "": ["", 1], b: ["", 1], k: ["kB", 1e3], kb: ["kB", 1e3], m: ["MB", 1e6], mb: ["MB", 1e6], g: ["GB", 1e9], gb: ["GB", 1e9],
    kib: ["KiB", 1024], mib: ["MiB", 1048576], gib: ["GiB", 1073741824],
  },
  hint: "such as >64KiB, <10k or 1kB..1MB",
};

/** @type {Measure} */
export const COUNT = {
  what: "a number",
  units: { "": ["", 1], k: ["k", 1e3], m: ["M", 1e6] },
  hint: "such as >100, 10k or 2..5",
};

const OPERATOR = /^(?:>=|<=|>|<|=)/;
const NUMBER = /^(\d{1,15}(?:\.\d{1,6})?)(\D*)$/;

/**
 * @param {string} text Folded.
 * @returns {{operator: string, first: string, second: string}} second belongs to the operator "..".
 */
export function operands(text) {
  const operator = OPERATOR.exec(text)?.[0] ?? "";
  const rest = text.slice(operator.length);
  const dots = operator === "" ? rest.indexOf("..") : -1;
  if (dots < 0) return { operator: operator === "" ? "=" : operator, first: rest, second: "" };
  return { operator: "..", first: rest.slice(0, dots), second: rest.slice(dots + 2) };
}

/**
 * @param {string} text Folded.
 * @param {Measure} measure
 * @returns {Comparison | string} What is wrong with it, if it is none.
 */
export function comparison(text, measure) {
  const { operator, first, second } = operands(text);
  const a = quantity(first, measure);
  if (a === null) return "this is not " + measure.what;
  if (operator !== "..") return { text: (operator === "=" ? "" : operator) + a.text, test: TESTS[operator](a.value) };
  const b = quantity(second, measure);
  if (b === null) return "this is not " + measure.what;
  if (b.value < a.value) return "the range ends before it begins";
  return { text: a.text + ".." + b.text, test: (value) => value >= a.value && value <= b.value };
}

/** @type {Record<string, (than: number) => (value: number) => boolean>} */
const TESTS = {
  "=": (than) => (value) => value === than,
  ">": (than) => (value) => value > than,
  "<": (than) => (value) => value < than,
  ">=": (than) => (value) => value >= than,
  "<=": (than) => (value) => value <= than,
};

/**
 * @param {string} text
 * @param {Measure} measure
 * @returns {{text: string, value: number} | null}
 */
function quantity(text, measure) {
  const parts = NUMBER.exec(text);
  if (parts === null) return null;
  const number = Number(parts[1]);
  if (parts[2] === "" && number === 0) return { text: "0", value: 0 };
  if (!Object.hasOwn(measure.units, parts[2])) return null;
  const [unit, factor] = measure.units[parts[2]];
  return { text: parts[1] + unit, value: number * factor };
}
