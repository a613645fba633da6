//! What is refused at load, with which words.

use wasmill_sandbox::{Code, FunctionSpec, LoadError};

use crate::support::{House, lines, spec};
use crate::wat::{component, interpreter, json, json_of_type, module};

fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{message}\nshould say: {part}");
    }
}

#[test]
fn a_core_module_without_start_is_told_how_to_become_a_component() {
    let house = House::new();
    let message = house.refuse(module("lib", r#"(memory (export "memory") 1) (func (export "handle"))"#));
    assert_says(&message, &["lib.wasm: is no handler", "`memory`, `handle`", "`_start`", "wasm-tools component new"]);
    let message = house.refuse(module("odd", r#"(func (export "_start") (param i32))"#));
    assert_says(&message, &["`_start` takes or gives values"]);
    let no_memory = r#"(import "wasi_snapshot_preview1" "proc_exit" (func (param i32))) (func (export "_start"))"#;
    assert_says(&house.refuse(module("blind", no_memory)), &["does not export its `memory`"]);
}

#[test]
fn an_unknown_import_is_named_with_a_hint() {
    let house = House::new();
    let start = r#"(func (export "_start"))"#;
    let message = house.refuse(module("js", &format!(r#"(import "env" "now" (func)) {start}"#)));
    assert_says(&message, &["js.wasm: imports `env::now`", "built for another host"]);
    let message = house.refuse(module("wbg", &format!(r#"(import "wbg" "__wbindgen_throw" (func)) {start}"#)));
    assert_says(&message, &["`wbg::__wbindgen_throw`", "browser"]);

    let http = r#"(import "wasi:http/outgoing-handler@0.2.0" (instance (export "handle" (func))))"#;
    let run = r#"(component $c (import "run" (func $f (result (result)))) (export "run" (func $f)))
      (core module $m (func (export "run") (result i32) unreachable))
      (core instance $m (instantiate $m))
      (func $run (result (result)) (canon lift (core func $m "run")))
      (instance $i (instantiate $c (with "run" (func $run))))
      (export "wasi:cli/run@0.2.3" (instance $i))"#;
    let message = house.refuse(component("http", &format!("{http} {run}")));
    assert_says(
        &message,
        &[
            "http.wasm: imports `wasi:http/outgoing-handler@0.2.0`",
            "a handler may import 0.2's types and outgoing-handler",
        ],
    );
    let own = r#"(import "acme:db/query@1.0.0" (instance (export "get" (func))))"#;
    let message = house.refuse(component("db", &format!("{own} {run}")));
    assert_says(&message, &["imports `acme:db/query@1.0.0`", "may import WASI 0.2"]);
    let future = r#"(import "wasi:cli/environment@0.3.0" (instance (export "get" (func))))"#;
    let message = house.refuse(component("p3", &format!("{future} {run}")));
    assert_says(&message, &["`wasi:cli/environment@0.3.0`", "WASI 0.3 is not yet supported"]);
    let odd = r#"(import "wasi:cli/environment@0.2.0" (instance (export "get-environment" (func (result u8)))))"#;
    let message = house.refuse(component("odd", &format!("{odd} {run}")));
    assert_says(&message, &["`wasi:cli/environment@0.2.0`", "type mismatch"]);
}

#[test]
fn a_list_of_something_else_is_no_list_of_messages() {
    let house = House::new();
    let core = "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i64 i32 i32 i32 i32)";
    let params = r#"(param "messages" (list string)) (param "ctx" $context)"#;
    let message = house.refuse(json_of_type("typed", false, params, core));
    assert_says(&message, &["`handle` has the type func(list<string>, record", "message-handler"]);
    let message = house.refuse(json_of_type("typed-async", true, params, core));
    assert_says(&message, &["has the type async func(list<string>"]);
}

#[test]
fn an_interpreter_without_the_users_code_is_refused() {
    let house = House::new();
    let script = r#"(import "wasmill:handler/script@0.1.0" (instance (export "source" (func (result string)))))"#;
    let message = house.refuse(interpreter("js", script));
    assert_says(&message, &["imports `wasmill:handler/script@0.1.0`", "it is an interpreter", "runtime = \"js\""]);
}

#[test]
fn a_component_with_something_else_is_told_what_it_has_and_what_was_expected() {
    let house = House::new();
    let message = house.refuse(json_of_type("lone", false, r#"(param "event" string)"#, "(param i32 i32)"));
    assert_says(&message, &["`handle` has the type func(string) -> result<string, string>", "lambda-handler"]);
    assert_says(&house.refuse(component("nothing", "")), &["it exports nothing", "wasi:cli/run@0.2"]);
    let other = r#"(core module $m (func (export "f"))) (core instance $m (instantiate $m))
      (func $f (canon lift (core func $m "f"))) (export "init" (func $f))"#;
    assert_says(&house.refuse(component("other", other)), &["it exports `init`"]);
}

#[test]
fn types_that_explode_when_written_out_do_not_explode_here() {
    let house = House::new();
    let mut types = String::from("(type $t0 (tuple string string))");
    for level in 1..=5 {
        let inner = (0..8).map(|_| format!("$t{}", level - 1)).collect::<Vec<_>>().join(" ");
        types.push_str(&format!("(type $t{level} (tuple {inner}))"));
    }
    let code = component(
        "bomb",
        &format!(
            r#"{types}
      (core module $libc (memory (export "memory") 1)
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable)
        (func (export "handle") (param i32)))
      (core instance $libc (instantiate $libc))
      (func $handle (param "x" $t5) (canon lift (core func $libc "handle") (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
      (export "handle" (func $handle))"#
        ),
    );
    let message = house.refuse(code);
    assert!(message.len() < 4096, "{} bytes", message.len());
    assert_says(&message, &["…"]);
}

#[test]
fn a_module_that_begins_larger_than_its_function_may_be_is_refused() {
    let house = House::new();
    let big = module("big", r#"(memory (export "memory") 320) (func (export "_start"))"#);
    let message = house.refuse(big.clone());
    assert_eq!(message, "big.wasm: begins with 20 MiB of memory and the function may have 16; raise its memory_size");
    house.sandbox.load(FunctionSpec { memory_mib: 20, ..spec(big) }).unwrap();
}

#[test]
fn broken_wasm_and_files_of_other_kinds_are_refused() {
    let house = House::new();
    let Code::Bytes { bytes, .. } = json("echo", "(call $ok (local.get $event) (local.get $event-len))") else {
        panic!("fixtures are bytes")
    };
    let dir = tempfile::tempdir().unwrap();
    let cut = dir.path().join("cut.wasm");
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    assert_says(&house.refuse(Code::File(cut)), &["cut.wasm: cannot be compiled: "]);
    let text = dir.path().join("text.wat");
    std::fs::write(&text, "(module)").unwrap();
    let error = house.sandbox.load(spec(Code::File(text))).unwrap_err();
    assert!(matches!(error, LoadError::WasmText { .. }), "{error}");
    let missing = house.sandbox.load(spec(Code::File(dir.path().join("gone.wasm")))).unwrap_err();
    assert!(matches!(missing, LoadError::NotFound { .. }), "{missing}");
}

#[test]
fn a_load_is_logged_with_what_it_took() {
    let house = House::new();
    let function = house.load(json("logged-load", "(call $ok (local.get $event) (i32.const 0))"));
    let line =
        lines().into_iter().find(|line| line.get("code").is_some_and(|code| code == "logged-load.wasm")).unwrap();
    assert_eq!(line["message"], "function loaded");
    assert_eq!(line["cached"], "false");
    assert_eq!(line["sha256"], function.sha256());
    assert!(line["load_ms"].parse::<f64>().unwrap() > 0.0);
}
