//! A built app: a Python or JavaScript function in one `.wasm` file, as `wasmill build` makes it.
//!
//! The file is the component of an interpreter, with the app as a zip archive in its last custom section
//! ([`SECTION`]). To every other tool it is an ordinary component. Without the section it is what it was made of, so functions
//! that share an interpreter share its compiled form. In the archive, `wasmill.json` says what is called, and either `app/` holds
//! the function's folder or `script.js` is its one script.

mod archive;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::config::Runtime;

pub(crate) use archive::{Contents, FILES_MAX, UNPACKED_BYTES_MAX, archive_of, make_whole};

/// The custom section's name.
const SECTION: &str = "wasmill-app";
/// Magic number, version and layer of WebAssembly.
const HEADER_BYTES: u64 = 8;
/// A custom section's number.
const CUSTOM: u8 = 0;
/// A 32-bit number takes so many bytes at most.
const LEB_BYTES_MAX: usize = 5;

/// What a built app says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) runtime: Runtime,
    /// Lambda's `FILE.FUNCTION`.
    pub(crate) handler: String,
}

impl Manifest {
    fn to_json(&self) -> Value {
        json!({"runtime": self.runtime.as_str(), "handler": self.handler})
    }

    fn from_json(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let runtime = [Runtime::Python, Runtime::Js].into_iter().find(|known| known.as_str() == value["runtime"])?;
        Some(Self { runtime, handler: value["handler"].as_str()?.to_owned() })
    }
}

/// An app as it is run.
#[derive(Debug)]
pub(crate) struct Opened {
    /// The interpreter.
    pub(crate) component: Bytes,
    /// The unpacked folder, of Python.
    pub(crate) folder: Option<PathBuf>,
    /// The script, of JavaScript.
    pub(crate) script: Option<String>,
}

/// Appends an app to an interpreter's component.
pub(crate) fn pack(component: &[u8], manifest: &Manifest, contents: &Contents) -> Result<Vec<u8>, String> {
    let archive = archive::write(&manifest.to_json().to_string(), contents)?;
    let mut payload = Vec::with_capacity(archive.len() + SECTION.len() + LEB_BYTES_MAX);
    write_leb(&mut payload, SECTION.len() as u64);
    payload.extend_from_slice(SECTION.as_bytes());
    payload.extend_from_slice(&archive);
    let mut packed = Vec::with_capacity(component.len() + payload.len() + 1 + LEB_BYTES_MAX);
    packed.extend_from_slice(component);
    packed.push(CUSTOM);
    write_leb(&mut packed, payload.len() as u64);
    packed.extend_from_slice(&payload);
    Ok(packed)
}

/// What a file says of itself, if it is a built app. A file that cannot be read is none: who loads it will say why.
pub(crate) fn manifest(path: &Path) -> Option<Manifest> {
    let mut file = File::open(path).ok()?;
    let found = find(&mut file).ok()??;
    Manifest::from_json(&archive::manifest(&read(&mut file, found.payload, found.end).ok()?)?)
}

/// Opens a built app. Folders are unpacked below `unpacked`, once for each content.
pub(crate) fn open(path: &Path, unpacked: Option<&Path>) -> Result<Opened, String> {
    let failed = |error: io::Error| format!("{} cannot be read: {error}", path.display());
    let mut file = File::open(path).map_err(failed)?;
    let found = find(&mut file).map_err(failed)?;
    let found = found.ok_or_else(|| format!("{} is no app made by wasmill build", path.display()))?;
    let component = read(&mut file, 0, found.start).map_err(failed)?;
    let archive = read(&mut file, found.payload, found.end).map_err(failed)?;
    let spoiled = |what: String| format!("the app in {} cannot be unpacked: {what}", path.display());
    if let Some(script) = archive::script(&archive).map_err(spoiled)? {
        return Ok(Opened { component: component.into(), folder: None, script: Some(script) });
    }
    let unpacked = unpacked.ok_or("a built app is unpacked below cache_dir, and there is none")?;
    let hash: String = Sha256::digest(&archive).iter().map(|byte| format!("{byte:02x}")).collect();
    let folder = unpacked.join(hash);
    if !folder.is_dir() {
        archive::unpack(&archive, unpacked, &folder).map_err(spoiled)?;
    }
    Ok(Opened { component: component.into(), folder: Some(folder), script: None })
}

/// Where the app's section lies in its file.
struct Found {
    start: u64,
    payload: u64,
    end: u64,
}

