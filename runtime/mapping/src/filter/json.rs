//! A strict JSON reader that borrows from the text, pulls one piece at a time and keeps the spelling of numbers.
//!
//! Filters compare numbers by their text (esm-semantics §5.3), which `serde_json::Value` does not keep. The reader is
//! linear in the text; what is skipped may be nested as deep as the text is long, since the open brackets are kept on
//! the heap. Not here: what a filter means.

use std::borrow::Cow;

/// The text is not JSON: the byte at which that shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotJson {
    pub(super) at_byte: usize,
}

/// A value that holds no others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scalar<'a> {
    Text(Cow<'a, str>),
    /// As it was spelled.
    Number(&'a str),
    Bool(bool),
    Null,
}

/// A whole document, for patterns. The last of equal keys is the one that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Json<'a> {
    Scalar(Scalar<'a>),
    Array(Vec<Json<'a>>),
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

/// Reads a small document as a tree of at most `depth_max` levels; none if it is deeper.
pub(super) fn parse(text: &str, depth_max: usize) -> Result<Option<Json<'_>>, NotJson> {
    let mut whole = Reader::new(text);
    whole.skip_value()?;
    whole.end()?;
    Reader::new(text).tree(depth_max)
}

/// A place in a text.
#[derive(Debug, Clone)]
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
}

/// What stands between brackets that are open.
#[derive(Debug, Clone, Copy)]
enum Open {
    Array,
    Object,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The first byte of what comes next, after white space; 0 at the end, which begins nothing.
    pub(super) fn peek(&mut self) -> u8 {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
        self.at += blanks;
        rest.get(blanks).copied().unwrap_or(0)
    }

    /// Nothing but white space may follow.
    pub(super) fn end(&mut self) -> Result<(), NotJson> {
        self.peek();
        if self.at == self.text.len() { Ok(()) } else { self.wrong() }
    }

    /// Steps over `byte` if it comes next.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == byte;
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), NotJson> {
        if self.take(byte) { Ok(()) } else { self.wrong() }
    }

    fn wrong<T>(&self) -> Result<T, NotJson> {
        Err(NotJson { at_byte: self.at })
    }

    /// After a member or an element: whether another follows. Steps over the comma, or over `close`.
    pub(super) fn more(&mut self, close: u8) -> Result<bool, NotJson> {
        if self.take(b',') {
            return Ok(true);
        }
        self.expect(close)?;
        Ok(false)
    }

    /// A member's name and its colon.
    pub(super) fn key(&mut self) -> Result<Cow<'a, str>, NotJson> {
        self.peek();
        let key = self.string()?;
        self.expect(b':')?;
        Ok(key)
    }

    /// A value that is neither array nor object.
    pub(super) fn scalar(&mut self) -> Result<Scalar<'a>, NotJson> {
        match self.peek() {
            b'"' => self.string().map(Scalar::Text),
            b't' => self.word("true", Scalar::Bool(true)),
            b'f' => self.word("false", Scalar::Bool(false)),
            b'n' => self.word("null", Scalar::Null),
            _ => self.number().map(Scalar::Number),
        }
    }

    fn word(&mut self, word: &str, means: Scalar<'a>) -> Result<Scalar<'a>, NotJson> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return self.wrong();
        }
        self.at += word.len();
        Ok(means)
    }

    /// RFC 8259 §6, to the letter.
    fn number(&mut self) -> Result<&'a str, NotJson> {
        let start = self.at;
        self.at += usize::from(self.byte() == b'-');
        if self.byte() == b'0' {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.byte() == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.byte(), b'e' | b'E') {
            self.at += 1;
            self.at += usize::from(matches!(self.byte(), b'+' | b'-'));
            self.digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    fn digits(&mut self) -> Result<(), NotJson> {
        let start = self.at;
        while self.byte().is_ascii_digit() {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { self.wrong() }
    }

    fn byte(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    fn string(&mut self) -> Result<Cow<'a, str>, NotJson> {
        let (raw, is_escaped) = self.raw_string()?;
        Ok(if is_escaped { Cow::Owned(unescape(raw)) } else { Cow::Borrowed(raw) })
    }

    /// What stands between the quotes, checked, and whether anything in it is escaped.
    fn raw_string(&mut self) -> Result<(&'a str, bool), NotJson> {
        if self.byte() != b'"' {
            return self.wrong();
        }
        self.at += 1;
        let start = self.at;
        let mut is_escaped = false;
        loop {
            match self.byte() {
                b'"' => break,
                b'\\' => {
                    is_escaped = true;
                    self.at += 1;
                    match self.byte() {
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 1,
                        b'u' => {
                            self.at += 1;
                            for _ in 0..4 {
                                if !self.byte().is_ascii_hexdigit() {
                                    return self.wrong();
                                }
                                self.at += 1;
                            }
                        }
                        _ => return self.wrong(),
                    }
                }
                // Control characters, and the end of the text.
                0..=0x1f => return self.wrong(),
                _ => self.at += 1,
            }
        }
        let raw = &self.text[start..self.at];
        self.at += 1;
        Ok((raw, is_escaped))
    }

    /// Steps over a value of any size and depth, checking it.
    pub(super) fn skip_value(&mut self) -> Result<(), NotJson> {
        let mut open: Vec<Open> = Vec::new();
        loop {
            match self.peek() {
                b'[' => {
                    self.at += 1;
                    if !self.take(b']') {
                        open.push(Open::Array);
                        continue;
                    }
                }
                b'{' => {
                    self.at += 1;
                    if !self.take(b'}') {
                        open.push(Open::Object);
                        self.skip_key()?;
                        continue;
                    }
                }
                b'"' => {
                    self.raw_string()?;
                }
                _ => {
                    self.scalar()?;
                }
            }
            loop {
                match open.last() {
                    None => return Ok(()),
                    Some(Open::Array) if self.more(b']')? => break,
                    Some(Open::Object) if self.more(b'}')? => {
                        self.skip_key()?;
                        break;
                    }
                    Some(_) => {
                        open.pop();
                    }
                }
            }
        }
    }

    fn skip_key(&mut self) -> Result<(), NotJson> {
        self.peek();
        self.raw_string()?;
        self.expect(b':')
    }

    fn tree(&mut self, depth_max: usize) -> Result<Option<Json<'a>>, NotJson> {
        let opens = self.peek();
        if !matches!(opens, b'[' | b'{') {
            return self.scalar().map(|scalar| Some(Json::Scalar(scalar)));
        }
        let Some(deeper_max) = depth_max.checked_sub(1) else { return Ok(None) };
        self.at += 1;
        if opens == b'[' {
            let mut elements = Vec::new();
            let mut is_open = !self.take(b']');
            while is_open {
                let Some(element) = self.tree(deeper_max)? else { return Ok(None) };
                elements.push(element);
                is_open = self.more(b']')?;
            }
            return Ok(Some(Json::Array(elements)));
        }
        let mut members: Vec<(Cow<'a, str>, Json<'a>)> = Vec::new();
        let mut is_open = !self.take(b'}');
        while is_open {
            let key = self.key()?;
            let Some(value) = self.tree(deeper_max)? else { return Ok(None) };
            match members.iter_mut().find(|(earlier, _)| *earlier == key) {
                Some(member) => member.1 = value,
                None => members.push((key, value)),
            }
            is_open = self.more(b'}')?;
        }
        Ok(Some(Json::Object(members)))
    }
}

