//! What a folder or a file is the source of.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::config::Runtime;
use crate::error::CliError;
use crate::interpreters;

/// What a handler is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// A component, with the crate wasmill-handler.
    Rust,
    /// Lambda's own handlers, in wasmill's Python runtime.
    Python,
    /// Lambda's own handlers, in wasmill's JavaScript runtime.
    Js,
    /// The same in TypeScript.
    Ts,
    /// A WASI command.
    C,
    /// A WASI command.
    Go,
    /// A WASI command.
    Zig,
}

/// A handler's source.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Project {
    pub(super) language: Language,
    /// Where the source lies.
    pub(super) folder: PathBuf,
    /// The one file to begin with: of C, Zig, Python and JavaScript.
    pub(super) entry: Option<PathBuf>,
    /// Lambda's `FILE.FUNCTION`, of Python and JavaScript.
    pub(super) handler: String,
    /// What the module is called.
    pub(super) name: String,
}

/// Files that are the handler's when there are several, without their endings: what AWS's own tools make.
const USUAL_STEMS: [&str; 6] = ["handler", "index", "main", "app", "lambda_function", "function"];

impl Project {
    /// Looks at a path. `handler` is `FILE.FUNCTION`, or none for the usual one.
    pub(super) fn of(path: &Path, handler: Option<&str>) -> Result<Self, CliError> {
        let absent = |error| CliError::usage(format!("there is no source: {error}")).at(path.display());
        let whole = path.canonicalize().map_err(absent)?;
        let name = |path: &Path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        if whole.is_file() {
            let language = language_of(&whole).ok_or_else(|| {
                CliError::usage("is no source that wasmill can build").at(path.display()).with_mend(KNOWN)
            })?;
            return Self::with_entry(language, interpreters::parent(path).to_owned(), path, name(&whole), handler);
        }
        if whole.join("Cargo.toml").is_file() || whole.join("go.mod").is_file() {
            let language = if whole.join("Cargo.toml").is_file() { Language::Rust } else { Language::Go };
            no_handler(language, handler)?;
            let (folder, entry, handler) = (path.to_owned(), None, String::new());
            return Ok(Self { language, folder, entry, handler, name: name(&whole) });
        }
        let entry = entry_of(path, handler)?;
        let language = language_of(&entry).ok_or_else(|| CliError::internal("an entry of no language"))?;
        Self::with_entry(language, path.to_owned(), &entry, name(&whole), handler)
    }

    fn with_entry(
        language: Language,
        folder: PathBuf,
        entry: &Path,
        name: String,
        handler: Option<&str>,
    ) -> Result<Self, CliError> {
        let handler = if matches!(language, Language::Python | Language::Js | Language::Ts) {
            handler.map_or_else(|| Runtime::of_file(entry).usual_handler(entry), str::to_owned)
        } else {
            no_handler(language, handler)?;
            String::new()
        };
        Ok(Self { language, folder, entry: Some(entry.to_owned()), handler, name })
    }
}

const KNOWN: &str =
    "name a folder with Cargo.toml or go.mod, or a .py, .mjs, .js, .cjs, .ts, .mts, .cts, .c or .zig file";

fn no_handler(language: Language, handler: Option<&str>) -> Result<(), CliError> {
    match handler {
        Some(_) => Err(CliError::usage(format!("--handler is for Python and JavaScript, and this is {language:?}"))),
        None => Ok(()),
    }
}

fn language_of(file: &Path) -> Option<Language> {
    match file.extension().and_then(|ending| ending.to_str())? {
        "py" => Some(Language::Python),
        "mjs" | "js" | "cjs" => Some(Language::Js),
        "mts" | "ts" | "cts" => Some(Language::Ts),
        "c" => Some(Language::C),
        "zig" => Some(Language::Zig),
        _ => None,
    }
}

/// The file of a folder that its handler is in.
fn entry_of(folder: &Path, handler: Option<&str>) -> Result<PathBuf, CliError> {
    if let Some(handler) = handler {
        let found = [Runtime::Python, Runtime::Js].into_iter().find_map(|runtime| runtime.file_of(folder, handler));
        return found.ok_or_else(|| {
            CliError::usage(format!("there is no file for the handler {handler}")).at(folder.display())
        });
    }
    let unreadable = |error| CliError::unavailable(format!("cannot be read: {error}")).at(folder.display());
    let entries = std::fs::read_dir(folder).map_err(unreadable)?;
    let sources: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_file() && language_of(path).is_some())
        .collect();
    let stem_of = |path: &PathBuf| path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
    let usual = USUAL_STEMS.iter().find_map(|stem| {
        let mut of_stem = sources.iter().filter(|path| stem_of(path).as_deref() == Some(stem));
        of_stem.next().filter(|_| of_stem.next().is_none())
    });
    match (usual, sources.as_slice()) {
        (Some(entry), _) | (None, [entry]) => Ok(entry.clone()),
        (None, []) => Err(CliError::usage("there is no source in the folder").at(folder.display()).with_mend(KNOWN)),
        (None, _) => Err(CliError::usage("which of the folder's files is the handler's is not to be seen")
            .at(folder.display())
            .with_mend("name the file instead of the folder, or --handler FILE.FUNCTION")),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn folder_with(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            std::fs::write(folder.path().join(file), "").unwrap();
        }
        folder
    }

    #[test]
    fn what_lies_in_a_folder_says_what_it_is_written_in() {
        for (files, language, entry) in [
            (&["Cargo.toml", "build.py"][..], Language::Rust, None),
            (&["go.mod", "main.go"], Language::Go, None),
            (&["handler.py", "helpers.py"], Language::Python, Some("handler.py")),
            (&["index.mjs", "package.json"], Language::Js, Some("index.mjs")),
            (&["orders.ts"], Language::Ts, Some("orders.ts")),
            (&["orders.c", "json.h"], Language::C, Some("orders.c")),
            (&["orders.zig"], Language::Zig, Some("orders.zig")),
        ] {
            let folder = folder_with(files);
            let project = Project::of(folder.path(), None).unwrap();
            assert_eq!(project.language, language, "{files:?}");
            assert_eq!(project.entry, entry.map(|entry| folder.path().join(entry)), "{files:?}");
        }
    }

    #[test]
    fn a_file_is_its_own_answer_and_is_called_by_its_name() {
        let folder = folder_with(&["orders.py", "other.py"]);
        let project = Project::of(&folder.path().join("orders.py"), None).unwrap();
        assert_eq!((project.name.as_str(), project.handler.as_str()), ("orders", "orders.lambda_handler"));
        let chosen = Project::of(folder.path(), Some("other.main")).unwrap();
        assert_eq!(chosen.entry, Some(folder.path().join("other.py")));
        assert_eq!(chosen.handler, "other.main");
    }

    #[test]
    fn what_cannot_be_told_is_asked_for() {
        let said = |folder: &tempfile::TempDir, handler| Project::of(folder.path(), handler).unwrap_err().to_string();
        assert!(said(&folder_with(&["a.py", "b.py"]), None).contains("--handler FILE.FUNCTION"));
        assert!(said(&folder_with(&["notes.txt"]), None).contains("no source"));
        assert!(said(&folder_with(&["Cargo.toml"]), Some("a.b")).contains("--handler is for"));
        assert!(said(&folder_with(&["a.py"]), Some("b.f")).contains("no file for the handler b.f"));
    }
}
