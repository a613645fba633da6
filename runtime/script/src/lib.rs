//! Makes one CommonJS text of a JavaScript or TypeScript handler and all that it imports, for the JavaScript runtime
//! (`runtime/guests/js`), which has no files.
//!
//! Every file becomes one function (`file.rs`) that runs when it is first required; `loader.js` at the head of the text
//! is Node.js's module loader over them, and a table at its end (`positions.rs`) leads from its lines back to the
//! user's. Specifiers are resolved as Node.js does (`resolve.rs`).
//!
//! Absent on purpose: tree shaking, minifying, and a parser of our own. Parsing, TypeScript, the module transform and
//! printing are oxc's.

mod error;
mod file;
mod graph;
mod positions;
mod resolve;

use std::path::{Path, PathBuf};

pub use error::{BundleError, BundleErrorKind};

/// Files that one handler may consist of.
pub const FILES_MAX: usize = 5_000;
/// Bytes that one of its files may have.
pub const FILE_BYTES_MAX: u64 = 8 << 20;
/// Bytes that all of its files may have together.
pub const INPUT_BYTES_MAX: u64 = 32 << 20;

/// A handler as one text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// CommonJS: `module` and `require` are its free names, the latter for Node.js's own modules, and its last statement
    /// sets `module.exports` to what the entry exports. Nothing of the user's runs before that statement. Its last line
    /// is a comment, `//# wasmill-positions {…}`, described in `positions.rs`.
    pub source: String,
    /// Every file that was read, `package.json`s apart: a change to one of them is a change to the bundle.
    pub inputs: Vec<PathBuf>,
}

/// Bundles the handler whose file is `entry`: `.mjs`, `.cjs`, `.js`, `.mts`, `.cts`, `.ts` (the last of each by
/// `package.json`'s `type`, and without one by what the file says). Blocking: it reads files.
///
/// # Errors
/// The first thing that is wrong, with file, line and column and how to mend it.
pub fn bundle(entry: &Path) -> Result<Bundle, BundleError> {
    graph::Graph::read(entry, None)?.print()
}

/// The same for what somebody sent: nothing is taken from outside of the folder `root`.
///
/// # Errors
/// As [`bundle`], and when something is imported from elsewhere.
pub fn bundle_within(root: &Path, entry: &Path) -> Result<Bundle, BundleError> {
    graph::Graph::read(entry, Some(root))?.print()
}

#[cfg(test)]
mod tests;
