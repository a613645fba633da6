//! What a config is read from: one file, or every `*.toml` of a folder in the order of their names, and the variables
//! of wasmill's environment that override it.
//!
//! All become one table. Its spans count over all texts, one behind the other, so that each value still knows the file,
//! or the variable, that it is from.

use std::ffi::OsString;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::finding::{Mistakes, Position};
use super::source::{Place, Source};

/// More is not a config.
const CONFIG_BYTES_MAX: u64 = 1024 * 1024;
/// More files are not a folder of configs.
const FILES_MAX: usize = 100;
/// What a variable that overrides a key begins with; `__` stands between a section and a key.
const OVERRIDE_PREFIX: &str = "WASMILL__";
const SEPARATOR: &str = "__";
/// Keys whose entries have no names that stay, so that no variable could mean one of them.
const ARRAYS: [&str; 3] = ["queue", "function", "event_source_mapping"];

/// Where a part of the config is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A file that somebody wrote.
    File(PathBuf),
    /// A text that was made of this file.
    Made(PathBuf),
    /// A variable of wasmill's own environment.
    Variable(String),
}

/// A part of the config.
#[derive(Clone, Debug)]
pub(super) struct Text {
    pub(super) origin: Origin,
    pub(super) content: String,
}

impl Text {
    pub(super) fn file(path: &Path, content: impl Into<String>) -> Self {
        Self { origin: Origin::File(path.to_owned()), content: content.into() }
    }

    pub(super) fn made(path: &Path, content: impl Into<String>) -> Self {
        Self { origin: Origin::Made(path.to_owned()), content: content.into() }
    }

    /// A variable's value is taken by the config's own expansion, which knows not to show it.
    fn variable(name: &str) -> Self {
        Self { origin: Origin::Variable(name.to_owned()), content: format!("${{{name}}}") }
    }
}

/// The texts at `path`, a file or a folder, and the variables among `names` that override them.
pub(super) fn read(path: &Path, names: &[String]) -> Result<Vec<Text>, Mistakes> {
    let mut texts = Vec::new();
    let mut left = CONFIG_BYTES_MAX;
    for file in files(path)? {
        let content = read_file(&file, left)?;
        left = left.saturating_sub(content.len() as u64);
        texts.push(Text::file(&file, content));
    }
    let mut names: Vec<&String> = names.iter().filter(|name| name.starts_with(OVERRIDE_PREFIX)).collect();
    names.sort();
    texts.extend(names.into_iter().map(|name| Text::variable(name)));
    Ok(texts)
}

/// The file itself, or those of the folder.
fn files(path: &Path) -> Result<Vec<PathBuf>, Mistakes> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path).map_err(|error| {
        let what = format!("the config folder cannot be read: {error}");
        Mistakes::of_file(path, what, "check its permissions".to_owned())
    })?;
    let is_config = |name: &OsString| {
        let name = name.to_string_lossy();
        name.ends_with(".toml") && !name.starts_with('.')
    };
    let mut names: Vec<OsString> = entries.flatten().map(|entry| entry.file_name()).filter(is_config).collect();
    names.sort();
    if names.is_empty() || names.len() > FILES_MAX {
        let what = match names.len() {
            0 => "there is no .toml file in this folder".to_owned(),
            count => format!("{count} .toml files are more than {FILES_MAX}"),
        };
        return Err(Mistakes::of_file(path, what, "check the path given to --config".to_owned()));
    }
    Ok(names.into_iter().map(|name| path.join(name)).collect())
}

fn read_file(path: &Path, bytes_max: u64) -> Result<String, Mistakes> {
    let cannot_read = |error: &std::io::Error| {
        let what = format!("the config file cannot be read: {error}");
        Mistakes::of_file(path, what, "check the path given to --config and its permissions".to_owned())
    };
    let file = std::fs::File::open(path).map_err(|error| cannot_read(&error))?;
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(|error| cannot_read(&error))?;
    if bytes.len() as u64 > bytes_max {
        let what = format!("the config is larger than {CONFIG_BYTES_MAX} bytes");
        return Err(Mistakes::of_file(path, what, "check the path given to --config".to_owned()));
    }
    String::from_utf8(bytes).map_err(|error| {
        let what = format!("the config file is not UTF-8 text: byte {} is not", error.utf8_error().valid_up_to());
        Mistakes::of_file(path, what, "save it as UTF-8".to_owned())
    })
}

/// The variable that overrides a key.
pub(super) fn variable_of(key: &str) -> String {
    format!("{OVERRIDE_PREFIX}{}", key.replace('.', SEPARATOR).to_uppercase())
}

