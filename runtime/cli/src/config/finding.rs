//! What the configuration has to say to its author: a mistake (nothing starts) or a warning (it starts anyway).
//!
//! Both have one shape, [`Finding`]: where, which key, what is wrong, how to mend it. Absent: any decision about what
//! is a mistake; that stands beside each key.

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// A place in the config. Both numbers start at 1; columns count characters, not bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    /// Which of the texts that the config is read from, counted from 0.
    pub(crate) text: u32,
    /// Line, from 1.
    pub(crate) line: usize,
    /// Character within the line, from 1.
    pub(crate) column: u32,
}

/// What a finding points at, kept beside a value that is judged only after the file was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The config file, as the user named it.
    file: PathBuf,
    /// `None` when no file says so.
    at: Option<Position>,
    /// Dotted path of the key.
    key: String,
}

impl Origin {
    /// Where `key` stands in `file`.
    pub(super) fn new(file: &Path, at: Option<Position>, key: &str) -> Self {
        Self { file: file.to_owned(), at, key: key.to_owned() }
    }

    /// Of what no config file says: the demo's own settings, `queue serve`.
    pub(crate) fn built_in() -> Self {
        Self { file: PathBuf::from("built-in settings"), at: None, key: String::new() }
    }

    /// A finding at this place.
    pub(crate) fn finding(&self, what: impl Into<String>, mend: impl Into<String>) -> Finding {
        let (what, mend) = (what.into(), mend.into());
        Finding { file: self.file.clone(), at: self.at, key: self.key.clone(), what, mend }
    }
}

/// One mistake or one warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The config file, as the user named it.
    pub(crate) file: PathBuf,
    /// `None` when the whole file is meant (it cannot be read).
    pub(crate) at: Option<Position>,
    /// Dotted path of the key, such as `event_source_mapping[0].batch_size`; empty when no key is meant.
    pub(crate) key: String,
    /// What is wrong, in lower case and without a final full stop.
    pub(crate) what: String,
    /// What to do about it.
    pub(crate) mend: String,
}

impl Finding {
    /// As `check --json` prints it; `line` and `column` are null when the whole file is meant.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "file": self.file.display().to_string(),
            "line": self.at.map(|position| position.line),
            "column": self.at.map(|position| position.column),
            "key": self.key,
            "what": self.what,
            "mend": self.mend,
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(position) = self.at {
            write!(f, ":{}:{}", position.line, position.column)?;
        }
        // Two spaces set the address off from the text, so that a terminal's "open file at line" still finds it.
        f.write_str("  ")?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}\n    mend: {}", self.what, self.mend)
    }
}

/// Every mistake of one config file, in the order of its lines. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistakes {
    findings: Vec<Finding>,
}

impl Mistakes {
    /// Sorts by place; what concerns the whole file comes first.
    pub(crate) fn new(mut findings: Vec<Finding>) -> Self {
        debug_assert!(!findings.is_empty(), "mistakes without a mistake");
        findings.sort_by(|a, b| a.at.cmp(&b.at).then_with(|| a.key.cmp(&b.key)));
        Self { findings }
    }

    /// The whole file is at fault: it cannot be read, is not text, is too large.
    pub(crate) fn of_file(file: &Path, what: String, mend: String) -> Self {
        Self::new(vec![Finding { file: file.to_owned(), at: None, key: String::new(), what, mend }])
    }

    /// The mistakes in the order of the file's lines.
    pub(crate) fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// As `check --json` prints them.
    pub(crate) fn to_json(&self) -> Value {
        Value::Array(self.findings.iter().map(Finding::to_json).collect())
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.findings.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{finding}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(line: usize, key: &str) -> Finding {
        Finding {
            file: PathBuf::from("wasmill.toml"),
            at: Some(Position { text: 0, line, column: 9 }),
            key: key.to_owned(),
            what: "0 is not in 1–10".to_owned(),
            mend: "write a whole number from 1 to 10".to_owned(),
        }
    }

    #[test]
    fn display_is_an_address_a_key_and_a_mend() {
        assert_eq!(
            finding(12, "event_source_mapping[0].batch_size").to_string(),
            "wasmill.toml:12:9  event_source_mapping[0].batch_size: 0 is not in 1–10\n    \
             mend: write a whole number from 1 to 10"
        );
    }

    #[test]
    fn mistakes_come_in_the_order_of_their_lines() {
        let whole_file = Finding { at: None, ..finding(1, "") };
        let mistakes = Mistakes::new(vec![finding(20, "b"), finding(3, "c"), whole_file, finding(20, "a")]);
        let lines: Vec<_> =
            mistakes.findings().iter().map(|found| (found.at.map(|at| at.line), found.key.as_str())).collect();
        assert_eq!(lines, [(None, ""), (Some(3), "c"), (Some(20), "a"), (Some(20), "b")]);
    }

    #[test]
    fn json_has_null_places_for_the_whole_file() {
        let mistakes = Mistakes::of_file(Path::new("x.toml"), "cannot be read".to_owned(), "check it".to_owned());
        assert_eq!(
            mistakes.to_json(),
            json!([{"file": "x.toml", "line": null, "column": null, "key": "", "what": "cannot be read",
                    "mend": "check it"}])
        );
    }
}
