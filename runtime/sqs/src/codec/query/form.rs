//! Form-encoded parameters as the query protocol nests them: `Attribute.1.Name`, `Entry.2.MessageAttribute.1.Value.DataType`.
//!
//! The parameters are sorted along their paths, numbers by value, so that everything under one prefix is one slice and
//! lists come in the order of their indices, which may have gaps. What each action looks for is in `members.rs`.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::mem;

use crate::error::ActionError;
use crate::wire::lists::{ENTRIES_MAX, Entries, List, MEMBERS_MAX, TooMany};
use crate::wire::members::{Blob, Pairs, Text, from_base64};

/// The most parameters of one request: ten entries with ten attributes each have about four hundred.
const PARAMETERS_MAX: usize = 4096;

/// What a form can be read into.
pub(crate) trait FromForm: Sized {
    fn from_form(form: &mut Scope<'_, '_>) -> Result<Self, ActionError>;
}

/// All parameters of one request.
#[derive(Debug)]
pub(crate) struct Form<'a> {
    parameters: Vec<Parameter<'a>>,
}

#[derive(Debug)]
struct Parameter<'a> {
    path: Cow<'a, str>,
    value: Cow<'a, str>,
}

/// The parameters under one prefix.
#[derive(Debug)]
pub(crate) struct Scope<'f, 'a> {
    parameters: &'f mut [Parameter<'a>],
    /// Where the part after the prefix begins in each path.
    at: usize,
}

impl<'a> Form<'a> {
    /// Reads the forms of a request. Of a parameter that is given twice the first counts.
    pub(crate) fn parse(forms: [&'a [u8]; 2]) -> Result<Self, ActionError> {
        let mut parameters = Vec::with_capacity(16);
        for pair in forms.into_iter().flat_map(|form| form.split(|byte| *byte == b'&')).filter(|pair| !pair.is_empty())
        {
            if parameters.len() == PARAMETERS_MAX {
                return Err(malformed(format!("The request has more than {PARAMETERS_MAX} parameters.")));
            }
            let equals = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            let (path, value) = (&pair[..equals], pair.get(equals + 1..).unwrap_or_default());
            let path = decoded(path).ok_or_else(|| malformed("The name of a parameter is not UTF-8 text.".into()))?;
            let value = decoded(value).ok_or_else(|| malformed(format!("The value of {path} is not UTF-8 text.")))?;
            parameters.push(Parameter { path, value });
        }
        parameters.sort_by(|a, b| along_paths(&a.path, &b.path));
        Ok(Self { parameters })
    }

    pub(crate) fn scope(&mut self) -> Scope<'_, 'a> {
        Scope { parameters: &mut self.parameters, at: 0 }
    }
}

fn malformed(what: String) -> ActionError {
    ActionError::MalformedQuery { what }
}

/// Undoes `+` and `%XX`. None when the escapes are not hexadecimal or the text is not UTF-8.
fn decoded(raw: &[u8]) -> Option<Cow<'_, str>> {
    if !raw.iter().any(|byte| matches!(byte, b'+' | b'%')) {
        return str::from_utf8(raw).ok().map(Cow::Borrowed);
    }
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let [first, tail @ ..] = rest {
        rest = match (first, tail) {
            (b'+', _) => {
                bytes.push(b' ');
                tail
            }
            (b'%', [high, low, tail @ ..]) => {
                bytes.push(hex_digit(*high)? << 4 | hex_digit(*low)?);
                tail
            }
            (b'%', _) => return None,
            (byte, _) => {
                bytes.push(*byte);
                tail
            }
        };
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

fn along_paths(a: &str, b: &str) -> Ordering {
    a.split('.').map(step).cmp(b.split('.').map(step))
}

/// One step of a path, for sorting: an index or a name.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step<'a> {
    Index(u32),
    Name(&'a str),
}

/// Only the plain spelling of a number is an index, so that one index has one spelling.
fn step(text: &str) -> Step<'_> {
    let plain =
        text.len() <= 9 && text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    match text.parse() {
        Ok(index) if plain => Step::Index(index),
        _ => Step::Name(text),
    }
}

impl<'a> Parameter<'a> {
    /// The first step after the prefix, and where the one after it begins, if there is one.
    fn step(&self, at: usize) -> (&str, Option<usize>) {
        let rest = self.path.get(at..).unwrap_or_default();
        match rest.find('.') {
            Some(length) => (&rest[..length], Some(at + length + 1)),
            None => (rest, None),
        }
    }

    fn index(&self, at: usize) -> Option<u32> {
        match step(self.step(at).0) {
            Step::Index(index) => Some(index),
            Step::Name(_) => None,
        }
    }

    fn take(&mut self) -> String {
        mem::take(&mut self.value).into_owned()
    }
}

impl<'a> Scope<'_, 'a> {
    /// Everything whose path goes on with `name`.
    fn named(&mut self, name: &str) -> &mut [Parameter<'a>] {
        let at = self.at;
        let is_named = |parameter: &Parameter<'_>| parameter.step(at).0 == name;
        let start = self.parameters.iter().position(is_named).unwrap_or(self.parameters.len());
        let length = self.parameters[start..].iter().take_while(|parameter| is_named(parameter)).count();
        &mut self.parameters[start..start + length]
    }

