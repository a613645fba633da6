//! A small typed reader over the tables of a TOML document.
//!
//! Nothing here returns early: a wrong value is recorded as a mistake with its line, column and dotted key, the default
//! takes its place, and reading goes on, so that one run reports everything. What nobody asked for is an unknown key.
//! A syntax error is the exception: behind a broken line the rest cannot be trusted, so only it is reported.
//! Absent: any knowledge of what the keys mean.

use std::ops::RangeInclusive;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::document;
use super::finding::Position;
use super::record::{Record, Shape};
use super::source::{Located, Place, Probe, Source};
use super::suggest::nearest;

/// How many entries one array of tables, one list or one map may have.
const ENTRIES_MAX: usize = 1000;

/// What looks like a key of the built-in queue, and is a flag.
const TRIAL_FLAGS: [&str; 2] = ["time_control", "chaos"];

/// One table of the document. Ask for every key it may have, then call [`Section::finish`].
pub(super) struct Section<'s, 'a> {
    source: &'s Source<'a>,
    place: Place,
    table: &'s DeTable<'a>,
    asked: Vec<&'static str>,
    refused: Vec<&'static str>,
}

impl<'s, 'a> Section<'s, 'a> {
    /// The document itself.
    pub(super) fn root(source: &'s Source<'a>, table: &'s DeTable<'a>) -> Self {
        let place = Place { key: String::new(), at: Position { text: 0, line: 1, column: 1 } };
        Self { source, place, table, asked: Vec::new(), refused: Vec::new() }
    }

    /// The document the section belongs to: where findings go.
    pub(super) fn source(&self) -> &'s Source<'a> {
        self.source
    }

    /// Where the section begins.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Whether the key is written at all, right or wrong.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Whether the key is written as a table.
    pub(super) fn is_table(&self, key: &str) -> bool {
        self.source.probe() == Some(Probe::Tables)
            || self.table.get(key).is_some_and(|value| matches!(value.get_ref(), DeValue::Table(_)))
    }

    /// A string, expanded.
    pub(super) fn string(&mut self, key: &'static str) -> Option<Located<String>> {
        let (place, value) = self.take(key, Shape::Text)?;
        self.text_of(place, value)
    }

    /// A string that must be there and never prints.
    pub(super) fn required_secret(&mut self, key: &'static str, mend: &str) -> Option<Located<String>> {
        self.require(key, mend);
        let taken = self.take(key, Shape::Secret);
        self.now_required(key);
        let (place, value) = taken?;
        self.text_of(place, value)
    }

    /// What a key is that was asked for and is not written: for those who look at the whole config.
    pub(super) fn default_of(&self, key: &str, default: impl Into<Value>) {
        self.source.record_default(&self.path(key), default.into());
    }

    /// A key of a section that is not there, by its path below this one, with what it is then.
    pub(super) fn absent(&self, key: &str, default: impl Into<Value>) {
        self.note(key, Shape::Text, None);
        self.default_of(key, default);
    }

    fn now_required(&self, key: &str) {
        self.source.record_required(&self.path(key));
    }

    /// A string that must be there; its absence is recorded, `mend` says what to write.
    pub(super) fn required_string(&mut self, key: &'static str, mend: &str) -> Option<Located<String>> {
        self.require(key, mend);
        let found = self.string(key);
        self.now_required(key);
        found
    }

    /// A whole number in `range`, `default` if it is not written. `unit` reads after a number: `" s"`, `" MiB"`, `""`.
    pub(super) fn integer(
        &mut self,
        key: &'static str,
        range: RangeInclusive<u32>,
        unit: &str,
        default: u32,
    ) -> Located<u32> {
        let found = self.optional_integer(key, range, unit);
        self.default_of(key, default);
        found.unwrap_or_else(|| Located::new(default, self.place_of(key)))
    }

    /// A whole number in `range`, if it is written.
    pub(super) fn optional_integer(
        &mut self,
        key: &'static str,
        range: RangeInclusive<u32>,
        unit: &str,
    ) -> Option<Located<u32>> {
        self.bounded_integer(key, &range, unit)
    }

