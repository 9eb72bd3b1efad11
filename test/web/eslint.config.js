// What tsc does not see: habits that go wrong later, and the ways by which
// text of a call could become markup.
import globals from "globals";

const markup = "A call's text must stay text: use the functions of dom.js.";

export default [
  {
    files: ["**/*.js"],
    linterOptions: { reportUnusedDisableDirectives: "error" },
    languageOptions: { ecmaVersion: 2025, sourceType: "module", globals: globals.browser },
    rules: {
      "no-undef": "error",
      "no-unused-vars": "error",
      "no-var": "error",
      "prefer-const": "error",
      "eqeqeq": "error",
      "no-implicit-globals": "error",
      "no-console": "error",
      "no-debugger": "error",
      "no-eval": "error",
      "no-new-func": "error",
      "no-script-url": "error",
      "no-self-compare": "error",
      "no-unreachable-loop": "error",
      "no-fallthrough": "error",
      "no-dupe-keys": "error",
      "no-unsafe-finally": "error",
      "no-constant-condition": "error",
      "no-promise-executor-return": "error",
      "no-warning-comments": "error",
      "max-lines": ["error", 300],
      "no-restricted-properties": ["error",
        { property: "innerHTML", message: markup }, { property: "outerHTML", message: markup },
        { property: "insertAdjacentHTML", message: markup }, { property: "setHTMLUnsafe", message: markup },
        { object: "document", property: "write", message: markup }],
    },
  },
];