/// One table of all texts. Of a text that is not TOML, and of what is there twice, a mistake is recorded; `None`: nothing
/// else would be worth saying.
pub(super) fn merge<'a>(source: &Source<'a>, texts: &'a [Text]) -> Option<DeTable<'a>> {
    let mut whole = DeTable::new();
    let (mut offset, mut is_torn) = (0, false);
    for text in texts {
        match &text.origin {
            Origin::Variable(name) => set(source, &mut whole, name, &text.content, offset),
            Origin::File(_) | Origin::Made(_) => match DeTable::parse(&text.content) {
                Ok(table) => join(source, &mut whole, shifted_table(table.into_inner(), offset)),
                Err(error) => {
                    let span = error.span().unwrap_or_default();
                    let at = source.position(offset + span.start..offset + span.end);
                    let what = format!("not valid TOML: {}", error.message().replace('\n', ", "));
                    let mend = "correct the syntax; the keys are checked once the file is valid TOML";
                    source.mistake(&Place { key: String::new(), at }, what, mend);
                    is_torn = true;
                }
            },
        }
        offset += text.content.len() + 1;
    }
    (!is_torn).then_some(whole)
}

/// Where a span begins: which text, and the place in it.
pub(super) fn position(texts: &[Text], span: &Range<usize>) -> Position {
    let mut start = span.start;
    for (index, text) in (0..).zip(texts) {
        if start <= text.content.len() {
            let before = text.content.get(..start).unwrap_or(&text.content);
            let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
            let line = before.matches('\n').count() + 1;
            let column = u32::try_from(before[line_start..].chars().count()).unwrap_or(u32::MAX).saturating_add(1);
            return Position { text: index, line, column };
        }
        start -= text.content.len() + 1;
    }
    Position { text: 0, line: 1, column: 1 }
}

/// Adds one file's table to those before. Entries of arrays are put behind each other; anything else may be there once.
fn join<'a>(source: &Source<'a>, whole: &mut DeTable<'a>, table: DeTable<'a>) {
    for (key, value) in table {
        let Some(before) = whole.get_mut(key.get_ref().as_ref()) else {
            whole.insert(key, value);
            continue;
        };
        let first = source.position(before.span());
        match (before.get_mut(), value.into_inner()) {
            (DeValue::Array(before), DeValue::Array(more)) if ARRAYS.contains(&key.get_ref().as_ref()) => {
                more.into_iter().for_each(|entry| before.push(entry));
            }
            _ => {
                let place = Place { key: key.get_ref().to_string(), at: source.position(key.span()) };
                let what = format!("is there already, {}", source.elsewhere(first, place.at));
                source.mistake(&place, what, "keep it in one file: only [[queue]] and the like may be in several");
            }
        }
    }
}

/// Puts a variable's value where its name says.
fn set<'a>(source: &Source<'a>, whole: &mut DeTable<'a>, name: &str, value: &'a str, offset: usize) {
    let path: Vec<String> = name.trim_start_matches(OVERRIDE_PREFIX).split(SEPARATOR).map(str::to_lowercase).collect();
    let span = offset..offset + value.len();
    let place = Place { key: path.join("."), at: source.position(span.clone()) };
    let first = path.first().map(String::as_str).unwrap_or_default();
    if ARRAYS.contains(&first) {
        let what = format!("entries of [[{first}]] have no names that a variable could mean one of them by");
        source.mistake(&place, what, "write \"${NAME}\" in the file where the value is to stand");
        return;
    }
    let (Some((key, sections)), false) = (path.split_last(), path.iter().any(String::is_empty)) else {
        let mend = format!("write {OVERRIDE_PREFIX}SECTION{SEPARATOR}KEY, or {OVERRIDE_PREFIX}KEY for the whole file");
        source.mistake(&place, "names no key", mend);
        return;
    };
    let mut table = whole;
    for section in sections {
        let spanned = Spanned::new(span.clone(), section.clone().into());
        if !table.contains_key(section.as_str()) {
            table.insert(spanned, Spanned::new(span.clone(), DeValue::Table(DeTable::new())));
        }
        let Some(DeValue::Table(inner)) = table.get_mut(section.as_str()).map(Spanned::get_mut) else {
            source.mistake(&place, format!("{section} is no section"), "override one of its section's keys");
            return;
        };
        table = inner;
    }
    table.insert(Spanned::new(span.clone(), key.clone().into()), Spanned::new(span, DeValue::String(value.into())));
}

fn shifted_table(table: DeTable<'_>, by: usize) -> DeTable<'_> {
    if by == 0 {
        return table;
    }
    let shifted_key = |key: Spanned<_>| Spanned::new(shifted_span(&key.span(), by), key.into_inner());
    table.into_iter().map(|(key, value)| (shifted_key(key), shifted(value, by))).collect()
}

fn shifted(value: Spanned<DeValue<'_>>, by: usize) -> Spanned<DeValue<'_>> {
    let span = shifted_span(&value.span(), by);
    let value = match value.into_inner() {
        DeValue::Table(table) => DeValue::Table(shifted_table(table, by)),
        DeValue::Array(items) => {
            DeValue::Array(items.into_iter().map(|item| shifted(item, by)).collect::<DeArray<'_>>())
        }
        scalar => scalar,
    };
    Spanned::new(span, value)
}

fn shifted_span(span: &Range<usize>, by: usize) -> Range<usize> {
    span.start + by..span.end + by
}
