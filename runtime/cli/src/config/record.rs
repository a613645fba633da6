//! What the reader asks for, kept while it reads: each key with its kind, what is written for it, and its default. The
//! effective config is shown from it, and the schema for editors is made of it, so neither can drift from the reader.

use serde_json::Value;

use super::finding::Position;

/// What may be written for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Text,
    /// A text that never prints.
    Secret,
    Integer {
        least: u32,
        most: u32,
    },
    /// A number from 0 to 1.
    Share,
    Boolean,
    /// One of these.
    Words(Vec<String>),
    Texts,
    /// Names with texts.
    TextMap,
    /// Names with texts that never print, or with tables.
    SecretMap,
    Table,
    Tables,
}

/// A key that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Dotted path, such as `queue[0].name`; of the schema's reading `queue[].name`.
    pub(super) key: String,
    pub(super) shape: Shape,
    pub(super) is_required: bool,
    /// Where it is written; `None`: it is not.
    pub(super) at: Option<Position>,
    /// What is written, expanded; `Null` of what is no value by itself.
    pub(super) value: Value,
    /// Variables of wasmill's environment that took part.
    pub(super) variables: Vec<String>,
    pub(super) default: Option<Value>,
    /// A variable that the default is from, which is none of wasmill's own.
    pub(super) default_from: Option<String>,
}

impl Record {
    /// Whether the value may be printed. What comes from a variable that is called as secrets are is none of ours to show.
    pub(super) fn is_secret(&self) -> bool {
        let sounds_secret = |name: &String| {
            let name = name.to_uppercase();
            ["SECRET", "PASSWORD", "PASSWD", "TOKEN", "CREDENTIAL", "PRIVATE", "API_KEY", "ACCESS_KEY"]
                .iter()
                .any(|word| name.contains(word))
        };
        self.shape == Shape::Secret || self.variables.iter().any(sounds_secret)
    }
}
