import js from "@eslint/js";
import { defineConfig, globalIgnores } from "eslint/config";
import tseslint from "typescript-eslint";

const processEnv = {
  object: "process",
  property: "env",
  message: "Only src/main.ts reads the environment; take what you need from the Config.",
};

export default defineConfig(
  globalIgnores(["gen/", "third_party/", "coverage/", "**/dist/", ".data/"]),
  js.configs.recommended,
  tseslint.configs.recommendedTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      eqeqeq: "error",
      // tsc knows which names exist, in JavaScript files too.
      "no-undef": "off",
      "no-restricted-syntax": [
        "error",
        { selector: "ExportDefaultDeclaration", message: "Export by name." },
        { selector: "ExportAllDeclaration", message: "No barrels: export and import each thing from its own file." },
      ],
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/no-explicit-any": "error",
      "@typescript-eslint/no-floating-promises": "error",
      "@typescript-eslint/no-misused-promises": "error",
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      "@typescript-eslint/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }],
      // A handler is async by its signature, whether or not it waits for anything.
      "@typescript-eslint/require-await": "off",
    },
  },
  {
    files: ["src/**", "client/src/**"],
    rules: {
      "no-console": "error",
      "no-restricted-properties": ["error", processEnv],
      "@typescript-eslint/explicit-module-boundary-types": "error",
    },
  },
  { files: ["src/main.ts"], rules: { "no-console": "off", "no-restricted-properties": "off" } },
  // This rule does not see the casts of JSDoc.
  { files: ["scripts/**", ".ci/**"], rules: { "@typescript-eslint/no-unsafe-assignment": "off" } },
  { files: ["*.config.{js,ts}", ".dependency-cruiser.mjs"], rules: { "no-restricted-syntax": "off" } },
);
