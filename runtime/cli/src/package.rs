//! A deployment package: a function's code as it was uploaded, a zip archive or a bare module.
//!
//! Nothing in it is trusted. An archive is unpacked whole or not at all, below the cache folder under the hash of the upload;
//! what would leave that folder, is no plain file, or is native code, refuses the package with its name.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use zip::ZipArchive;

use crate::app::{FILES_MAX, UNPACKED_BYTES_MAX, make_whole};
use crate::config::Runtime;

/// An archive ends in this record, and a comment of up to 64 KiB.
const END_RECORD_BYTES: usize = 22;
const END_MAGIC: &[u8] = b"PK\x05\x06";
const COMMENT_BYTES_MAX: usize = 0xffff;
/// Longer paths are no files of a function.
const NAME_BYTES_MAX: usize = 1024;
/// What programs and libraries of machines begin with, and what they are.
const NATIVE: [(&[u8], &str); 5] = [
    (b"\x7fELF", "Linux"),
    (b"\xcf\xfa\xed\xfe", "macOS"),
    (b"\xce\xfa\xed\xfe", "macOS"),
    (b"\xca\xfe\xba\xbe", "macOS or Java"),
    (b"MZ\x90\x00", "Windows"),
];
/// Endings of libraries of machines.
const NATIVE_ENDINGS: [&str; 5] = ["so", "pyd", "node", "dylib", "dll"];
const WASM_MAGIC: &[u8; 4] = b"\0asm";
/// `Handler` for the first module of an archive.
const BOOTSTRAP: &str = "bootstrap";

/// What an upload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Zip,
    Module,
}

/// Code that can be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unpacked {
    /// What runs it.
    pub(crate) runtime: Runtime,
    /// The module, or the folder of the user's files.
    pub(crate) path: PathBuf,
    /// Which function of which file; empty for a module.
    pub(crate) handler: String,
}

/// Makes an upload ready to be run. `runtime` and `handler` are Lambda's parameters; archives are unpacked below `packages`,
/// once for each `sha256`.
///
/// # Errors
/// What is wrong with it, for people.
pub(crate) fn unpack(
    upload: &Path,
    sha256: &str,
    runtime: Option<&str>,
    handler: Option<&str>,
    packages: Option<&Path>,
) -> Result<Unpacked, String> {
    let asked = language(runtime)?;
    let form = form(upload)?;
    let path = match form {
        Form::Module => upload.to_owned(),
        Form::Zip => {
            let packages = packages.ok_or("a zip archive is unpacked below cache_dir, and there is none")?;
            let folder = packages.join(sha256);
            if !folder.is_dir() {
                make_whole(packages, &folder, |unfinished| extract(upload, unfinished))?;
            }
            folder
        }
    };
    let shown = runtime.unwrap_or_default();
    match (form, asked) {
        (Form::Zip, Some(Runtime::Python)) => script(path, Runtime::Python, handler),
        (Form::Zip, Some(Runtime::Js)) => script(path, Runtime::Js, handler),
        (Form::Zip, Some(Runtime::Wasm) | None) => {
            module(&path, handler).and_then(|path| of_module(path, asked, shown))
        }
        (Form::Module, _) => of_module(path, asked, shown),
    }
}

/// What a `Runtime` of Lambda's stands for; none where nothing was said.
fn language(runtime: Option<&str>) -> Result<Option<Runtime>, String> {
    let Some(name) = runtime else { return Ok(None) };
    let version = |rest: &str| rest.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'x'));
    let language = if name.strip_prefix("python3.").is_some_and(version) {
        Runtime::Python
    } else if name.strip_prefix("nodejs").is_some_and(version) {
        Runtime::Js
    } else if name == "provided" || name.starts_with("provided.") || name == "wasm" {
        Runtime::Wasm
    } else {
        return Err(format!(
            "Runtime {name} does not run here: python3.x, nodejs*.x and, for WebAssembly, provided.al2023 do"
        ));
    };
    Ok(Some(language))
}

