//! Handlers on disk, bundled; what runs of them is tested where the runtime is.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;

use crate::{Bundle, BundleError, BundleErrorKind, bundle};

/// Writes the files and bundles the first of them.
fn bundled(files: &[(&str, &str)]) -> Result<Bundle, BundleError> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    bundle(&folder.path().join(files[0].0))
}

fn names(bundle: &Bundle) -> Vec<String> {
    bundle.inputs.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
}

/// The body of the file of that name.
fn body<'b>(bundle: &'b Bundle, name: &str) -> &'b str {
    let start = bundle.source.find(&format!("$loader.define(\"{name}\"")).unwrap();
    let body = &bundle.source[start..];
    let next = ["\n$loader.define(", "\nmodule.exports = $loader"].iter().filter_map(|end| body.find(end)).min();
    &body[..next.unwrap()]
}

#[test]
fn all_that_is_imported_by_a_literal_name_is_in_the_bundle() {
    let made = bundled(&[
        ("handler.mjs", "import a from './a.js';\nimport { readFileSync } from 'node:fs';\nexport const handler = async () => [a, await import('./later.mjs')];"),
        ("a.js", "const data = require('./data.json'); module.exports = require('pkg') + data.n;"),
        ("later.mjs", "export * from './deep/index.cjs';"),
        ("deep/index.cjs", "exports.x = 1;"),
        ("data.json", "{\"n\": 1}"),
        ("node_modules/pkg/package.json", "{\"exports\": {\"import\": \"./wrong.mjs\", \"require\": \"./right.cjs\"}}"),
        ("node_modules/pkg/right.cjs", "module.exports = 1;"),
    ])
    .unwrap();
    assert_eq!(names(&made), ["handler.mjs", "a.js", "later.mjs", "data.json", "right.cjs", "index.cjs"]);
    assert!(made.source.contains("module.exports = $loader.run();\n//# wasmill-positions {"), "{}", made.source);
}

#[test]
fn an_import_is_a_call_and_keeps_its_binding_live() {
    let made = bundled(&[
        ("h.mjs", "import d, * as all from './o.mjs';\nimport { n as renamed } from './o.mjs';\nexport const handler = () => ({ d, all, renamed, call: renamed() });"),
        ("o.mjs", "export default 1; export function n() {}"),
    ])
    .unwrap();
    let body = body(&made, "h.mjs");
    assert!(!body.contains("await "), "{body}");
    for wanted in [
        "importedNames: [\"default\"]",
        "(0, __vite_ssr_import_",
        ".n)()",
        "Object.defineProperty(__vite_ssr_exports__, \"handler\"",
        "\"use strict\";",
    ] {
        assert!(body.contains(wanted), "{wanted} in {body}");
    }
}

#[test]
fn types_are_stripped_and_a_js_specifier_finds_its_typescript() {
    let made = bundled(&[
        ("h.ts", "import type { T } from './types';\nimport { E } from './e.js';\nexport const handler = (e: T): number => E.B satisfies number;"),
        ("e.ts", "export enum E { A, B }"),
    ])
    .unwrap();
    assert_eq!(names(&made), ["h.ts", "e.ts"]);
    assert!(!body(&made, "h.ts").contains("satisfies"));
}

#[test]
fn a_js_file_is_what_its_package_says_and_else_what_it_looks_like() {
    let esm = bundled(&[("h.js", "export const handler = 1;")]).unwrap();
    let typed = bundled(&[("h.js", "globalThis.x = 1;"), ("package.json", "{\"type\":\"module\"}")]).unwrap();
    let cjs = bundled(&[("h.js", "if (true) return; exports.handler = 1;")]);
    assert!(esm.source.contains("define(\"h.js\", true, false"));
    assert!(typed.source.contains("define(\"h.js\", true, true"));
    assert!(cjs.is_ok() || cjs.is_err_and(|error| error.kind == BundleErrorKind::Syntax));
    let cjs = bundled(&[("h.cjs", "if (true) return; exports.handler = 1;")]).unwrap();
    assert!(cjs.source.contains("define(\"h.cjs\", false, false"));
}

/// The files, and what is said of them.
type Mistake<'t> = (&'t [(&'t str, &'t str)], BundleErrorKind, &'t str);

