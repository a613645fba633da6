//! The effective config for people and scripts: each key with its value and where that is from. Secrets do not print.

use std::fmt;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::document::Origin;
use super::record::{Record, Shape};
use super::source::Source;

/// Stands for a value that does not print.
const HIDDEN: &str = "(secret)";

/// Where a value is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// A place in a file; the variables of the environment that its text names.
    File {
        file: PathBuf,
        line: usize,
        variables: Vec<String>,
    },
    /// A variable that overrides the file, or says what it does not.
    Override {
        variable: String,
    },
    Default,
}

/// A key with what it is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) key: String,
    /// `None`: a secret.
    pub(crate) value: Option<Value>,
    pub(crate) from: From,
}

impl Setting {
    pub(crate) fn to_json(&self) -> Value {
        let (origin, file, line, variables) = match &self.from {
            From::File { file, line, variables } => {
                ("file", Some(file.display().to_string()), Some(line), variables.clone())
            }
            From::Override { variable } => ("environment", None, None, vec![variable.clone()]),
            From::Default => ("default", None, None, Vec::new()),
        };
        json!({"key": self.key, "value": self.value, "is_secret": self.value.is_none(), "origin": origin, "file": file,
               "line": line, "variables": variables})
    }
}

impl fmt::Display for From {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line, variables } => {
                write!(f, "{}:{line}", file.display())?;
                if variables.is_empty() { Ok(()) } else { write!(f, ", environment {}", variables.join(", ")) }
            }
            Self::Override { variable } => write!(f, "environment {variable}"),
            Self::Default => f.write_str("default"),
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value.as_ref().map_or_else(|| HIDDEN.to_owned(), ToString::to_string);
        write!(f, "{} = {value}  # {}", self.key, self.from)
    }
}

/// The settings that were read, in the order in which the reader asks for them.
pub(super) fn settings(source: &Source<'_>) -> Vec<Setting> {
    source.records().iter().filter_map(|record| setting(source, record)).collect()
}

fn setting(source: &Source<'_>, record: &Record) -> Option<Setting> {
    if matches!(record.shape, Shape::Table | Shape::Tables | Shape::TextMap | Shape::SecretMap) {
        return None;
    }
    let from = match record.at {
        None => match &record.default_from {
            Some(variable) => From::Override { variable: variable.clone() },
            None => From::Default,
        },
        Some(at) => match source.origin_of(at) {
            Origin::Variable(variable) => From::Override { variable: variable.clone() },
            Origin::File(file) | Origin::Made(file) => {
                From::File { file: file.clone(), line: at.line, variables: record.variables.clone() }
            }
        },
    };
    let value = if record.at.is_some() { record.value.clone() } else { record.default.clone()? };
    Some(Setting { key: record.key.clone(), value: (!record.is_secret()).then_some(value), from })
}