fn form(upload: &Path) -> Result<Form, String> {
    let mut magic = [0; 4];
    let read = File::open(upload).and_then(|mut file| file.read_exact(&mut magic));
    match (read, &magic) {
        (Ok(()), b"PK\x03\x04" | b"PK\x05\x06") => Ok(Form::Zip),
        (Ok(()), WASM_MAGIC) => Ok(Form::Module),
        (Err(error), _) if error.kind() != io::ErrorKind::UnexpectedEof => {
            Err(format!("the uploaded code cannot be read: {error}"))
        }
        _ => Err("the uploaded code is neither a zip archive nor a WebAssembly module".to_owned()),
    }
}

/// A module by itself: it may be an app that `wasmill build` made, which says what runs it.
fn of_module(path: PathBuf, asked: Option<Runtime>, shown: &str) -> Result<Unpacked, String> {
    let (runtime, handler) = match Runtime::of_file(&path) {
        // Its name is a hash, or what an archive calls it.
        Runtime::Wasm => Runtime::of_code(&path),
        other => (other, String::new()),
    };
    match asked {
        Some(asked) if asked != Runtime::Wasm && asked != runtime => Err(format!(
            "Runtime is {shown}, and the code is a WebAssembly module: set Runtime to provided.al2023, or upload a zip archive \
             of the source"
        )),
        _ => Ok(Unpacked { runtime, path, handler }),
    }
}

/// The user's files, and the function in them that is called.
fn script(folder: PathBuf, runtime: Runtime, handler: Option<&str>) -> Result<Unpacked, String> {
    let example = runtime.usual_handler(Path::new("orders"));
    let handler = handler.ok_or_else(|| format!("Handler is missing: write FILE.FUNCTION, such as {example}"))?;
    let (file, function) = handler.rsplit_once('.').unwrap_or_default();
    if file.is_empty() || function.is_empty() || file.starts_with('/') || file.split('/').any(|part| part == "..") {
        return Err(format!("Handler {handler} names no function of a file: write FILE.FUNCTION, such as {example}"));
    }
    if runtime.file_of(&folder, handler).is_none() {
        return Err(format!("Handler {handler}: there is no file {file} in the archive, at its top level"));
    }
    Ok(Unpacked { runtime, path: folder, handler: handler.to_owned() })
}

