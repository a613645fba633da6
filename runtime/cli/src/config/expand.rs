//! `${NAME}` and `${NAME:-default}` in the config's strings.
//!
//! As in a shell: `${NAME}` needs the variable to be set (empty will do), `${NAME:-default}` takes the default when the
//! variable is unset or empty, and `$${` stands for a literal `${`. A `$` without `{` is just a `$`. Deliberately
//! absent: nesting, commands, and expansion of what a variable's value itself contains.

use thiserror::Error;

/// A string after expansion.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Expanded {
    /// The value to use.
    pub(super) value: String,
    /// True if a variable or its default was put in. Such a value may be a secret: messages show what was written.
    pub(super) from_env: bool,
}

/// Why a string cannot be expanded.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum ExpandError {
    /// No such variable, and no default.
    #[error("the environment variable {name} is not set")]
    Unset {
        /// The variable.
        name: String,
    },
    /// Not a variable name: `[A-Za-z_][A-Za-z0-9_]*`.
    #[error("`${{{written}}}` does not name an environment variable")]
    BadName {
        /// What stands between the braces.
        written: String,
    },
    /// `${` without its `}`.
    #[error("`${{` without a closing `}}`")]
    Unclosed,
}

impl ExpandError {
    /// What to do about it.
    pub(super) fn mend(&self) -> String {
        match self {
            Self::Unset { name } => format!("set {name}, or give a default: ${{{name}:-value}}"),
            Self::BadName { .. } => {
                "write ${NAME} or ${NAME:-default} with letters, digits and _; write $${ for a literal ${".to_owned()
            }
            Self::Unclosed => "add the closing }; write $${ for a literal ${".to_owned(),
        }
    }
}

/// Expands `text`; every fault in it is reported, in order.
pub(super) fn expand(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Expanded, Vec<ExpandError>> {
    let mut value = String::with_capacity(text.len());
    let mut from_env = false;
    let mut errors = Vec::new();
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        let (before, tail) = rest.split_at(dollar);
        value.push_str(before);
        if let Some(after) = tail.strip_prefix("$${") {
            value.push_str("${");
            rest = after;
            continue;
        }
        let Some(inside) = tail.strip_prefix("${") else {
            value.push('$');
            rest = &tail[1..];
            continue;
        };
        let Some((written, after)) = inside.split_once('}') else {
            errors.push(ExpandError::Unclosed);
            rest = "";
            break;
        };
        from_env = true;
        match lookup(written, env) {
            Ok(found) => value.push_str(&found),
            Err(error) => errors.push(error),
        }
        rest = after;
    }
    value.push_str(rest);
    if errors.is_empty() { Ok(Expanded { value, from_env }) } else { Err(errors) }
}

/// `written` is what stands between the braces: `NAME` or `NAME:-default`.
fn lookup(written: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, ExpandError> {
    let (name, default) = match written.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (written, None),
    };
    if !is_variable_name(name) {
        return Err(ExpandError::BadName { written: written.to_owned() });
    }
    match (env(name), default) {
        (Some(found), None) => Ok(found),
        (Some(found), Some(_)) if !found.is_empty() => Ok(found),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(ExpandError::Unset { name: name.to_owned() }),
    }
}

/// The names of the variables in `text`, those with defaults included.
pub(super) fn variables(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        let tail = &rest[dollar..];
        if let Some(after) = tail.strip_prefix("$${") {
            rest = after;
            continue;
        }
        rest = &tail[1..];
        if let Some((written, after)) = tail.strip_prefix("${").and_then(|inside| inside.split_once('}')) {
            names.push(written.split_once(":-").map_or(written, |(name, _)| name).to_owned());
            rest = after;
        }
    }
    names
}

/// `[A-Za-z_][A-Za-z0-9_]*`: what POSIX lets an environment variable be called.
pub(crate) fn is_variable_name(name: &str) -> bool {
    let mut characters = name.chars();
    let starts_well = characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
    starts_well && characters.all(|rest| rest.is_ascii_alphanumeric() || rest == '_')
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "REGION" => Some("eu-west-1".to_owned()),
            "EMPTY" => Some(String::new()),
            "TRICKY" => Some("${REGION}".to_owned()),
            _ => None,
        }
    }

    fn value(text: &str) -> String {
        expand(text, &env).unwrap().value
    }

    #[test]
    fn plain_text_is_left_alone() {
        for text in ["", "orders", "costs $5", "a$", "}{", "größe"] {
            assert_eq!(expand(text, &env).unwrap(), Expanded { value: text.to_owned(), from_env: false });
        }
    }

    #[test]
    fn variables_defaults_and_the_escape() {
        assert_eq!(value("arn:aws:sqs:${REGION}:0:x"), "arn:aws:sqs:eu-west-1:0:x");
        assert_eq!(value("${REGION}${REGION}"), "eu-west-1eu-west-1");
        assert_eq!(value("${ABSENT:-there}"), "there");
        assert_eq!(value("${ABSENT:-}"), "");
        assert_eq!(value("${EMPTY:-full}"), "full");
        assert_eq!(value("[${EMPTY}]"), "[]");
        assert_eq!(value("$${REGION} and $$${REGION}"), "${REGION} and $${REGION}");
        assert_eq!(value("${ABSENT:-a:-b}"), "a:-b");
    }

    #[test]
    fn a_value_is_not_expanded_again() {
        assert_eq!(value("${TRICKY}"), "${REGION}");
    }

    #[test]
    fn variables_are_named_and_the_escape_is_none() {
        assert_eq!(variables("${A}-${B:-x}-$${C}-$D-${E"), ["A", "B"]);
    }

    #[test]
    fn every_fault_is_reported() {
        assert_eq!(
            expand("${ABSENT} ${} ${1X} ${REGION", &env).unwrap_err(),
            [
                ExpandError::Unset { name: "ABSENT".to_owned() },
                ExpandError::BadName { written: String::new() },
                ExpandError::BadName { written: "1X".to_owned() },
                ExpandError::Unclosed,
            ]
        );
    }
}
