//! What `wit-bindgen` makes of `wit/handler.wit`: the types, and for each world the trait and the macro that exports it.
//!
//! The file is the repository's own (`wit/handler.wit` at its root), carried here so that the crate is whole.

#![expect(missing_docs, clippy::too_many_arguments, reason = "generated")]

/// The world `message-handler`, and the types of both.
pub mod messages {
    wit_bindgen::generate!({
        path: "wit",
        world: "message-handler",
        additional_derives: [PartialEq, Eq],
        pub_export_macro: true,
        type_section_suffix: " of wasmill-handler",
    });
}

/// The world `lambda-handler`.
pub mod lambda {
    wit_bindgen::generate!({
        path: "wit",
        world: "lambda-handler",
        with: { "wasmill:handler/types@0.1.0": crate::bindings::messages::wasmill::handler::types },
        pub_export_macro: true,
        type_section_suffix: " of wasmill-handler",
    });
}

pub use messages::wasmill::handler::types::{AttributeValue, Context, Message, MessageAttribute, Verdict};