/// The module of an archive that a handler names: `FILE.wasm`, or the first one.
fn module(folder: &Path, handler: Option<&str>) -> Result<PathBuf, String> {
    if let Some(named) = handler.filter(|handler| handler.ends_with(".wasm")) {
        let is_inside = !named.starts_with('/') && named.split('/').all(|part| part != "..");
        let path = folder.join(named);
        return match is_inside && path.is_file() {
            true => Ok(path),
            false => Err(format!("Handler {named}: there is no such file in the archive")),
        };
    }
    let mut files = Vec::new();
    list(folder, &mut files).map_err(|error| format!("the unpacked archive cannot be read: {error}"))?;
    let is_module = |path: &PathBuf| {
        let mut magic = [0; 4];
        File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && magic == *WASM_MAGIC
    };
    let rank = |path: &PathBuf| {
        let is_bootstrap = path.file_stem().is_some_and(|stem| stem == BOOTSTRAP);
        (path.components().count(), !is_bootstrap, path.clone())
    };
    files.retain(is_module);
    files.into_iter().min_by_key(rank).ok_or_else(|| {
        "there is no WebAssembly module in the archive; for Python or JavaScript set Runtime to python3.x or nodejs*.x"
            .to_owned()
    })
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            list(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// Unpacks an archive into a folder that is not there yet.
fn extract(upload: &Path, folder: &Path) -> Result<(), String> {
    let spoiled = |what: String| format!("the zip archive cannot be unpacked: {what}");
    let mut file = File::open(upload).map_err(|error| spoiled(error.to_string()))?;
    // Counted before it is read: the list of a small archive may be very long.
    let files = counted(&mut file).map_err(|error| spoiled(error.to_string()))?;
    if files > FILES_MAX {
        return Err(spoiled(format!("it has more than {FILES_MAX} files")));
    }
    let mut archive = ZipArchive::new(file).map_err(|error| spoiled(error.to_string()))?;
    if archive.len() > FILES_MAX {
        return Err(spoiled(format!("it has more than {FILES_MAX} files")));
    }
    fs::create_dir_all(folder).map_err(|error| spoiled(error.to_string()))?;
    let mut bytes_left = UNPACKED_BYTES_MAX;
    let mut native = Vec::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(|error| spoiled(error.to_string()))?;
        let name = entry.name().map_err(|error| spoiled(error.to_string()))?.into_owned();
        if name.len() > NAME_BYTES_MAX {
            return Err(spoiled(format!("it has a file name of more than {NAME_BYTES_MAX} bytes")));
        }
        // None for what would leave the folder.
        let below = entry.enclosed_name().ok_or_else(|| spoiled(format!("{name:?} leads out of it")))?;
        if entry.is_symlink() {
            return Err(spoiled(format!("{name} is a symbolic link; put the file itself there")));
        }
        let target = folder.join(below);
        let failed = |error: io::Error| spoiled(format!("{name}: {error}"));
        if entry.is_dir() {
            fs::create_dir_all(&target).map_err(failed)?;
            continue;
        }
        fs::create_dir_all(target.parent().unwrap_or(folder)).map_err(failed)?;
        let mut out = File::create(&target).map_err(failed)?;
        let mut head = Vec::new();
        entry.by_ref().take(4).read_to_end(&mut head).map_err(failed)?;
        if let Some(of) = native_code(&name, &head) {
            native.push((name, of));
            continue;
        }
        out.write_all(&head).map_err(failed)?;
        // What an archive says of its length may be a lie.
        let written = io::copy(&mut entry.by_ref().take(bytes_left + 1), &mut out).map_err(failed)?;
        let unpacked = written + head.len() as u64;
        bytes_left = bytes_left.checked_sub(unpacked).ok_or_else(|| {
            format!("Unzipped size must be smaller than {UNPACKED_BYTES_MAX} bytes: the archive is larger")
        })?;
    }
    match native.first() {
        None => Ok(()),
        Some((name, of)) => Err(refuse_native(name, of, native.len() - 1)),
    }
}

fn refuse_native(name: &str, of: &str, others: usize) -> String {
    let others = if others == 0 { String::new() } else { format!(" (and {others} more)") };
    let mend = if Path::new(name).file_name().is_some_and(|file| file == BOOTSTRAP) {
        "compile the function to WebAssembly, such as for wasm32-wasip2"
    } else {
        "leave it out, or use a package without native code"
    };
    format!("{name} is native code of {of}{others}, and functions run as WebAssembly: {mend}")
}

/// Of which machine a file is native code, if it is.
fn native_code(name: &str, head: &[u8]) -> Option<&'static str> {
    if let Some((_, of)) = NATIVE.iter().find(|(magic, _)| head == *magic) {
        return Some(of);
    }
    let file = name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
    let ending = file.rsplit('.').next().unwrap_or_default();
    // `libz.so.1.2` is a library, too.
    let is_library = NATIVE_ENDINGS.contains(&ending) || file.contains(".so.");
    // A text may be called anything.
    let is_text = head.iter().all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~'));
    (is_library && file.contains('.') && !is_text).then_some("another machine")
}

