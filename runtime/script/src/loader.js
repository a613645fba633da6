// The module loader at the head of every bundle: Node.js's two module systems over functions.
// The names beginning with `__vite_ssr_` are those that oxc's module transform writes.
var $loader = (function (builtin) {
  const modules = [];
  // What `createRequire(import.meta.url)` of node:module gives: the require of that file.
  const requires = (globalThis[Symbol.for("wasmill.requires")] = new Map());

  function define(name, esm, strict, deps, run) {
    const filename = name.startsWith("../") ? name.replace(/^(\.\.\/)+/, "/") : "/app/" + name;
    const id = modules.length;
    modules.push({ id, filename, esm, strict, deps, run, state: "new", module: { exports: {}, id: filename, filename, loaded: false, children: [], paths: [] }, space: undefined });
    requires.set(filename, (specifier) => need(modules[id], specifier));
  }

  function missing(from, specifier, cause) {
    const error = new Error(`Cannot find module '${specifier}'\nRequire stack:\n- ${from.filename}`, cause && { cause });
    error.code = "MODULE_NOT_FOUND";
    error.requireStack = [from.filename];
    return error;
  }

  // Runs a module once; gives its `module.exports`, or for an ES module its namespace.
  function load(me) {
    if (me.state !== "new") return me.esm ? me.space : me.module.exports;
    me.state = "running";
    try {
      if (me.esm) {
        me.space = Object.defineProperty(Object.create(null), Symbol.toStringTag, { value: "Module" });
        runModule(me);
      } else {
        runScript(me);
      }
      me.state = "done";
      me.module.loaded = true;
    } catch (error) {
      me.state = "new";
      me.space = undefined;
      me.module.exports = {};
      throw error;
    }
    return me.esm ? me.space : me.module.exports;
  }

  function runScript(me) {
    const require = (specifier) => need(me, specifier);
    require.resolve = (specifier) => {
      const to = me.deps[specifier];
      if (to === undefined || to === null) throw missing(me, specifier);
      return modules[to].filename;
    };
    require.cache = {};
    me.module.require = require;
    const folder = me.filename.slice(0, me.filename.lastIndexOf("/")) || "/";
    me.run.call(me.module.exports, me.module, me.module.exports, require, me.filename, folder, undefined, later(me));
  }

  function runModule(me) {
    const folder = me.filename.slice(0, me.filename.lastIndexOf("/")) || "/";
    const meta = { url: "file://" + me.filename, filename: me.filename, dirname: folder, resolve: (specifier) => specifier };
    const exportAll = (from) => {
      for (const key of Object.keys(from)) {
        if (key === "default" || Object.hasOwn(me.space, key)) continue;
        Object.defineProperty(me.space, key, { enumerable: true, configurable: true, get: () => from[key] });
      }
    };
    // require, module and exports are not there in an ES module.
    me.run.call(undefined, undefined, undefined, undefined, me.filename, folder, (specifier, wants) => take(me, specifier, wants), later(me), me.space, exportAll, meta);
  }

  const later = (me) => async (specifier) => take(me, String(specifier));

  function need(me, specifier) {
    const to = me.deps[specifier];
    if (to === undefined) return builtin(specifier, me.filename);
    if (to === null) throw missing(me, specifier);
    const from = modules[to];
    const exports = load(from);
    if (!from.esm || !("default" in exports) || "__esModule" in exports) return exports;
    // As Node.js's require of an ES module: what was compiled from one finds the default where it looks for it.
    return Object.defineProperty(Object.create(exports), "__esModule", { value: true });
  }

  function take(me, specifier, wants) {
    const to = me.deps[specifier];
    if (to === null) throw Object.assign(new Error(`Cannot find package '${specifier}' imported from ${me.filename}`), { code: "ERR_MODULE_NOT_FOUND" });
    const from = to === undefined ? undefined : modules[to];
    const circular = from?.state === "running";
    const space = from === undefined ? asSpace(builtin(specifier, me.filename), true) : from.esm ? load(from) : scriptSpace(me, from);
    for (const name of wants?.importedNames ?? []) {
      if (circular || name in space || !(me.strict || from?.esm)) continue;
      throw new SyntaxError(`The requested module '${specifier}' does not provide an export named '${name}'`);
    }
    return space;
  }

  function scriptSpace(me, from) {
    const exports = load(from);
    if (from.state === "running") return asSpace(exports, me.strict);
    const key = me.strict ? "strictSpace" : "looseSpace";
    return (from[key] ??= asSpace(exports, me.strict));
  }

  // The namespace of a CommonJS module: `default` is its `module.exports`. Loose importers, compiled as TypeScript and
  // bundlers do, find the default that an ES module compiled to CommonJS had.
  function asSpace(exports, strict) {
    const type = typeof exports;
    if (exports === null || (type !== "object" && type !== "function")) return { default: exports };
    if (!strict && exports.__esModule) return exports;
    const known = (key) => key === "default" || key in exports;
    return new Proxy(Object.create(null), {
      get: (_, key) => (key === "default" ? exports : exports[key]),
      has: (_, key) => known(key),
      ownKeys: () => [...new Set(["default", ...Object.keys(exports)])],
      getOwnPropertyDescriptor: (_, key) =>
        known(key) ? { configurable: true, enumerable: true, value: key === "default" ? exports : exports[key] } : undefined,
    });
  }

  return { define, run: () => load(modules[0]) };
})(require);
