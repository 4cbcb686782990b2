/** Bundles the programs into dist/: few files load faster than many. koffi stays outside, it holds native code. */
import { build, type Plugin } from "esbuild";
import { BUNDLES } from "./bundles.ts";

/** zod's messages in fifty languages would be a quarter of each program, read at every start. */
const englishOnly: Plugin = {
  name: "english-only",
  setup({ onLoad }) {
    onLoad({ filter: /zod\/v4\/locales\/index\.js$/ }, () => ({
      contents: 'export { default as en } from "./en.js";',
      loader: "js",
    }));
  },
};

await build({
  entryPoints: BUNDLES,
  outdir: "dist",
  outExtension: { ".js": ".mjs" },
  bundle: true,
  platform: "node",
  target: "node22",
  format: "esm",
  external: ["koffi"],
  // The text of a program stays in memory as long as it runs; names are kept for the stack traces of bugs.
  minifyWhitespace: true,
  minifySyntax: true,
  sourcemap: "linked",
  // CommonJS packages inside an ES module need a require of their own.
  banner: {
    js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);',
  },
  plugins: [englishOnly],
  logLevel: "warning",
});
