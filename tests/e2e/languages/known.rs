//! The languages that handlers are written in, with the two handlers that each has: the example, and one that does what its
//! messages say.

use std::path::{Path, PathBuf};

use support::config::function;
use support::places;

/// A language that the examples are written in.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Language {
    Rust,
    Python,
    JavaScript,
    TypeScript,
    C,
    Go,
    Zig,
}

/// Those that can be tried here. Python and JavaScript need wasmill's runtimes, Go what nobody keeps in a repository.
pub(super) fn languages(runtimes: Option<&Path>) -> Vec<Language> {
    use Language::{C, Go, JavaScript, Python, Rust, TypeScript, Zig};
    let mut languages = vec![Rust, C, Zig];
    if runtimes.is_some() {
        languages.extend([Python, JavaScript, TypeScript]);
    }
    if places::has_guest("orders-go") && places::has_guest("acts-go") {
        languages.push(Go);
    }
    languages
}

impl Language {
    /// Of its queue and its function.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Python => "python",
            Self::JavaScript => "javascript",
            Self::TypeScript => "typescript",
            Self::C => "c",
            Self::Go => "go",
            Self::Zig => "zig",
        }
    }

    /// The function that handles orders.
    pub(super) fn orders(self, keys: &str) -> String {
        match self {
            Self::Rust => function(self.name(), "orders", keys),
            Self::Python => file_function(self.name(), &example("python/orders.py"), keys),
            Self::JavaScript => file_function(self.name(), &example("js/orders.mjs"), keys),
            Self::TypeScript => file_function(self.name(), &example("js/orders.ts"), keys),
            Self::C | Self::Go | Self::Zig => function(self.name(), &format!("orders-{}", self.name()), keys),
        }
    }

    /// A program that is run anew for each batch: event on stdin, response on stdout.
    pub(super) const fn is_command(self) -> bool {
        matches!(self, Self::C | Self::Go | Self::Zig)
    }

    /// The function that does what its messages say. None in Rust, whose adversary knows other words, and in TypeScript,
    /// which is JavaScript by then.
    pub(super) fn acts(self, keys: &str) -> String {
        match self {
            Self::Rust | Self::TypeScript => String::new(),
            Self::Python => file_function(self.name(), &acts("py"), keys),
            Self::JavaScript => file_function(self.name(), &acts("mjs"), keys),
            Self::C | Self::Go | Self::Zig => function(self.name(), &format!("acts-{}", self.name()), keys),
        }
    }
}

pub(super) fn example(path: &str) -> PathBuf {
    places::repository().join("handlers").join(path)
}

pub(crate) fn acts(language: &str) -> PathBuf {
    places::repository().join("tests/handlers").join(format!("acts.{language}"))
}

/// A function whose code is a file.
pub(crate) fn file_function(name: &str, code: &Path, keys: &str) -> String {
    format!("\n[[function]]\nname = \"{name}\"\ncode = {code:?}\n{keys}\n")
}
