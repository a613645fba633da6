//! A template's values as they are written, before anything of them is looked up.

use serde_json::Value;

/// A value. A short tag (`!Ref Orders`) has become what it stands for: a map with one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Null,
    Boolean(bool),
    /// As written: CloudFormation takes it for a text where it wants one, and `000000000000` is an account.
    Number(String),
    Text(String),
    List(Vec<Node>),
    /// In the order of the template, no key twice.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// What the word `null`, `true` or `12` means where nothing says that it is a text.
    pub(super) fn plain(written: &str) -> Self {
        match written {
            "" | "~" | "null" | "Null" | "NULL" => Self::Null,
            "true" | "True" | "TRUE" => Self::Boolean(true),
            "false" | "False" | "FALSE" => Self::Boolean(false),
            number if is_number(number) => Self::Number(number.to_owned()),
            text => Self::Text(text.to_owned()),
        }
    }

    /// A map of one key, as an intrinsic function is written.
    pub(super) fn call(function: impl Into<String>, argument: Self) -> Self {
        Self::Map(vec![(function.into(), argument)])
    }

    /// The value as a text, as CloudFormation takes it for one.
    pub(super) fn text(&self) -> Option<String> {
        match self {
            Self::Boolean(value) => Some(value.to_string()),
            Self::Number(text) | Self::Text(text) => Some(text.clone()),
            Self::Null | Self::List(_) | Self::Map(_) => None,
        }
    }

    /// The value under a key of a map.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// What a map holds; nothing of anything else.
    pub(super) fn entries(&self) -> &[(String, Self)] {
        match self {
            Self::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The intrinsic function that a map of one key calls.
    pub(super) fn as_call(&self) -> Option<(&str, &Self)> {
        match self {
            Self::Map(entries) => match entries.as_slice() {
                [(name, argument)] if name == "Ref" || name == "Condition" || name.starts_with("Fn::") => {
                    Some((name, argument))
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// A word for what it is, with its article.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Boolean(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }

    /// As JSON, for what is kept as a text: policies.
    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Boolean(value) => Value::Bool(*value),
            Self::Number(text) => serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone())),
            Self::Text(text) => Value::String(text.clone()),
            Self::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Self::Map(entries) => {
                Value::Object(entries.iter().map(|(key, value)| (key.clone(), value.to_json())).collect())
            }
        }
    }

    /// From JSON.
    pub(super) fn of_json(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Boolean(value),
            Value::Number(number) => Self::Number(number.to_string()),
            Value::String(text) => Self::Text(text),
            Value::Array(items) => Self::List(items.into_iter().map(Self::of_json).collect()),
            Value::Object(entries) => {
                Self::Map(entries.into_iter().map(|(key, value)| (key, Self::of_json(value))).collect())
            }
        }
    }
}

/// Digits with a sign, a fraction or an exponent. YAML's other spellings of numbers are no numbers of CloudFormation's.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    digits.starts_with(|first: char| first.is_ascii_digit()) && digits.parse::<f64>().is_ok_and(f64::is_finite)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_words_keep_what_they_are() {
        assert_eq!(Node::plain("True"), Node::Boolean(true));
        assert_eq!(Node::plain("~"), Node::Null);
        for number in ["0", "-3", "2.5", "1e3", "000000000000"] {
            assert_eq!(Node::plain(number), Node::Number(number.to_owned()), "{number}");
        }
        for text in ["2010-09-09", "yes", "nan", "inf", "-", "0x1f", "1_000", "orders"] {
            assert_eq!(Node::plain(text), Node::Text(text.to_owned()), "{text}");
        }
    }

    #[test]
    fn only_a_map_of_one_known_key_is_a_call() {
        let call = Node::call("Fn::Sub", Node::Text("x".to_owned()));
        assert_eq!(call.as_call(), Some(("Fn::Sub", &Node::Text("x".to_owned()))));
        assert_eq!(Node::call("Reference", Node::Null).as_call(), None);
        let two = Node::Map(vec![("Ref".to_owned(), Node::Null), ("x".to_owned(), Node::Null)]);
        assert_eq!(two.as_call(), None);
    }

    #[test]
    fn json_comes_out_as_it_went_in() {
        let json = serde_json::json!({"a": [1, 2.5, "3", true, null], "b": {"c": "d"}});
        assert_eq!(Node::of_json(json.clone()).to_json(), json);
        assert_eq!(Node::Number("007".to_owned()).to_json(), Value::String("007".to_owned()));
    }
}