/// A checked string without its escapes. Half a surrogate pair becomes U+FFFD: the grammar allows it, UTF-8 does not.
fn unescape(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let escape = rest.as_bytes()[at + 1];
        let mut taken = at + 2;
        match escape {
            b'u' => {
                let first = hex(&rest[taken..]);
                taken += 4;
                let low = rest[taken..].strip_prefix("\\u").map(hex).filter(|unit| (0xdc00..0xe000).contains(unit));
                let pair = low.filter(|_| (0xd800..0xdc00).contains(&first));
                let code = match pair {
                    Some(low) => {
                        taken += 6;
                        0x1_0000 + ((first - 0xd800) << 10) + (low - 0xdc00)
                    }
                    None => first,
                };
                out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            b'b' => out.push('\u{8}'),
            b'f' => out.push('\u{c}'),
            b'n' => out.push('\n'),
            b'r' => out.push('\r'),
            b't' => out.push('\t'),
            itself => out.push(char::from(itself)),
        }
        rest = &rest[taken..];
    }
    out.push_str(rest);
    out
}

/// Four digits that were checked.
fn hex(digits: &str) -> u32 {
    digits.bytes().take(4).fold(0, |code, digit| code * 16 + char::from(digit).to_digit(16).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn is_json(text: &str) -> bool {
        let mut reader = Reader::new(text);
        reader.skip_value().and_then(|()| reader.end()).is_ok()
    }

    fn value(json: &Json<'_>) -> Value {
        match json {
            Json::Scalar(Scalar::Text(text)) => Value::String(text.clone().into_owned()),
            Json::Scalar(Scalar::Number(text)) => serde_json::from_str(text).unwrap(),
            Json::Scalar(Scalar::Bool(bool)) => Value::Bool(*bool),
            Json::Scalar(Scalar::Null) => Value::Null,
            Json::Array(elements) => elements.iter().map(value).collect(),
            Json::Object(members) => members.iter().map(|(key, member)| (key.to_string(), value(member))).collect(),
        }
    }

    #[test]
    fn numbers_keep_their_spelling_and_escapes_are_undone() {
        let text = r#" [300, 300.0 ,3.0e2,-0, "a\u00e9\ud83d\ude00\n\/\"\\", "\ud800x", "\ude00\ud83d"] "#;
        let Json::Array(elements) = parse(text, 9).unwrap().unwrap() else { panic!("an array") };
        let numbers: Vec<Json<'_>> =
            ["300", "300.0", "3.0e2", "-0"].map(|number| Json::Scalar(Scalar::Number(number))).into();
        assert_eq!(elements[..4], numbers);
        let texts = ["a\u{e9}\u{1f600}\n/\"\\", "\u{fffd}x", "\u{fffd}\u{fffd}"];
        assert_eq!(elements[4..], texts.map(|text| Json::Scalar(Scalar::Text(text.into()))));
    }

    #[test]
    fn what_is_nested_too_deep_is_told_from_what_is_not_json() {
        assert_eq!(parse("[[[1]]]", 3).map(|tree| tree.is_some()), Ok(true));
        assert_eq!(parse("[[[1]]]", 2), Ok(None));
        assert_eq!(parse("[[[1]]", 2), Err(NotJson { at_byte: 6 }));
        assert!(is_json(&format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000))));
        assert!(!is_json(&r#"{"a":["#.repeat(200_000)));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 3000, ..ProptestConfig::default() })]

        #[test]
        fn it_takes_what_serde_json_takes_and_nothing_else(text in r#"([\[\]{},: "]|"a"|"\\\\[un/x]?(00e9)?"|-|0|1|7|\.|e|E|\+|true|null|\t|\\x01){0,9}"#) {
            let theirs = serde_json::from_str::<Value>(&text);
            // What no double can hold is JSON all the same.
            prop_assume!(!theirs.as_ref().is_err_and(|error| error.to_string().contains("out of range")));
            prop_assert_eq!(is_json(&text), theirs.is_ok(), "{}", text);
        }

        #[test]
        fn a_document_reads_as_serde_json_reads_it(text in r#"\{"a":(\[(1|-2\.5e3|0\.10|"x\\n"|\{\}|\[\]),? ?"",?null\]|true|"\\u00e9"),"(a|b)": ?\{"c" :false\}\}"#) {
            let expected = serde_json::from_str::<Value>(&text).ok();
            prop_assert_eq!(parse(&text, 9).ok().flatten().map(|json| value(&json)), expected, "{}", text);
        }
    }
}
