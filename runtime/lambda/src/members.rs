//! Reads the members of a JSON request: their types at once, their ranges collected and reported together, as AWS does.
//!
//! A member that is `null` counts as left out; one that nobody asks for is ignored.

use serde_json::{Map, Value};

use crate::error::ApiError;

/// The members of one JSON object, and what was wrong with those that were read.
#[derive(Debug)]
pub(crate) struct Members<'a> {
    object: &'a Map<String, Value>,
    /// Where it stands in the request, in AWS's spelling: empty, or such as `scalingConfig.`.
    path: String,
    problems: Vec<String>,
}

/// Reads a request's body. No body is an object without members.
pub(crate) fn body(bytes: &[u8]) -> Result<Map<String, Value>, ApiError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(other) => Err(wrong_type("", &other, "Structure")),
        Err(error) => Err(ApiError::Serialization(format!("Could not parse request body into json: {error}"))),
    }
}

impl<'a> Members<'a> {
    pub(crate) fn new(object: &'a Map<String, Value>) -> Self {
        Self { object, path: String::new(), problems: Vec::new() }
    }

    fn at(object: &'a Map<String, Value>, path: String) -> Self {
        Self { object, path, problems: Vec::new() }
    }

    /// What was given under that name.
    pub(crate) fn value(&self, name: &str) -> Option<&'a Value> {
        self.object.get(name).filter(|value| !value.is_null())
    }

    pub(crate) fn boolean(&self, name: &str) -> Result<Option<bool>, ApiError> {
        let read = |value: &Value| value.as_bool().ok_or_else(|| wrong_type(&self.path_of(name), value, "Boolean"));
        self.value(name).map(read).transpose()
    }

    pub(crate) fn text(&self, name: &str) -> Result<Option<&'a str>, ApiError> {
        let read = |value: &'a Value| value.as_str().ok_or_else(|| wrong_type(&self.path_of(name), value, "String"));
        self.value(name).map(read).transpose()
    }

    /// A text that is too long is a problem.
    pub(crate) fn text_up_to(&mut self, name: &str, max_characters: usize) -> Result<Option<&'a str>, ApiError> {
        let text = self.text(name)?;
        if let Some(text) = text.filter(|text| text.chars().count() > max_characters) {
            self.refuse(name, text, &format!("Member must have length less than or equal to {max_characters}"));
        }
        Ok(text)
    }

    /// A text that must be one of `allowed`.
    pub(crate) fn one_of(&mut self, name: &str, allowed: &[&str]) -> Result<Option<&'a str>, ApiError> {
        let text = self.text(name)?;
        if let Some(text) = text.filter(|text| !allowed.contains(text)) {
            self.refuse(name, text, &format!("Member must satisfy enum value set: [{}]", allowed.join(", ")));
        }
        Ok(text)
    }

    /// A number out of range is a problem, and read as none.
    pub(crate) fn integer(&mut self, name: &str, min: u32, max: u32) -> Result<Option<u32>, ApiError> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let whole = value.as_i64().or_else(|| value.as_f64().filter(|n| n.fract() == 0.0).map(|n| n as i64));
        let number = whole.ok_or_else(|| wrong_type(&self.path_of(name), value, "Integer"))?;
        match u32::try_from(number) {
            Ok(number) if (min..=max).contains(&number) => return Ok(Some(number)),
            _ if number < i64::from(min) => {
                self.refuse(name, number, &format!("Member must have value greater than or equal to {min}"));
            }
            _ => self.refuse(name, number, &format!("Member must have value less than or equal to {max}")),
        }
        Ok(None)
    }

    pub(crate) fn list(&self, name: &str) -> Result<Option<&'a [Value]>, ApiError> {
        let read = |value: &'a Value| match value {
            Value::Array(items) => Ok(items.as_slice()),
            other => Err(wrong_type(&self.path_of(name), other, "List")),
        };
        self.value(name).map(read).transpose()
    }

    /// A list of texts, of which each must be one of `allowed`, and no more than `max`.
    pub(crate) fn choices(
        &mut self,
        name: &str,
        allowed: &[&str],
        max: usize,
    ) -> Result<Option<Vec<&'a str>>, ApiError> {
        let Some(items) = self.list(name)? else { return Ok(None) };
        let path = format!("{}.member", self.path_of(name));
        let texts: Result<Vec<&str>, ApiError> =
            items.iter().map(|item| item.as_str().ok_or_else(|| wrong_type(&path, item, "String"))).collect();
        let texts = texts?;
        let shown = format!("[{}]", texts.join(", "));
        if texts.len() > max {
            self.refuse(name, &shown, &format!("Member must have length less than or equal to {max}"));
        }
        if texts.iter().any(|text| !allowed.contains(text)) {
            let set = allowed.join(", ");
            let constraint = format!("Member must satisfy constraint: [Member must satisfy enum value set: [{set}]]");
            self.refuse(name, &shown, &constraint);
        }
        Ok(Some(texts))
    }

    /// The members of an object within.
    pub(crate) fn inner(&self, name: &str) -> Result<Option<Members<'a>>, ApiError> {
        self.value(name).map(|value| object(value, &self.path_of(name))).transpose()
    }

    /// The members of each object of a list within.
    pub(crate) fn inner_list(&self, name: &str) -> Result<Option<Vec<Members<'a>>>, ApiError> {
        let Some(items) = self.list(name)? else { return Ok(None) };
        let path = |index: usize| format!("{}.{}.member", self.path_of(name), index + 1);
        items.iter().enumerate().map(|(index, item)| object(item, &path(index))).collect::<Result<_, _>>().map(Some)
    }

    /// Notes a value that is not allowed.
    pub(crate) fn refuse(&mut self, name: &str, value: impl std::fmt::Display, constraint: &str) {
        let path = self.path_of(name);
        self.problems.push(format!("Value '{value}' at '{path}' failed to satisfy constraint: {constraint}"));
    }

    /// Notes that a required member is missing.
    pub(crate) fn refuse_missing(&mut self, name: &str) {
        let path = self.path_of(name);
        self.problems.push(format!("Value null at '{path}' failed to satisfy constraint: Member must not be null"));
    }

    /// Takes over what was wrong within.
    pub(crate) fn absorb(&mut self, inner: Members<'_>) {
        self.problems.extend(inner.problems);
    }

    /// All that was wrong, at the end.
    pub(crate) fn finish(self) -> Result<(), ApiError> {
        if self.problems.is_empty() { Ok(()) } else { Err(ApiError::Validation(self.problems)) }
    }

    /// `BatchSize` is `batchSize` in AWS's texts, `KMSKeyArn` is `kMSKeyArn`.
    fn path_of(&self, name: &str) -> String {
        let mut letters = name.chars();
        let first = letters.next().map(|letter| letter.to_ascii_lowercase());
        self.path.chars().chain(first).chain(letters).collect()
    }
}