    fn bounded_integer(&mut self, key: &'static str, range: &RangeInclusive<u32>, unit: &str) -> Option<Located<u32>> {
        let (start, end) = (range.start(), range.end());
        let mend = match start == end {
            true => format!("write {start}, or remove the key"),
            false => format!("write a whole number from {start} to {end}{unit}"),
        };
        let shape = Shape::Integer { least: *start, most: *end };
        let number = self.whole_number(key, shape, &mend)?;
        let place = number.place;
        if let Some(value) = u32::try_from(number.value).ok().filter(|value| range.contains(value)) {
            return Some(Located::new(value, place));
        }
        let span = if start == end { start.to_string() } else { format!("{start}–{end}") };
        self.wrong(&place, format!("{} is not in {span}{unit}", number.value), mend)
    }

    /// A number from 0 to 1, if it is written.
    pub(super) fn optional_share(&mut self, key: &'static str) -> Option<Located<f64>> {
        let (place, value) = self.take(key, Shape::Share)?;
        let (number, shown) = match value.get_ref() {
            DeValue::Float(number) => (number.as_str().replace('_', "").parse().ok(), number.to_string()),
            DeValue::Integer(digits) => (digits.as_str().parse().ok(), digits.to_string()),
            DeValue::String(_) => {
                let text = self.text_of(place.clone(), value)?;
                (if text.is_from_env() { text.value.trim().parse().ok() } else { None }, text.shown())
            }
            other => (None, kind_of(other)),
        };
        match number.filter(|number| (0.0..=1.0).contains(number)) {
            Some(number) => Some(Located::new(number, place)),
            None => self.wrong(&place, format!("{shown} is not a number from 0 to 1"), "write one, such as 0.1"),
        }
    }

    fn whole_number(&mut self, key: &'static str, shape: Shape, mend: &str) -> Option<Located<i64>> {
        let (place, value) = self.take(key, shape)?;
        let number = match value.get_ref() {
            DeValue::Integer(digits) => i64::from_str_radix(digits.as_str(), digits.radix()).ok(),
            DeValue::String(_) => {
                let text = self.text_of(place.clone(), value)?;
                // TOML has no other way to take a number from the environment; a plain "3" stays a mistake.
                let number = if text.is_from_env() { text.value.trim().parse().ok() } else { None };
                if number.is_none() {
                    return self.wrong(&place, format!("{} is not a whole number", text.shown()), mend);
                }
                number
            }
            other => return self.wrong(&place, format!("{} is not a whole number", kind_of(other)), mend),
        };
        match number {
            Some(value) => Some(Located::new(value, place)),
            None => self.wrong(&place, "the number is far too large", mend),
        }
    }

    /// A whole number in `range` that must be there; its absence is recorded, `mend` says what to write.
    pub(super) fn required_integer(
        &mut self,
        key: &'static str,
        range: RangeInclusive<u32>,
        mend: &str,
    ) -> Option<Located<u32>> {
        self.require(key, mend);
        let found = self.optional_integer(key, range, "");
        self.now_required(key);
        found
    }

    /// `true` or `false`, `default` if it is not written.
    pub(super) fn boolean(&mut self, key: &'static str, default: bool) -> Located<bool> {
        let found = self.optional_boolean(key);
        self.default_of(key, default);
        found.unwrap_or_else(|| Located::new(default, self.place_of(key)))
    }

    /// `true` or `false`, if it is written.
    pub(super) fn optional_boolean(&mut self, key: &'static str) -> Option<Located<bool>> {
        let (place, value) = self.take(key, Shape::Boolean)?;
        let mend = "write true or false, without quotes";
        match value.get_ref() {
            DeValue::Boolean(value) => Some(Located::new(*value, place)),
            DeValue::String(_) => {
                let text = self.text_of(place.clone(), value)?;
                let value = if text.is_from_env() { text.value.trim().parse().ok() } else { None };
                match value {
                    Some(value) => Some(Located::new(value, place)),
                    None => self.wrong(&place, format!("{} is not true or false", text.shown()), mend),
                }
            }
            other => self.wrong(&place, format!("{} is not true or false", kind_of(other)), mend),
        }
    }