    /// What is nested under `name`.
    fn nested(&mut self, name: &str) -> Scope<'_, 'a> {
        let at = self.at + name.len() + 1;
        let named = self.named(name);
        let bare = named.iter().take_while(|parameter| parameter.path.len() < at).count();
        Scope { parameters: &mut named[bare..], at }
    }

    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        let end = self.at + name.len();
        let first = self.named(name).first_mut()?;
        (first.path.len() == end).then(|| first.take())
    }

    /// An integer; empty text is as good as none.
    pub(crate) fn integer(&mut self, name: &'static str) -> Result<Option<i64>, ActionError> {
        let Some(text) = self.text(name).filter(|text| !text.is_empty()) else { return Ok(None) };
        let reason = "It must be an integer.";
        text.parse().map(Some).map_err(|_| ActionError::InvalidParameter { name, value: text, reason: reason.into() })
    }

    /// Bytes, written as base64.
    pub(crate) fn blob(&mut self, name: &'static str) -> Result<Option<Blob>, ActionError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let reason = "It must be base64 text.";
        let bytes = from_base64(&text);
        let invalid = || ActionError::InvalidParameter { name, value: text, reason: reason.into() };
        bytes.map(|bytes| Some(Blob(bytes))).ok_or_else(invalid)
    }

    /// How many parameters there are under a name.
    pub(crate) fn count(&mut self, name: &str) -> usize {
        self.named(name).len()
    }

    /// `Name.1`, `Name.2`, …, or a single `Name`.
    pub(crate) fn list(&mut self, name: &str) -> Result<Option<List<String>>, ActionError> {
        let at = self.at + name.len() + 1;
        let is_member = |parameter: &&mut Parameter<'_>| match parameter.path.len() < at {
            true => !parameter.value.is_empty(),
            false => parameter.index(at).is_some() && parameter.step(at).1.is_none(),
        };
        let members: Vec<String> = self.named(name).iter_mut().filter(is_member).map(Parameter::take).collect();
        check_length(name, members.len())?;
        Ok((!members.is_empty()).then_some(List(members)))
    }

    /// `Name.1.…`, `Name.2.…`, or a single `Name.…`, each as a scope of its own.
    fn elements<T>(
        &mut self,
        name: &str,
        mut read: impl FnMut(&mut Scope<'_, 'a>) -> Result<T, ActionError>,
    ) -> Result<Vec<T>, ActionError> {
        let Scope { parameters, at } = self.nested(name);
        let same = |a: &Parameter<'_>, b: &Parameter<'_>| a.index(at) == b.index(at);
        let elements = parameters.chunk_by_mut(same).map(|element| {
            // The last has the longest path: before it there may be a value where a structure should be.
            let inner = element.last().and_then(|last| last.index(at).and(last.step(at).1)).unwrap_or(at);
            read(&mut Scope { parameters: element, at: inner })
        });
        elements.collect()
    }

    /// A map of texts: `Name.1.<key>` and `Name.1.<value>`.
    pub(crate) fn texts(
        &mut self,
        name: &str,
        key: (&str, &'static str),
        value: (&str, &'static str),
    ) -> Result<Option<Pairs<Text>>, ActionError> {
        let required = |text: Option<String>, name| text.ok_or(ActionError::MissingParameter { name });
        let pairs = self.elements(name, |element| {
            let key = required(element.text(key.0), key.1)?;
            Ok((key, Text(required(element.text(value.0), value.1)?)))
        })?;
        self.map(name, pairs)
    }

    /// A map of structures: `Name.1.Name` and `Name.1.Value.…`.
    pub(crate) fn structures<T: FromForm>(&mut self, name: &str) -> Result<Option<Pairs<T>>, ActionError> {
        let pairs = self.elements(name, |element| {
            Ok((element.text("Name").unwrap_or_default(), T::from_form(&mut element.nested("Value"))?))
        })?;
        self.map(name, pairs)
    }

    fn map<T>(&self, name: &str, pairs: Vec<(String, T)>) -> Result<Option<Pairs<T>>, ActionError> {
        check_length(name, pairs.len())?;
        Ok((!pairs.is_empty()).then_some(Pairs(pairs)))
    }

    /// The entries of a batch.
    pub(crate) fn entries<T: FromForm>(&mut self, name: &str) -> Result<Option<Entries<T>>, ActionError> {
        let mut sent = 0;
        let entries = self.elements(name, |element| {
            sent += 1;
            if sent <= ENTRIES_MAX { T::from_form(element).map(Some) } else { Ok(None) }
        })?;
        Ok((sent > 0).then(|| Entries { first: entries.into_iter().flatten().collect(), sent }))
    }
}

fn check_length(name: &str, length: usize) -> Result<(), ActionError> {
    if length > MEMBERS_MAX {
        return Err(malformed(format!("The value of {name} cannot be read: {TooMany}.")));
    }
    Ok(())
}