#[test]
fn what_is_wrong_is_said_with_its_place_and_the_mend() {
    let cases: &[Mistake] = &[
        (&[("h.mjs", "export const a = 1;\nconst b = ;\n")], BundleErrorKind::Syntax, "h.mjs:2:11: Unexpected token"),
        (
            &[("h.mjs", "\nimport x from './gone.mjs';")],
            BundleErrorKind::Import,
            "h.mjs:2:15: Cannot find module './gone.mjs'; name an existing file",
        ),
        (
            &[("h.mjs", "import x from 'gone';")],
            BundleErrorKind::Import,
            "h.mjs:1:15: Cannot find module 'gone'; install the package beside the handler",
        ),
        (
            &[("h.mjs", "const x = 1;\nexport const y = await x;")],
            BundleErrorKind::Syntax,
            "h.mjs:2:18: await at the top level of a module is not supported; move it into the handler, or into an async function that the handler awaits",
        ),
        (&[("h.cjs", "require('./x.json')"), ("x.json", "{\n  oops")], BundleErrorKind::Syntax, "x.json:2:3: not JSON"),
        (
            &[("h.cjs", "require('./x.node')"), ("x.node", "")],
            BundleErrorKind::Syntax,
            "x.node: a .node file cannot be loaded",
        ),
    ];
    for (files, kind, text) in cases {
        let error = bundled(files).unwrap_err();
        assert!(error.to_string().starts_with(text), "{error}");
        assert_eq!(error.kind, *kind);
    }
    let error = bundle(Path::new("/nowhere/handler.mjs")).unwrap_err();
    assert_eq!(error.to_string(), "/nowhere/handler.mjs: no such file; name the handler's file");
}

#[test]
fn what_is_only_required_may_be_missing_until_it_is_called() {
    let made = bundled(&[("h.cjs", "try { require('optional') } catch {}\nexports.handler = 1;")]).unwrap();
    assert!(made.source.contains("{\"optional\":null}"));
}

#[test]
fn what_somebody_sent_takes_nothing_from_outside_of_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("package");
    fs::create_dir_all(root.join("src")).unwrap();
    fs::write(folder.path().join("secret.json"), "{}").unwrap();
    fs::write(root.join("shared.js"), "module.exports = 1;").unwrap();
    let entry = root.join("src/index.mjs");
    for (text, refused) in [
        ("import '../shared.js'; export const handler = 1;", false),
        ("import '../../secret.json'; export const handler = 1;", true),
        ("export const handler = () => require('../../secret.json');", true),
    ] {
        fs::write(&entry, text).unwrap();
        assert!(bundle(&entry).is_ok(), "{text}");
        let within = crate::bundle_within(&root, &entry);
        match within {
            Err(error) => assert!(refused && error.to_string().contains("outside of the package"), "{text}: {error}"),
            Ok(bundle) => assert!(!refused || !names(&bundle).iter().any(|name| name.contains("secret")), "{text}"),
        }
    }
}

#[test]
fn a_file_that_is_too_big_is_refused() {
    let big = format!("//{}\n", "x".repeat(usize::try_from(crate::FILE_BYTES_MAX).unwrap()));
    let error = bundled(&[("h.mjs", &big)]).unwrap_err();
    assert_eq!(error.kind, BundleErrorKind::Unreadable);
}

#[test]
fn the_table_leads_from_the_texts_lines_to_the_users() {
    let made = bundled(&[(
        "h.mjs",
        "// a comment\n\nexport const handler = async () => {\n\n  throw new Error('here');\n};\n",
    )])
    .unwrap();
    let table = made.source.lines().last().unwrap().strip_prefix("//# wasmill-positions ").unwrap();
    let table: serde_json::Value = serde_json::from_str(table).unwrap();
    let first = table["files"][0]["first"].as_u64().unwrap();
    let line = made.source.lines().position(|line| line.contains("throw new Error")).unwrap() as u64;
    let points = table["files"][0]["lines"][usize::try_from(line - first).unwrap()].as_array().unwrap();
    assert_eq!((points[1].as_u64(), points[2].as_u64()), (Some(4), Some(2)), "{points:?}");
}