    /// One of a few words, each with what it means.
    pub(super) fn choice<T: Copy>(&mut self, key: &'static str, choices: &[(&str, T)]) -> Option<Located<T>> {
        let shape = Shape::Words(choices.iter().map(|(word, _)| (*word).to_owned()).collect());
        let (place, value) = self.take(key, shape)?;
        let text = self.text_of(place, value)?;
        if let Some((_, meaning)) = choices.iter().find(|(word, _)| *word == text.value) {
            let meaning = *meaning;
            return Some(text.map(|_| meaning));
        }
        let words: Vec<String> = choices.iter().map(|(word, _)| format!("{word:?}")).collect();
        self.wrong(
            &text.place,
            format!("{} is not one of {}", text.shown(), words.join(", ")),
            format!("write {}", words.join(" or ")),
        )
    }

    /// A list of strings, each expanded; empty if it is not written.
    pub(super) fn strings(&mut self, key: &'static str) -> Vec<Located<String>> {
        let Some((place, value)) = self.take(key, Shape::Texts) else { return Vec::new() };
        if self.source.is_override(place.at) {
            let Some(text) = self.text_of(place, value) else { return Vec::new() };
            let items = text.value.split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty());
            return items.collect::<Vec<_>>().into_iter().map(|item| text.clone().map(|_| item)).collect();
        }
        let Some(items) = value.get_ref().as_array() else {
            let what = format!("expected a list of strings, found {}", kind_of(value.get_ref()));
            self.source.mistake(&place, what, format!("write {key} = [\"…\"]"));
            return Vec::new();
        };
        let items = self.bounded(&place, items.iter().collect());
        let located = items.into_iter().enumerate().map(|(index, item)| {
            let place = Place { key: format!("{}[{index}]", place.key), at: self.source.position(item.span()) };
            self.text_of(place, item)
        });
        located.flatten().collect()
    }

    /// A table of strings such as `{ NAME = "value" }`: names with their expanded values, in the order of the names.
    pub(super) fn string_map(&mut self, key: &'static str) -> Vec<(String, Located<String>)> {
        let entries = self.map_of(key, Shape::TextMap).into_iter();
        let texts = entries.filter_map(|(name, entry)| match entry {
            Entry::Text(text) => Some((name, text)),
            Entry::Table(table) => self.wrong(table.place(), "expected a string, found a table", "write it in quotes"),
        });
        texts.collect()
    }

    /// A table whose values are strings, which never print, or tables: names with what they have, in the order of the names.
    pub(super) fn secret_map(&mut self, key: &'static str) -> Vec<(String, Entry<'s, 'a>)> {
        self.map_of(key, Shape::SecretMap)
    }

    fn map_of(&mut self, key: &'static str, shape: Shape) -> Vec<(String, Entry<'s, 'a>)> {
        let each = if shape == Shape::SecretMap { Shape::Secret } else { Shape::Text };
        let taken = self.take(key, shape);
        if self.source.probe() == Some(Probe::Tables) && each == Shape::Secret {
            let place = Place { key: format!("{}.*", self.path(key)), at: self.place.at };
            return vec![("*".to_owned(), Entry::Table(Self::inner(self.source, place, self.table)))];
        }
        let Some((place, value)) = taken else { return Vec::new() };
        let Some(table) = value.get_ref().as_table() else {
            let what = format!("expected a table of strings, found {}", kind_of(value.get_ref()));
            self.source.mistake(&place, what, format!("write {key} = {{ NAME = \"value\" }}"));
            return Vec::new();
        };
        let entries = self.bounded(&place, table.iter().collect());
        let located = entries.into_iter().filter_map(|(name, value)| {
            let name = name.get_ref().to_string();
            let place = Place { key: format!("{}.{name}", place.key), at: self.source.position(value.span()) };
            let entry = match value.get_ref() {
                DeValue::Table(table) => Entry::Table(Self::inner(self.source, place, table)),
                _ => {
                    self.note(&place.key, each.clone(), Some((place.at, value)));
                    Entry::Text(self.text_of(place, value)?)
                }
            };
            Some((name, entry))
        });
        located.collect()
    }

    /// A sub-table, written as `[key]` or `key = { … }`.
    pub(super) fn table(&mut self, key: &'static str) -> Option<Section<'s, 'a>> {
        let taken = self.take(key, Shape::Table);
        if self.source.probe().is_some() {
            return Some(Self::inner(self.source, self.place_of(key), self.table));
        }
        let (place, value) = taken?;
        match value.get_ref() {
            DeValue::Table(table) => Some(Self::inner(self.source, place, table)),
            other => {
                let (what, mend) = match self.place.key.is_empty() {
                    true => (format!("expected one table, found {}", kind_of(other)), format!("write [{key}]")),
                    false => (format!("expected a table, found {}", kind_of(other)), format!("write {key} = {{ … }}")),
                };
                self.wrong(&place, what, mend)
            }
        }
    }

    /// An array of tables, written as repeated `[[key]]`; empty if it is not written.
    pub(super) fn array_of_tables(&mut self, key: &'static str) -> Vec<Section<'s, 'a>> {
        let taken = self.take(key, Shape::Tables);
        if self.source.probe().is_some() {
            let place = Place { key: format!("{}[]", self.path(key)), at: self.place.at };
            return vec![Self::inner(self.source, place, self.table)];
        }
        let Some((place, value)) = taken else { return Vec::new() };
        let mend = format!("begin each entry with its own [[{key}]]");
        let Some(items) = value.get_ref().as_array() else {
            let what = format!("expected [[{key}]] entries, found {}", kind_of(value.get_ref()));
            self.source.mistake(&place, what, mend);
            return Vec::new();
        };
        let items = self.bounded(&place, items.iter().collect());
        let sections = items.into_iter().enumerate().filter_map(|(index, item)| {
            let place = Place { key: format!("{}[{index}]", place.key), at: self.source.position(item.span()) };
            match item.get_ref() {
                DeValue::Table(table) => Some(Self::inner(self.source, place, table)),
                other => self.wrong(&place, format!("expected a table, found {}", kind_of(other)), mend.clone()),
            }
        });
        sections.collect()
    }

    /// A key of the design that this version does not do: refused, never ignored.
    pub(super) fn not_yet(&mut self, key: &'static str, what_it_would_do: &str) {
        self.refuse(key, &format!("not yet: this version has no {what_it_would_do}"), "remove the key");
    }

    /// A known key that is refused, with the reason.
    pub(super) fn refuse(&mut self, key: &'static str, what: &str, mend: &str) {
        if let Some(value) = self.table.get(key) {
            let place = Place { key: self.path(key), at: self.source.position(value.span()) };
            self.source.mistake(&place, what, mend);
        }
        self.refused.push(key);
    }

    /// Reports what nobody asked for.
    pub(super) fn finish(self) {
        for (name, _) in self.table {
            let written = name.get_ref().as_ref();
            if self.asked.contains(&written) || self.refused.contains(&written) {
                continue;
            }
            let place = Place { key: self.path(written), at: self.source.position(name.span()) };
            let near = nearest(written, self.asked.iter().chain(&self.refused));
            let mend = match near {
                _ if TRIAL_FLAGS.contains(&written) => {
                    format!(
                        "{written} is for tests, so it is a flag of `wasmill dev` and `wasmill queue serve`, and no key"
                    )
                }
                _ if self.source.is_top_level(written) => {
                    format!("{written} is a key of the whole file: move it above the first [section]")
                }
                Some(near) if self.source.is_override(place.at) => {
                    format!("did you mean {}?", document::variable_of(&self.path(near)))
                }
                Some(near) => format!("did you mean {near}?"),
                None => format!("the keys here are {}", self.asked.join(", ")),
            };
            self.source.mistake(&place, "unknown key", mend);
        }
    }

    fn inner(source: &'s Source<'a>, place: Place, table: &'s DeTable<'a>) -> Self {
        Self { source, place, table, asked: Vec::new(), refused: Vec::new() }
    }

    fn take(&mut self, key: &'static str, shape: Shape) -> Option<(Place, &'s Spanned<DeValue<'a>>)> {
        self.asked.push(key);
        let value = self.table.get(key);
        let place = value.map(|value| Place { key: self.path(key), at: self.source.position(value.span()) });
        self.note(&self.path(key), shape, place.as_ref().map(|place| place.at).zip(value));
        Some((place?, value?))
    }

    /// Keeps what was asked for, and what is written there.
    fn note(&self, key: &str, shape: Shape, written: Option<(Position, &Spanned<DeValue<'a>>)>) {
        let mut variables = Vec::new();
        let value = written.map_or(Value::Null, |(_, value)| self.value_of(value.get_ref(), &shape, &mut variables));
        let at = written.map(|(at, _)| at);
        let key = key.to_owned();
        self.source.record(Record {
            key,
            shape,
            is_required: false,
            at,
            value,
            variables,
            default: None,
            default_from: None,
        });
    }

    /// A value for those who look at the config; what is wrong with it is said elsewhere.
    fn value_of(&self, value: &DeValue<'a>, shape: &Shape, variables: &mut Vec<String>) -> Value {
        match value {
            DeValue::String(text) => {
                variables.extend(self.source.variables(text));
                let expanded = self.source.expand(text, self.place.clone()).map(|text| text.value).unwrap_or_default();
                match shape {
                    Shape::Integer { .. } | Shape::Boolean | Shape::Share => {
                        expanded.parse().unwrap_or(Value::String(expanded))
                    }
                    _ => Value::String(expanded),
                }
            }
            DeValue::Integer(digits) => {
                i64::from_str_radix(digits.as_str(), digits.radix()).map_or(Value::Null, Value::from)
            }
            DeValue::Float(number) => number.as_str().replace('_', "").parse::<f64>().map_or(Value::Null, Value::from),
            DeValue::Boolean(value) => Value::Bool(*value),
            DeValue::Array(items) => {
                items.iter().map(|item| self.value_of(item.get_ref(), &Shape::Text, variables)).collect()
            }
            _ => Value::Null,
        }
    }

    fn require(&self, key: &'static str, mend: &str) {
        if !self.has(key) {
            self.source.mistake(&self.place_of(key), "is missing", mend);
        }
    }

    /// The place of a key that is not written: its own path, where its section begins.
    pub(super) fn place_of(&self, key: &str) -> Place {
        Place { key: self.path(key), at: self.place.at }
    }

    fn path(&self, key: &str) -> String {
        if self.place.key.is_empty() { key.to_owned() } else { format!("{}.{key}", self.place.key) }
    }

    fn wrong<T>(&self, place: &Place, what: impl Into<String>, mend: impl Into<String>) -> Option<T> {
        self.source.mistake(place, what, mend);
        None
    }

    fn text_of(&self, place: Place, value: &Spanned<DeValue<'a>>) -> Option<Located<String>> {
        let Some(written) = value.get_ref().as_str() else {
            let what = format!("expected a string, found {}", kind_of(value.get_ref()));
            return self.wrong(&place, what, "write it in quotes");
        };
        match self.source.expand(written, place) {
            Ok(text) => Some(text),
            Err((place, errors)) => {
                for error in errors {
                    self.source.mistake(&place, error.to_string(), error.mend());
                }
                None
            }
        }
    }

    fn bounded<T>(&self, place: &Place, mut items: Vec<T>) -> Vec<T> {
        if items.len() > ENTRIES_MAX {
            let what = format!("{} entries are more than {ENTRIES_MAX}", items.len());
            self.source.mistake(place, what, format!("keep at most {ENTRIES_MAX}"));
            items.truncate(ENTRIES_MAX);
        }
        items
    }
}

/// A value that may be written short, as a text, or long, as a table.
pub(super) enum Entry<'s, 'a> {
    Text(Located<String>),
    Table(Section<'s, 'a>),
}

/// TOML's word for what a value is, with its article.
fn kind_of(value: &DeValue<'_>) -> String {
    let kind = value.type_str();
    let article = if kind.starts_with(['a', 'i']) { "an" } else { "a" };
    format!("{article} {kind}")
}
