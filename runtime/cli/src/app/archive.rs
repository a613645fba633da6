//! The zip archive in a built app: written alike for the same contents, unpacked whole or not at all.

use std::fs;
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

/// What is called, as JSON.
const MANIFEST: &str = "wasmill.json";
/// The one script of a JavaScript app.
const SCRIPT: &str = "script.js";
/// The folder of a Python app.
const APP: &str = "app/";
/// Lambda's limit of an unzipped deployment package.
pub(crate) const UNPACKED_BYTES_MAX: u64 = 250 << 20;
/// As many as a package with its dependencies ever has.
pub(crate) const FILES_MAX: usize = 50_000;

/// What an app consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Contents {
    /// All that is in a folder and below.
    Folder(PathBuf),
    /// One text.
    Script(String),
}

/// The archive's bytes. The error says what is wrong.
pub(super) fn write(manifest: &str, contents: &Contents) -> Result<Vec<u8>, String> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let mut add = |name: &str, bytes: &[u8]| add_file(&mut writer, name, bytes);
    add(MANIFEST, manifest.as_bytes())?;
    match contents {
        Contents::Script(script) => add(SCRIPT, script.as_bytes())?,
        Contents::Folder(folder) => add_folder(folder, APP, &mut add)?,
    }
    writer.finish().map(Cursor::into_inner).map_err(|error| error.to_string())
}

/// A folder as an archive of its own, written alike for the same files.
pub(crate) fn archive_of(folder: &Path) -> Result<Vec<u8>, String> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    add_folder(folder, "", &mut |name, bytes| add_file(&mut writer, name, bytes))?;
    writer.finish().map(Cursor::into_inner).map_err(|error| error.to_string())
}

fn add_file(writer: &mut ZipWriter<Cursor<Vec<u8>>>, name: &str, bytes: &[u8]) -> Result<(), String> {
    // The same time for all: the same contents are the same bytes.
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644);
    writer.start_file(name, options).map_err(|error| format!("{name}: {error}"))?;
    writer.write_all(bytes).map_err(|error| format!("{name}: {error}"))
}

