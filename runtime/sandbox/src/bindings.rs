//! What `wit/handler.wit` says, as Rust: generated, nothing else.
//!
//! Only the synchronous Lambda JSON world is generated; the other worlds are recognised (`component.rs`), not called.

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "lambda-handler",
    exports: { default: async },
});