/// How many entries an archive says it has.
fn counted(file: &mut File) -> io::Result<usize> {
    let length = file.seek(SeekFrom::End(0))?;
    let tail = length.min((END_RECORD_BYTES + COMMENT_BYTES_MAX) as u64);
    file.seek(SeekFrom::Start(length - tail))?;
    let mut bytes = Vec::new();
    Read::by_ref(file).take(tail).read_to_end(&mut bytes)?;
    file.seek(SeekFrom::Start(0))?;
    let at = bytes.windows(END_MAGIC.len()).rposition(|window| window == END_MAGIC);
    let record = at.and_then(|at| bytes.get(at..at + END_RECORD_BYTES));
    let record = record.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "its end is missing"))?;
    // 0xffff stands for more, which a larger record counts.
    Ok(usize::from(u16::from_le_bytes([record[10], record[11]])))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::io::Cursor;

    use sha2::{Digest, Sha256};
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

    struct Cache {
        folder: tempfile::TempDir,
    }

    impl Cache {
        fn new() -> Self {
            Self { folder: tempfile::tempdir().unwrap() }
        }

        fn unpack(&self, upload: &[u8], runtime: &str, handler: Option<&str>) -> Result<Unpacked, String> {
            let path = self.folder.path().join("upload");
            fs::write(&path, upload).unwrap();
            let sha256: String = Sha256::digest(upload).iter().map(|byte| format!("{byte:02x}")).collect();
            let runtime = Some(runtime).filter(|runtime| !runtime.is_empty());
            unpack(&path, &sha256, runtime, handler, Some(&self.packages()))
        }

        fn packages(&self) -> PathBuf {
            self.folder.path().join("packages")
        }

        fn is_empty(&self) -> bool {
            self.packages().read_dir().map_or(true, |mut entries| entries.next().is_none())
        }
    }

    fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in files {
            writer.start_file(*name, SimpleFileOptions::default()).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    #[test]
    fn a_zip_of_a_function_is_unpacked_once_and_its_handler_found() {
        let cache = Cache::new();
        let upload = zip(&[("app/orders.py", b"def f(): pass"), ("lib/x.py", b"")]);
        for _ in 0..2 {
            let made = cache.unpack(&upload, "python3.14", Some("app/orders.f")).unwrap();
            assert_eq!((made.runtime, made.handler.as_str()), (Runtime::Python, "app/orders.f"));
            assert_eq!(fs::read_to_string(made.path.join("app/orders.py")).unwrap(), "def f(): pass");
        }
        assert_eq!(fs::read_dir(cache.packages()).unwrap().count(), 1);
        let upload = zip(&[("index.mjs", b"export const handler = 1;")]);
        let made = cache.unpack(&upload, "nodejs24.x", Some("index.handler")).unwrap();
        assert_eq!(made.runtime, Runtime::Js);
        for (handler, says) in [
            (None, "Handler is missing"),
            (Some("index"), "names no function"),
            (Some("../index.handler"), "names no function"),
            (Some("main.handler"), "there is no file main in the archive"),
        ] {
            let refused = cache.unpack(&upload, "nodejs24.x", handler).unwrap_err();
            assert!(refused.contains(says), "{refused}");
        }
    }

    #[test]
    fn a_module_comes_bare_or_in_a_zip_by_its_name_or_as_the_first() {
        let cache = Cache::new();
        for runtime in ["provided.al2023", "provided", "wasm", ""] {
            assert_eq!(cache.unpack(COMPONENT, runtime, Some("bootstrap")).unwrap().runtime, Runtime::Wasm);
        }
        let upload = zip(&[("a/deep.wasm", COMPONENT), ("z.wasm", COMPONENT), ("orders.wasm", COMPONENT), ("b", b"x")]);
        for (handler, file) in [
            (Some("z.wasm"), "z.wasm"),
            (Some("a/deep.wasm"), "a/deep.wasm"),
            (Some("bootstrap"), "orders.wasm"),
            (Some("orders.handler"), "orders.wasm"),
            (None, "orders.wasm"),
        ] {
            let made = cache.unpack(&upload, "provided.al2023", handler).unwrap();
            assert!(made.path.ends_with(file), "{handler:?}: {made:?}");
        }
        let upload = zip(&[("a.wasm", COMPONENT), ("bootstrap", COMPONENT)]);
        assert!(cache.unpack(&upload, "provided.al2023", None).unwrap().path.ends_with("bootstrap"));
        let refused = cache.unpack(&upload, "provided.al2023", Some("b.wasm")).unwrap_err();
        assert_eq!(refused, "Handler b.wasm: there is no such file in the archive");
        let none = cache.unpack(&zip(&[("orders.py", b"x")]), "provided.al2023", None).unwrap_err();
        assert!(none.contains("no WebAssembly module") && none.contains("python3.x"), "{none}");
    }

    #[test]
    fn what_does_not_fit_its_runtime_is_said() {
        let cache = Cache::new();
        let refused = cache.unpack(COMPONENT, "python3.12", Some("a.b")).unwrap_err();
        assert!(refused.starts_with("Runtime is python3.12, and the code is a WebAssembly module"), "{refused}");
        for runtime in ["java21", "ruby3.4", "python2.7", "nodejs", "go1.x", "dotnet8"] {
            let outcome = cache.unpack(COMPONENT, runtime, None);
            assert!(outcome.is_err(), "{runtime}: {outcome:?}");
        }
        assert!(cache.unpack(b"#!/bin/sh", "provided", None).unwrap_err().contains("neither a zip archive nor"));
        assert!(cache.unpack(b"PK", "provided", None).unwrap_err().contains("neither a zip archive nor"));
    }

    #[test]
    fn native_code_is_refused_by_its_name() {
        let cache = Cache::new();
        let library = "numpy/core/_multiarray.cpython-312-x86_64-linux-gnu.so";
        let with = |name: &str, bytes: &[u8]| zip(&[("orders.py", b"def f(): pass"), (name, bytes)]);
        let refused = cache.unpack(&with(library, b"\x7fELF\x02\x01"), "python3.12", Some("orders.f")).unwrap_err();
        assert_eq!(
            refused,
            format!(
                "{library} is native code of Linux, and functions run as WebAssembly: leave it out, or use a package without \
                 native code"
            )
        );
        assert!(cache.is_empty(), "nothing is left of it");
        for (name, bytes) in
            [("bin/tool", &b"\x7fELF\x02"[..]), ("x.pyd", b"\x01\x02\x03\x04"), ("lib/libz.so.1.2", b"\0\0")]
        {
            let refused = cache.unpack(&with(name, bytes), "python3.12", Some("orders.f")).unwrap_err();
            assert!(refused.starts_with(name), "{refused}");
        }
        for (name, bytes) in [("notes.so", &b"text"[..]), ("so", b"\x01"), ("a.py", b"")] {
            cache.unpack(&with(name, bytes), "python3.12", Some("orders.f")).unwrap();
        }
        let bootstrap =
            cache.unpack(&with("bootstrap", b"\x7fELF\x02\x01\x01\0"), "provided.al2023", None).unwrap_err();
        assert!(bootstrap.contains("compile the function to WebAssembly"), "{bootstrap}");
    }

    #[test]
    fn what_would_leave_its_folder_or_is_a_link_is_refused_and_leaves_nothing() {
        let cache = Cache::new();
        for name in ["../evil.py", "a/../../evil.py", "/etc/evil.py"] {
            let refused = cache.unpack(&zip(&[(name, b"x")]), "python3.12", Some("evil.f"));
            assert!(!cache.folder.path().join("evil.py").exists(), "{name}");
            // An absolute path may also be read as one inside.
            if let Err(refused) = refused {
                assert!(refused.contains("leads out of it") || refused.contains("no file evil"), "{refused}");
            }
        }
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        writer.add_symlink("orders.py", "/etc/passwd", SimpleFileOptions::default()).unwrap();
        let upload = writer.finish().unwrap().into_inner();
        let refused = cache.unpack(&upload, "python3.12", Some("orders.f")).unwrap_err();
        assert!(refused.contains("orders.py is a symbolic link"), "{refused}");
    }

    #[test]
    fn a_bomb_is_refused_before_it_fills_the_disk() {
        let cache = Cache::new();
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        let zeros = vec![b'0'; 1 << 20];
        for index in 0..3 {
            writer.start_file(format!("{index}.txt"), SimpleFileOptions::default()).unwrap();
            for _ in 0..90 {
                writer.write_all(&zeros).unwrap();
            }
        }
        let upload = writer.finish().unwrap().into_inner();
        assert!(upload.len() < 4 << 20);
        let refused = cache.unpack(&upload, "python3.12", Some("orders.f")).unwrap_err();
        assert_eq!(refused, "Unzipped size must be smaller than 262144000 bytes: the archive is larger");
        assert!(cache.is_empty());
        // The record at the end says how many there are.
        let mut many = zip(&[("orders.py", b"x")]);
        let at = many.len() - END_RECORD_BYTES;
        many[at + 8..at + 12].fill(0xff);
        let refused = cache.unpack(&many, "python3.12", Some("orders.f")).unwrap_err();
        assert!(refused.contains("more than 50000 files"), "{refused}");
    }
}
