//! A handler's code as it was given: read, bounded, hashed, and told apart by its first bytes.
//!
//! What is no WebAssembly is refused here, by what it looks like, so that nobody has to guess from a parser's error.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::error::LoadError;

/// Longest module, in bytes. Lambda's limit for unzipped code is of the same size.
const CODE_BYTES_MAX: u64 = 256 << 20;

/// Where a function's code comes from.
#[derive(Debug, Clone)]
pub enum Code {
    /// A `.wasm` file, read once when the function is loaded.
    File(PathBuf),
    /// Code that the program already has.
    Bytes {
        /// What messages call it.
        name: String,
        /// A component or a core module, binary.
        bytes: Bytes,
    },
}

/// The two binary formats of WebAssembly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Component,
    CoreModule,
}

/// Code that was read.
#[derive(Debug)]
pub(crate) struct Source {
    /// What messages call it: the path, or the given name.
    pub(crate) name: String,
    pub(crate) bytes: Bytes,
    pub(crate) sha256: [u8; 32],
    pub(crate) format: Format,
}

impl Code {
    pub(crate) fn read(&self) -> Result<Source, LoadError> {
        let (name, bytes) = match self {
            Self::File(path) => (path.display().to_string(), read_file(path)?),
            Self::Bytes { name, bytes } => (name.clone(), bytes.clone()),
        };
        if bytes.is_empty() {
            return Err(LoadError::Empty { code: name });
        }
        if bytes.len() as u64 > CODE_BYTES_MAX {
            return Err(LoadError::TooLong { code: name, bytes_max: CODE_BYTES_MAX });
        }
        let format = sniff(&name, &bytes)?;
        let sha256 = Sha256::digest(&bytes).into();
        Ok(Source { name, bytes, sha256, format })
    }
}

fn read_file(path: &Path) -> Result<Bytes, LoadError> {
    let code = path.display().to_string();
    let unreadable = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => LoadError::NotFound { code: code.clone() },
        _ => LoadError::Unreadable { code: code.clone(), source },
    };
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(LoadError::Directory { code });
    }
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::with_capacity(metadata.len().min(CODE_BYTES_MAX) as usize);
    // One byte more than allowed is read, so that what is too long is seen to be.
    file.take(CODE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(Bytes::from(bytes))
}

/// Magic numbers of what people give by mistake: how they begin, what they are, what to do.
const LOOKALIKES: [(&[u8], &str, &str); 7] = [
    (b"\x7fELF", "a native program, or a module precompiled by wasmtime", "give the .wasm it was made from"),
    (b"PK\x03\x04", "a zip archive", "unpack it and name the .wasm file in it"),
    (b"\x1f\x8b", "a gzip archive", "unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", "unpack it first"),
    (b"MZ", "a Windows program", "build the handler for wasm32-wasip2"),
    (b"\xcf\xfa\xed\xfe", "a macOS program", "build the handler for wasm32-wasip2"),
    (b"BC\xc0\xde", "LLVM bitcode", "link it to a .wasm file"),
];

fn sniff(name: &str, bytes: &[u8]) -> Result<Format, LoadError> {
    let code = || name.to_owned();
    if let Some(rest) = bytes.strip_prefix(b"\0asm") {
        // Bytes 4 and 5 are the version, 6 and 7 the layer: 0 for core modules, 1 for components.
        return match rest.get(..4) {
            Some([1, 0, 0, 0]) => Ok(Format::CoreModule),
            Some([0x0d, 0, 1, 0]) => Ok(Format::Component),
            Some([_, _, 1, 0]) => Err(LoadError::Invalid {
                code: code(),
                reason: "it is a component of an older pre-release format: build it again with current tools".into(),
            }),
            Some(_) => Err(LoadError::Invalid { code: code(), reason: "its WebAssembly version is unknown".into() }),
            None => Err(LoadError::Invalid {
                code: code(),
                reason: "it ends within its header: was the build or the copy interrupted?".into(),
            }),
        };
    }
    if let Some((_, looks_like, mend)) = LOOKALIKES.iter().find(|(magic, _, _)| bytes.starts_with(magic)) {
        return Err(LoadError::NotWasm { code: code(), looks_like, mend });
    }
    let Ok(text) = std::str::from_utf8(&bytes[..bytes.len().min(64)]).or_else(|error| {
        // The 64 bytes may end inside a character.
        std::str::from_utf8(&bytes[..error.valid_up_to()])
            .and_then(|text| if text.is_empty() { Err(error) } else { Ok(text) })
    }) else {
        return Err(LoadError::NotWasm {
            code: code(),
            looks_like: "some other binary file",
            mend: "name the .wasm file that the build made",
        });
    };
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if text.starts_with("(module") || text.starts_with("(component") || text.starts_with(";;") || text.starts_with("(;")
    {
        return Err(LoadError::WasmText { code: code() });
    }
    Err(LoadError::NotWasm {
        code: code(),
        looks_like: "a text file",
        mend: "build the handler to a .wasm file and name that (Rust: cargo build --release --target wasm32-wasip2)",
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn read(bytes: &'static [u8]) -> Result<Source, LoadError> {
        Code::Bytes { name: "h.wasm".into(), bytes: Bytes::from_static(bytes) }.read()
    }

    #[test]
    fn the_two_formats_are_told_apart_by_their_header() {
        assert_eq!(read(b"\0asm\x01\0\0\0").unwrap().format, Format::CoreModule);
        assert_eq!(read(b"\0asm\x0d\0\x01\0").unwrap().format, Format::Component);
    }

    #[test]
    fn what_is_no_wasm_is_named_with_the_mend() {
        let cases: [(&'static [u8], &str, &str); 9] = [
            (b"", "empty", "build the handler again"),
            (b"\0asm", "ends within its header", "interrupted"),
            (b"\0asm\x02\0\0\0", "version is unknown", ""),
            (b"\0asm\x0c\0\x01\0", "older pre-release", "build it again"),
            (b"\n (module)", "WebAssembly text", "wasm-tools parse"),
            (
                b"def handler(event, context):\n    return None\n# a long line that is longer than sixty-four bytes",
                "a text file",
                "wasm32-wasip2",
            ),
            (b"\x7fELF\x02\x01", "native program", "give the .wasm"),
            (b"PK\x03\x04", "zip", "unpack"),
            (b"\xff\xfe\x00\x01", "some other binary file", "name the .wasm file"),
        ];
        for (bytes, what, mend) in cases {
            let message = read(bytes).unwrap_err().to_string();
            assert!(message.contains(what), "{message} should say: {what}");
            assert!(message.contains(mend), "{message} should say: {mend}");
            assert!(message.starts_with("h.wasm"), "{message} should begin with the name");
            assert!(!message.contains('\n'), "{message} should be one line");
        }
    }

    #[test]
    fn a_missing_file_and_a_folder_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("none.wasm");
        assert!(matches!(Code::File(missing).read(), Err(LoadError::NotFound { .. })));
        assert!(matches!(Code::File(dir.path().into()).read(), Err(LoadError::Directory { .. })));
    }
}
