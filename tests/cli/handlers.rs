//! Handlers that are none: refused by `check` and `run` before anything is received, each with its reason.

use support::config::{IN_MEMORY, function, queue};
use support::{Home, wasmill, wasmill_with_config};

/// `(module (func (export "handle") (result i32) i32.const 0))`, by hand: a core module with an export, but not with one
/// that makes it a handler.
const WRONG_EXPORT: &[u8] =
    b"\0asm\x01\0\0\0\x01\x05\x01\x60\0\x01\x7f\x03\x02\x01\0\x07\x0a\x01\x06handle\0\0\x0a\x06\x01\x04\0\x41\0\x0b";

/// `(module (import "env" "secret" (func)) (func (export "_start")))`: a command that asks for what no handler gets.
const WRONG_IMPORT: &[u8] = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x02\x0e\x01\x03env\x06secret\0\0\x03\x02\x01\0\x07\x0a\x01\x06_start\0\x01\x0a\x04\x01\x02\0\x0b";

fn own(name: &str) -> String {
    format!("\n[[function]]\nname = \"{name}\"\ncode = \"{name}.wasm\"\n")
}

#[test]
fn every_handler_that_is_none_is_reported_by_check_and_by_run() {
    let home = Home::new();
    let good = std::fs::read(support::places::guest("orders")).unwrap();
    let cases: [(&str, &[u8], &str); 7] = [
        ("exports-handle", WRONG_EXPORT, "is no handler: it is a core module"),
        ("exports-nothing", b"\0asm\x01\0\0\0", "exports nothing"),
        ("imports-secret", WRONG_IMPORT, "secret"),
        ("script", b"#!/bin/sh\necho hello\n", "is not WebAssembly but"),
        ("text", b"(module)", "is WebAssembly text, not binary"),
        ("empty", b"", "is empty (0 bytes)"),
        ("torn", &good[..good.len() / 2], "cannot be compiled"),
    ];
    let mut config = IN_MEMORY.to_owned() + &queue("orders", "") + &function("good", "orders", "");
    for (name, bytes, _) in cases {
        home.write(&format!("{name}.wasm"), bytes);
        config.push_str(&own(name));
    }
    let config = home.write("wasmill.toml", config);
    for command in ["check", "run"] {
        let refused = wasmill_with_config(command, &config);
        refused.assert_fails(3, &["7 mistakes"]);
        for (name, _, part) in cases {
            let file = format!("{name}.wasm: ");
            let line = refused.stderr.lines().find(|line| line.contains(&file));
            assert!(line.is_some_and(|line| line.contains(part)), "{command} lacks {name}: {part}\n{refused}");
        }
        assert!(!refused.stderr.contains("function[0]"), "the good one is not among them\n{refused}");
    }
}

#[test]
fn a_core_module_without_the_right_exports_is_told_what_it_lacks_and_how_to_mend_it() {
    let home = Home::new();
    let code = home.write("core.wasm", WRONG_EXPORT);
    let event = home.write("event.json", "{}");
    let refused = wasmill(["invoke".as_ref(), code.as_os_str(), "--event".as_ref(), event.as_os_str()]);
    refused.assert_fails(3, &["core.wasm: is no handler", "`handle`", "expected `_start`", "wasm32-wasip2"]);
}

#[test]
fn mistakes_of_config_and_of_handlers_are_reported_together() {
    let home = Home::new();
    home.write("script.wasm", "print('hello')");
    let config = IN_MEMORY.to_owned() + &queue("orders", "delay_seconds = 901") + &own("script") + &own("missing");
    let config = home.write("wasmill.toml", config);
    let refused = wasmill_with_config("check", &config);
    refused.assert_fails(3, &["delay_seconds: 901", "script.wasm", "missing.wasm", "has 3 mistakes"]);
}

#[test]
fn a_folder_and_a_handler_with_too_little_memory_are_refused() {
    let home = Home::new();
    std::fs::create_dir(home.path().join("folder.wasm")).unwrap();
    let config = IN_MEMORY.to_owned() + &own("folder") + &function("small", "faulty", "memory_size = 1");
    let config = home.write("wasmill.toml", config);
    let refused = wasmill_with_config("check", &config);
    let small = "faulty.wasm: begins with 2 MiB of memory and the function may have 1";
    refused.assert_fails(3, &["folder.wasm", "is not a file", small, "mend: write memory_size = 2 or more"]);
}

#[test]
fn the_rust_crate_carries_the_interface_as_it_is() {
    let repository = support::places::repository();
    let read = |path: &str| std::fs::read_to_string(repository.join(path)).unwrap();
    let (carried, original) = (read("handlers/wasmill-handler/wit/handler.wit"), read("wit/handler.wit"));
    assert!(carried == original, "copy wit/handler.wit to handlers/wasmill-handler/wit/");
}
