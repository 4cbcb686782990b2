/** Bundles the programs into dist/: few files load faster than many. koffi stays outside, it holds native code. */
import { builtinModules } from "node:module";
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

/**
 * Node's own modules, had as objects. To `import` one reads all that it exports (syncExports in lib/internal/bootstrap/realm.js),
 * which loads what the getters among them put off: by http the whole of undici, by fs streams, promises and readline.
 */
const builtinsAsObjects: Plugin = {
  name: "builtins-as-objects",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^[a-z]/ }, ({ path }) => {
      const name = path.replace(/^node:/, "");
      return builtinModules.includes(name) ? { path: name, namespace: "builtin" } : undefined;
    });
    onLoad({ filter: /.*/, namespace: "builtin" }, ({ path }) => ({
      contents: `module.exports = process.getBuiltinModule("node:${path}");`,
      loader: "js",
    }));
  },
};

/** dbus-native parses XML for introspection, which we never ask for. */
const withoutIntrospection: Plugin = {
  name: "without-introspection",
  setup({ onLoad }) {
    onLoad({ filter: /xml2js\/lib\/xml2js\.js$/ }, () => ({
      contents: 'throw new Error("introspection is left out of this build");',
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
  plugins: [englishOnly, builtinsAsObjects, withoutIntrospection],
  logLevel: "warning",
});