fn object<'a>(value: &'a Value, path: &str) -> Result<Members<'a>, ApiError> {
    match value {
        Value::Object(object) => Ok(Members::at(object, format!("{path}."))),
        other => Err(wrong_type(path, other, "Structure")),
    }
}

pub(crate) fn wrong_type(path: &str, value: &Value, wanted: &str) -> ApiError {
    let kind = match value {
        Value::Null => "NULL_VALUE",
        Value::Bool(true) => "TRUE_VALUE",
        Value::Bool(false) => "FALSE_VALUE",
        Value::Number(_) => "NUMBER_VALUE",
        Value::String(_) => "STRING_VALUE",
        Value::Array(_) => "START_OF_LIST",
        Value::Object(_) => "START_OF_STRUCTURE",
    };
    let place = if path.is_empty() { String::new() } else { format!(" at '{path}'") };
    ApiError::Serialization(format!("{kind}{place} can not be converted to {wanted}"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn ranges_are_reported_together_and_in_awss_words() {
        let given = body(br#"{"BatchSize":0,"MaximumBatchingWindowInSeconds":301,"Ok":3}"#).unwrap();
        let mut members = Members::new(&given);
        assert_eq!(members.integer("BatchSize", 1, 10_000).unwrap(), None);
        assert_eq!(members.integer("MaximumBatchingWindowInSeconds", 0, 300).unwrap(), None);
        assert_eq!(members.integer("Ok", 1, 3).unwrap(), Some(3));
        assert_eq!(
            members.finish().unwrap_err().to_string(),
            "2 validation errors detected: Value '0' at 'batchSize' failed to satisfy constraint: Member must have \
             value greater than or equal to 1; Value '301' at 'maximumBatchingWindowInSeconds' failed to satisfy \
             constraint: Member must have value less than or equal to 300"
        );
    }

    #[test]
    fn numbers_beyond_every_integer_and_fractions_are_told_apart() {
        for (number, refused) in [
            ("10.0", None),
            ("-1", Some("greater than or equal to 1")),
            ("4294967297", Some("less than or equal to 10")),
            ("1e300", Some("less than or equal to 10")),
            ("1.5", Some("can not be converted to Integer")),
            ("\"5\"", Some("STRING_VALUE at 'n' can not be converted to Integer")),
            ("true", Some("TRUE_VALUE")),
        ] {
            let given = body(format!(r#"{{"N":{number}}}"#).as_bytes()).unwrap();
            let mut members = Members::new(&given);
            let outcome = members.integer("N", 1, 10).and_then(|_| members.finish());
            let text = outcome.err().map(|error| error.to_string());
            match refused {
                None => assert_eq!(text, None, "{number}"),
                Some(part) => assert!(text.as_deref().unwrap_or_default().contains(part), "{number}: {text:?}"),
            }
        }
    }

    #[test]
    fn what_is_no_json_object_is_refused() {
        for bad in ["{", "[]", "\"text\"", "BatchSize=1", "{} tail", "{'a':1}"] {
            assert!(matches!(body(bad.as_bytes()), Err(ApiError::Serialization(_))), "{bad}");
        }
        for empty in ["", " \n", "{}"] {
            assert!(body(empty.as_bytes()).unwrap().is_empty());
        }
    }
}
