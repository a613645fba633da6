//! The config's text: entries with their comments, in TOML that a person would have written.

use std::fmt::{self, Write as _};

/// Lines of comments are broken before this.
const COMMENT_COLUMNS: usize = 110;

/// A value of the config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Literal {
    Number(u32),
    Boolean(bool),
    /// Taken literally: a `${` in it is no variable of wasmill's environment.
    Text(String),
    List(Vec<Literal>),
    Table(Vec<(String, Literal)>),
}

impl Literal {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }
}

/// One `[[kind]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// Lines above it.
    pub(super) comments: Vec<String>,
    pub(super) keys: Vec<(&'static str, Literal)>,
    /// Tables below its keys, which are long as a rule, such as a function's variables.
    pub(super) tables: Vec<Table>,
}

/// A table of an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) comments: Vec<String>,
    pub(super) keys: Vec<(String, Literal)>,
}

impl Entry {
    /// Adds a key if there is a value for it.
    pub(super) fn set(&mut self, key: &'static str, value: Option<Literal>) {
        self.keys.extend(value.map(|value| (key, value)));
    }
}

/// Writes a comment of one paragraph, broken at words; what follows the first line is indented by `indent`.
pub(super) fn comment(out: &mut String, text: &str, indent: &str) {
    let mut line = "#".to_owned();
    for word in text.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > COMMENT_COLUMNS && line.len() > 1 {
            let _ = writeln!(out, "{line}");
            line = format!("#{indent}");
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(out, "{line}");
}

/// Writes an entry of an array of tables, and its tables.
pub(super) fn entry(out: &mut String, kind: &str, entry: &Entry) {
    out.push('\n');
    for line in &entry.comments {
        comment(out, line, "");
    }
    let _ = writeln!(out, "[[{kind}]]");
    for (key, value) in &entry.keys {
        let _ = writeln!(out, "{key} = {value}");
    }
    for table in &entry.tables {
        let _ = writeln!(out, "\n[{kind}.{}]", table.name);
        for line in &table.comments {
            comment(out, line, "");
        }
        for (key, value) in &table.keys {
            let _ = writeln!(out, "{} = {value}", quoted_key(key));
        }
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Text(text) => f.write_str(&quoted(&text.replace("${", "$${"))),
            Self::List(items) => {
                f.write_char('[')?;
                for (index, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if index > 0 { ", " } else { "" })?;
                }
                f.write_char(']')
            }
            Self::Table(entries) => {
                f.write_char('{')?;
                for (index, (key, value)) in entries.iter().enumerate() {
                    write!(f, "{} {} = {value}", if index > 0 { "," } else { "" }, quoted_key(key))?;
                }
                f.write_str(" }")
            }
        }
    }
}

fn quoted_key(key: &str) -> String {
    let is_bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if is_bare { key.to_owned() } else { quoted(key) }
}

/// In double quotes, or, where these would have to be escaped, in single ones.
fn quoted(text: &str) -> String {
    let is_plain = !text.contains('\'') && !text.chars().any(char::is_control);
    if is_plain && text.contains(['"', '\\']) {
        return format!("'{text}'");
    }
    let mut out = "\"".to_owned();
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            control if control.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out + "\""
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn texts_survive_toml_and_the_configs_own_expansion() {
        for text in [
            "",
            "plain",
            "it's \"quoted\" \\ both",
            r#"{"body":{"a":["b"]}}"#,
            "two\nlines\t\u{1}",
            "C:\\x",
            "größe",
            "\u{7f}",
        ] {
            let written = format!("a = {}", Literal::text(text));
            let read: toml::Table = written.parse().unwrap();
            assert_eq!(read["a"].as_str(), Some(text), "{written}");
        }
        assert_eq!(Literal::text("${HOME}").to_string(), "\"$${HOME}\"");
    }

    #[test]
    fn an_entry_reads_as_if_written_by_hand() {
        let mut queue = Entry { comments: vec!["Orders".to_owned()], ..Entry::default() };
        queue.set("name", Some(Literal::text("orders")));
        queue.set("delay_seconds", None);
        let target = ("dead_letter_target_arn".to_owned(), Literal::text("dlq"));
        let count = ("max_receive_count".to_owned(), Literal::Number(3));
        queue.set("redrive_policy", Some(Literal::Table(vec![target, count])));
        let keys = vec![("a b".to_owned(), Literal::List(vec![Literal::Boolean(true), Literal::Number(1)]))];
        queue.tables.push(Table { name: "tags", comments: vec!["of the team".to_owned()], keys });
        let mut out = String::new();
        entry(&mut out, "queue", &queue);
        assert_eq!(
            out,
            "\n# Orders\n[[queue]]\nname = \"orders\"\nredrive_policy = { dead_letter_target_arn = \"dlq\", \
             max_receive_count = 3 }\n\n[queue.tags]\n# of the team\n\"a b\" = [true, 1]\n"
        );
    }

    #[test]
    fn long_comments_are_broken_at_words() {
        let mut out = String::new();
        comment(&mut out, &"word ".repeat(40), "  ");
        assert!(out.lines().all(|line| line.len() <= COMMENT_COLUMNS && line.starts_with('#')), "{out}");
        assert_eq!(out.lines().count(), 2);
    }
}
