//! What can be wrong with a handler before it has run, told as `file:line:column: what; how to mend it`.

use std::fmt;

/// Which of Lambda's errors it would have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BundleErrorKind {
    /// A file cannot be read, or there are too many, or they are too big.
    Unreadable,
    /// A file is not JavaScript or TypeScript, or uses what the runtime has not.
    Syntax,
    /// An import leads nowhere.
    Import,
}

impl BundleErrorKind {
    /// The `errorType` with which Lambda's Node.js runtime reports the like of it.
    pub const fn lambda_error_type(self) -> &'static str {
        match self {
            Self::Unreadable | Self::Import => "Runtime.ImportModuleError",
            Self::Syntax => "Runtime.UserCodeSyntaxError",
        }
    }
}

/// The first thing that is wrong with a handler.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}{}: {what}{}", Position(*.position), Mend(.mend.as_deref()))]
pub struct BundleError {
    /// Which kind of thing it is.
    pub kind: BundleErrorKind,
    /// Relative to the entry's folder where it lies below it.
    pub file: String,
    /// Line and column, both from 1, where known.
    pub position: Option<(u32, u32)>,
    /// What is wrong.
    pub what: String,
    /// How to mend it, where it can be said.
    pub mend: Option<String>,
}

struct Position(Option<(u32, u32)>);

impl fmt::Display for Position {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some((line, column)) => write!(out, ":{line}:{column}"),
            None => Ok(()),
        }
    }
}

struct Mend<'a>(Option<&'a str>);

impl fmt::Display for Mend<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(mend) => write!(out, "; {mend}"),
            None => Ok(()),
        }
    }
}

/// Line and column of a byte offset, both from 1; the column counts characters.
pub(crate) fn position(text: &str, offset: usize) -> (u32, u32) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.bytes().filter(|&byte| byte == b'\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or(before).chars().count() + 1;
    (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
}