fn add_folder(
    folder: &Path,
    below: &str,
    add: &mut dyn FnMut(&str, &[u8]) -> Result<(), String>,
) -> Result<(), String> {
    let (mut files, mut bytes_left) = (Vec::new(), UNPACKED_BYTES_MAX);
    list(folder, &mut files)?;
    for path in files {
        let bytes = fs::read(&path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        bytes_left = bytes_left.checked_sub(bytes.len() as u64).ok_or_else(|| {
            format!("the app is larger than {} MiB, the limit of a function", UNPACKED_BYTES_MAX >> 20)
        })?;
        let inside = path.strip_prefix(folder).unwrap_or(&path);
        let name = inside.to_str().ok_or_else(|| format!("{} is no UTF-8", inside.display()))?;
        add(&format!("{below}{}", name.replace('\\', "/")), &bytes)?;
    }
    Ok(())
}

/// The files of a folder and below, in order.
fn list(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    let unreadable = |error: std::io::Error| format!("{} cannot be read: {error}", folder.display());
    let entries = fs::read_dir(folder).map_err(unreadable)?;
    let mut entries =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    entries.sort();
    for path in entries {
        if path.is_dir() {
            list(&path, files)?;
        } else {
            files.push(path);
        }
        if files.len() > FILES_MAX {
            return Err(format!("the app has more than {FILES_MAX} files"));
        }
    }
    Ok(())
}

/// The manifest's text; none when there is none.
pub(super) fn manifest(archive: &[u8]) -> Option<String> {
    text(&mut opened(archive).ok()?, MANIFEST).ok()?
}

/// The script; none when the app is a folder.
pub(super) fn script(archive: &[u8]) -> Result<Option<String>, String> {
    text(&mut opened(archive)?, SCRIPT)
}

fn opened(archive: &[u8]) -> Result<ZipArchive<Cursor<&[u8]>>, String> {
    ZipArchive::new(Cursor::new(archive)).map_err(|error| error.to_string())
}

fn text(archive: &mut ZipArchive<Cursor<&[u8]>>, name: &str) -> Result<Option<String>, String> {
    let Some(index) = archive.index_for_name(name) else { return Ok(None) };
    let file = archive.by_index(index).map_err(|error| format!("{name}: {error}"))?;
    let mut text = String::new();
    file.take(UNPACKED_BYTES_MAX).read_to_string(&mut text).map_err(|error| format!("{name}: {error}"))?;
    Ok(Some(text))
}

/// Unpacks the app's folder to `folder`, below `beside`.
pub(super) fn unpack(archive: &[u8], beside: &Path, folder: &Path) -> Result<(), String> {
    make_whole(beside, folder, |unfinished| unpack_into(archive, unfinished))
}

/// Makes a folder below `beside`, where it is built up under another name: who looks meanwhile finds it whole or not at all.
pub(crate) fn make_whole(
    beside: &Path,
    folder: &Path,
    fill: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", beside.display());
    fs::create_dir_all(beside).map_err(failed)?;
    let unfinished = beside.join(format!(".unfinished-{}", uuid::Uuid::new_v4()));
    let outcome = fill(&unfinished).and_then(|()| match fs::rename(&unfinished, folder) {
        // Another process was quicker.
        Err(_) if folder.is_dir() => fs::remove_dir_all(&unfinished).map_err(failed),
        renamed => renamed.map_err(failed),
    });
    if outcome.is_err() {
        // What failed is the error; what is left of it takes room only.
        let _ = fs::remove_dir_all(&unfinished);
    }
    outcome
}

fn unpack_into(archive: &[u8], folder: &Path) -> Result<(), String> {
    let mut archive = opened(archive)?;
    if archive.len() > FILES_MAX {
        return Err(format!("it has more than {FILES_MAX} files"));
    }
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut bytes_left = UNPACKED_BYTES_MAX;
    for index in 0..archive.len() {
        let mut file = archive.by_index(index).map_err(|error| error.to_string())?;
        let name = file.name().map_err(|error| error.to_string())?.into_owned();
        // None for what would leave the folder.
        let path = file.enclosed_name().ok_or_else(|| format!("{name} leads out of it"))?;
        let Ok(below) = path.strip_prefix(APP) else { continue };
        if file.is_dir() {
            continue;
        }
        let target = folder.join(below);
        let failed = |error: std::io::Error| format!("{name}: {error}");
        fs::create_dir_all(target.parent().unwrap_or(folder)).map_err(failed)?;
        let mut out = fs::File::create(&target).map_err(failed)?;
        // What an archive says of its length may be a lie.
        let written = std::io::copy(&mut file.by_ref().take(bytes_left + 1), &mut out).map_err(failed)?;
        bytes_left = bytes_left
            .checked_sub(written)
            .ok_or_else(|| format!("it is larger than {} MiB unpacked", UNPACKED_BYTES_MAX >> 20))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn archive_with(name: &str) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        writer.start_file(name, SimpleFileOptions::default()).unwrap();
        writer.write_all(b"x").unwrap();
        writer.finish().unwrap().into_inner()
    }

    #[test]
    fn an_archive_that_leads_out_of_its_folder_is_refused_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (apps, app) = (folder.path().join("apps"), folder.path().join("apps/x"));
        for name in ["app/../../evil", "/etc/evil"] {
            let outcome = unpack(&archive_with(name), &apps, &app);
            assert!(!folder.path().join("evil").exists() && !app.join("evil").exists(), "{name}");
            if let Err(what) = outcome {
                assert!(what.contains("leads out"), "{what}");
                assert_eq!(fs::read_dir(&apps).unwrap().count(), 0);
            }
        }
    }

    #[test]
    fn what_is_no_archive_is_said() {
        assert!(opened(b"no zip").is_err());
        assert_eq!(manifest(b"no zip"), None);
    }
}
