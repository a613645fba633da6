//! Paths in the config: relative ones start at the config file's folder. Also where compiled modules go by default.

use std::path::{Path, PathBuf};

use super::reader::Section;
use super::source::{Env, Located, Source};

/// What must be found at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// A file that exists.
    File,
    /// A file or a folder that exists.
    FileOrFolder,
    /// A folder, or nothing yet: it is made when it is needed.
    FolderOrNothing,
}

/// A path from the config, and whether there is what was expected.
#[derive(Debug)]
pub(super) struct Resolved {
    /// Starts at the config's folder if it was written relative.
    pub(super) path: PathBuf,
    /// False: a mistake is recorded.
    pub(super) is_good: bool,
}

/// Reads the path under `key`, resolved, checked against what is on disk; the path is returned even if it is mistaken.
pub(super) fn read(
    section: &mut Section<'_, '_>,
    key: &'static str,
    folder: &Path,
    expected: Expected,
) -> Option<PathBuf> {
    let text = section.string(key)?;
    Some(resolve(&text, section.source(), folder, expected).path)
}

/// [`read`] for a text that was read already.
pub(super) fn resolve(text: &Located<String>, source: &Source<'_>, folder: &Path, expected: Expected) -> Resolved {
    if text.value.is_empty() || text.value.contains('\0') {
        source.mistake(&text.place, format!("{} is not a path", text.shown()), "write a path, or remove the key");
        return Resolved { path: PathBuf::from(&text.value), is_good: false };
    }
    let path = folder.join(&text.value);
    let complaint = complaint(&path, expected);
    let is_good = complaint.is_none();
    if let Some((what, mend)) = complaint {
        // What came from the environment may be a secret; a relative path is shown with the folder it starts from.
        let shown = text.shown();
        let address =
            if text.value.starts_with('/') { shown } else { format!("{shown} in {:?}", folder.display().to_string()) };
        source.mistake(&text.place, format!("{address} {what}"), mend);
    }
    Resolved { path, is_good }
}

fn complaint(path: &Path, expected: Expected) -> Option<(String, &'static str)> {
    match (std::fs::metadata(path), expected) {
        (Ok(found), Expected::File) if found.is_file() => None,
        (Ok(_), Expected::FileOrFolder) => None,
        (Ok(_), Expected::File) => Some(("is not a file".to_owned(), "name the file itself")),
        (Ok(found), Expected::FolderOrNothing) if found.is_dir() => None,
        (Ok(_), Expected::FolderOrNothing) => {
            Some(("is not a folder".to_owned(), "name a folder, or a path where nothing is yet"))
        }
        (Err(error), Expected::File | Expected::FileOrFolder) if error.kind() == std::io::ErrorKind::NotFound => {
            Some((
                "does not exist".to_owned(),
                "build it, or correct the path; relative paths start at the config file's folder",
            ))
        }
        (Err(error), Expected::FolderOrNothing) if error.kind() == std::io::ErrorKind::NotFound => None,
        (Err(error), _) => Some((format!("cannot be looked at: {error}"), "correct the path or its permissions")),
    }
}

/// Where compiled modules are kept unless `cache_dir` says otherwise: `$XDG_CACHE_HOME/wasmill`, else
/// `$HOME/.cache/wasmill`. `None` without a home. A relative `XDG_CACHE_HOME` is ignored, as its specification asks.
pub(crate) fn default_cache_dir(env: Env<'_>) -> Option<PathBuf> {
    let absolute = |name: &str| env(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
    cache.map(|folder| folder.join("wasmill"))
}

/// Where wasmill's own runtimes may lie, in the order in which they are looked for: the folder that `runtimes_dir` names, or
/// else `runtimes` beside the binary and in `$XDG_DATA_HOME/wasmill` (`~/.local/share/wasmill`).
pub(crate) fn runtimes_dirs(written: Option<&Path>, env: Env<'_>) -> Vec<PathBuf> {
    if let Some(written) = written {
        return vec![written.to_owned()];
    }
    let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.canonicalize().ok()?.parent()?.join("runtimes")));
    let absolute = |name: &str| env(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let data = absolute("XDG_DATA_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/share")));
    beside.into_iter().chain(data.map(|data| data.join("wasmill/runtimes"))).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_cache_follows_xdg() {
        let with = |pairs: &'static [(&str, &str)]| {
            default_cache_dir(&move |name| {
                pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            })
        };
        assert_eq!(with(&[("XDG_CACHE_HOME", "/x"), ("HOME", "/home/a")]), Some(PathBuf::from("/x/wasmill")));
        assert_eq!(
            with(&[("XDG_CACHE_HOME", "x"), ("HOME", "/home/a")]),
            Some(PathBuf::from("/home/a/.cache/wasmill"))
        );
        assert_eq!(with(&[("XDG_CACHE_HOME", ""), ("HOME", "")]), None);
        assert_eq!(with(&[]), None);
    }

    #[test]
    fn files_and_folders_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("orders.wasm");
        std::fs::write(&file, b"x").unwrap();
        let absent = folder.path().join("absent");
        let below_a_file = file.join("below");
        let what = |path: &Path, expected| complaint(path, expected).map(|(what, _)| what);

        assert_eq!(what(&file, Expected::File), None);
        assert_eq!(what(folder.path(), Expected::FolderOrNothing), None);
        assert_eq!(what(&absent, Expected::FolderOrNothing), None);
        assert_eq!(what(&absent, Expected::File).unwrap(), "does not exist");
        assert_eq!(what(folder.path(), Expected::File).unwrap(), "is not a file");
        assert_eq!(what(&file, Expected::FolderOrNothing).unwrap(), "is not a folder");
        assert!(what(&below_a_file, Expected::FolderOrNothing).unwrap().starts_with("cannot be looked at"));
    }
}