/// Walks over the sections of a module to its last one. None if that is no app.
fn find(file: &mut File) -> io::Result<Option<Found>> {
    let length = file.metadata()?.len();
    let mut magic = [0; 4];
    if length < HEADER_BYTES || file.read_exact(&mut magic).is_err() || &magic != b"\0asm" {
        return Ok(None);
    }
    let mut start = HEADER_BYTES;
    loop {
        file.seek(SeekFrom::Start(start))?;
        let mut head = Vec::new();
        file.by_ref().take((1 + 2 * LEB_BYTES_MAX + SECTION.len()) as u64).read_to_end(&mut head)?;
        let Some((&id, rest)) = head.split_first() else { return Ok(None) };
        let Some((size, rest)) = read_leb(rest) else { return Ok(None) };
        let body = start + (head.len() - rest.len()) as u64;
        let end = body + size;
        if end < length {
            start = end;
            continue;
        }
        let named = read_leb(rest)
            .filter(|(name_bytes, rest)| *name_bytes == SECTION.len() as u64 && rest.starts_with(SECTION.as_bytes()));
        return Ok(named.filter(|_| id == CUSTOM && end == length).map(|(_, after)| {
            let payload = body + (rest.len() - after.len() + SECTION.len()) as u64;
            Found { start, payload, end }
        }));
    }
}

fn read(file: &mut File, from: u64, to: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.by_ref().take(to.saturating_sub(from)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// LEB128, unsigned: seven bits a byte, the lowest first.
fn write_leb(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn read_leb(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0;
    for (index, byte) in bytes.iter().take(LEB_BYTES_MAX).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((number, &bytes[index + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    /// An empty component with a custom section of its own.
    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0\x00\x05\x04note";

    fn packed(contents: &Contents) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let manifest = Manifest { runtime: Runtime::Python, handler: "orders.f".to_owned() };
        let path = folder.path().join("orders.wasm");
        std::fs::write(&path, pack(COMPONENT, &manifest, contents).unwrap()).unwrap();
        (folder, path)
    }

    #[test]
    fn what_was_packed_is_there_again_and_the_component_is_as_it_was() {
        let app = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(app.path().join("lib/deep")).unwrap();
        std::fs::write(app.path().join("orders.py"), "def f(): pass").unwrap();
        std::fs::write(app.path().join("lib/deep/data.bin"), [0, 255]).unwrap();
        let (folder, path) = packed(&Contents::Folder(app.path().to_owned()));
        let expected = Manifest { runtime: Runtime::Python, handler: "orders.f".to_owned() };
        assert_eq!(manifest(&path), Some(expected));
        let unpacked = folder.path().join("apps");
        for _ in 0..2 {
            let opened = open(&path, Some(&unpacked)).unwrap();
            assert_eq!(opened.component, COMPONENT);
            let folder = opened.folder.unwrap();
            assert_eq!(std::fs::read(folder.join("lib/deep/data.bin")).unwrap(), [0, 255]);
            assert_eq!(std::fs::read_to_string(folder.join("orders.py")).unwrap(), "def f(): pass");
        }
        assert_eq!(std::fs::read_dir(&unpacked).unwrap().count(), 1);
        assert!(open(&path, None).unwrap_err().contains("cache_dir"));
    }

    #[test]
    fn a_script_needs_no_folder() {
        let (_folder, path) = packed(&Contents::Script("module.exports = {}".to_owned()));
        assert_eq!(open(&path, None).unwrap().script.as_deref(), Some("module.exports = {}"));
    }

    #[test]
    fn the_same_app_packed_twice_is_the_same_file() {
        let app = tempfile::tempdir().unwrap();
        for name in ["b.py", "a.py"] {
            std::fs::write(app.path().join(name), name).unwrap();
        }
        let contents = Contents::Folder(app.path().to_owned());
        let ((_a, one), (_b, other)) = (packed(&contents), packed(&contents));
        assert_eq!(std::fs::read(one).unwrap(), std::fs::read(other).unwrap());
    }

    #[test]
    fn what_is_no_app_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.wasm");
        for bytes in
            [&b""[..], b"\0asm", b"no wasm at all", COMPONENT, b"\0asm\x0d\0\x01\0\x00\xff\xff\xff\xff\xff\xff"]
        {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(manifest(&path), None, "{bytes:?}");
        }
        let (_folder, whole) = packed(&Contents::Script(String::new()));
        let bytes = std::fs::read(whole).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        assert_eq!(manifest(&path), None, "cut off");
    }
}
