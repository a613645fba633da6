//! What an invocation leaves behind for whoever asks later why it failed: told by what runs the handler, read by who settles
//! its records.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Where an invocation is told of. Clones are one place; two are equal when they are one.
#[derive(Clone, Default)]
pub struct Account(Arc<Mutex<Told>>);

/// What was told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// The code that ran.
    pub code: Option<Arc<CodeName>>,
    /// The last lines that the handler logged, as they were written.
    pub log_tail: String,
    /// The handler's functions when it trapped, a line each, innermost first; empty without a trap, or without names.
    pub backtrace: String,
}

/// Which code it was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CodeName {
    /// The function's version: `$LATEST`, or a number.
    pub version: String,
    /// SHA-256 of the code, 64 lower-case hex digits.
    pub sha256: String,
}

impl Account {
    /// Tells it. What was told before is forgotten.
    pub fn tell(&self, told: Told) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = told;
    }

    /// Takes what was told; empty when nothing was.
    #[must_use]
    pub fn take(&self) -> Told {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl PartialEq for Account {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Account {}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Account")
    }
}
