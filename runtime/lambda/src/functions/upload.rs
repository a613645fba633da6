//! Code as it is sent: where it may come from, what it may be, and how large (lambda-api §3.1).
//!
//! What is in it, and whether it can run, is the engine's to say.

use std::io::Cursor;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::error::ApiError;
use crate::members::{Members, wrong_type};

/// The largest request that may bring code.
pub(crate) const REQUEST_MAX_BYTES: usize = 70_167_211;
/// The largest blob.
pub(crate) const BLOB_MAX_BYTES: usize = 52_428_800;
/// What an archive may hold, and a module may be.
const UNPACKED_MAX_BYTES: u128 = 262_144_000;
const NOT_CODE: &str = "Could not unzip uploaded file. Please check your file, then try to upload again.";
const ARCHIVE: &[u8] = b"PK\x03\x04";
const EMPTY_ARCHIVE: &[u8] = b"PK\x05\x06";
const MODULE: &[u8] = b"\0asm";

/// Takes the code out of the object that holds it: `Code` of a create, the request itself of an update. The text leaves
/// the object, so that it is not in memory twice for longer than it takes.
pub(crate) fn take(object: &mut Map<String, Value>, path: &str) -> Result<Vec<u8>, ApiError> {
    {
        let members = Members::new(object);
        for name in ["S3Bucket", "S3Key", "S3ObjectVersion"] {
            if members.text(name)?.is_some_and(|text| !text.is_empty()) {
                return refuse(&format!(
                    "{name} is not available here: there is no S3. Send the code itself as ZipFile."
                ));
            }
        }
        if members.text("ImageUri")?.is_some_and(|text| !text.is_empty()) {
            return refuse("ImageUri is not available here: container images do not run. Send the code as ZipFile.");
        }
        if members.text("SourceKMSKeyArn")?.is_some_and(|text| !text.is_empty()) {
            return refuse("SourceKMSKeyArn is not available here: code is kept as it was sent.");
        }
    }
    let blob = match object.remove("ZipFile") {
        None | Some(Value::Null) => return refuse("Please provide a source for function code."),
        Some(Value::String(text)) => {
            let decoded = STANDARD.decode(&text);
            decoded.map_err(|error| ApiError::Serialization(format!("'{path}zipFile' is not Base64: {error}")))?
        }
        Some(other) => return Err(wrong_type(&format!("{path}zipFile"), &other, "Blob")),
    };
    check(&blob)?;
    Ok(blob)
}

/// Says by the first bytes what a blob is, and whether it is too large.
fn check(blob: &[u8]) -> Result<(), ApiError> {
    if blob.len() > BLOB_MAX_BYTES {
        return Err(ApiError::CodeTooLarge { max_bytes: BLOB_MAX_BYTES });
    }
    if blob.starts_with(MODULE) {
        return Ok(());
    }
    if blob.is_empty() || blob.starts_with(EMPTY_ARCHIVE) {
        return refuse("Uploaded file must be a non-empty zip");
    }
    if !blob.starts_with(ARCHIVE) {
        return refuse(NOT_CODE);
    }
    let Ok(archive) = zip::ZipArchive::new(Cursor::new(blob)) else { return refuse(NOT_CODE) };
    if archive.is_empty() {
        return refuse("Uploaded file must be a non-empty zip");
    }
    // What the archive says of itself; whoever unpacks it counts again.
    match archive.decompressed_size() {
        Some(bytes) if bytes > UNPACKED_MAX_BYTES => {
            refuse(&format!("Unzipped size must be smaller than {UNPACKED_MAX_BYTES} bytes"))
        }
        _ => Ok(()),
    }
}

fn refuse<T>(text: &str) -> Result<T, ApiError> {
    Err(ApiError::InvalidParameter(text.to_owned()))
}

#[cfg(test)]
pub(crate) mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::io::Write;

    use serde_json::json;
    use zip::write::SimpleFileOptions;

    use super::*;

    /// A zip archive of one file.
    pub(crate) fn archive(name: &str, contents: &[u8]) -> Vec<u8> {
        let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
        archive.start_file(name, SimpleFileOptions::default()).unwrap();
        archive.write_all(contents).unwrap();
        archive.finish().unwrap().into_inner()
    }

    fn taken(value: Value) -> Result<Vec<u8>, String> {
        let Value::Object(mut object) = value else { unreachable!() };
        take(&mut object, "code.").map_err(|error| error.to_string())
    }

    fn refusal(blob: &[u8]) -> Option<String> {
        check(blob).err().map(|error| error.to_string())
    }

    #[test]
    fn archives_and_modules_are_code_and_nothing_else_is() {
        assert_eq!(refusal(b"\0asm\x01\0\0\0"), None);
        assert_eq!(refusal(b"\0asm\x0d\0\x01\0"), None);
        assert_eq!(refusal(&archive("handler.wasm", b"\0asm")), None);
        for blob in [&b"#!/bin/sh"[..], b"PK", b"PK\x03\x04 and no more", b"asm"] {
            assert_eq!(refusal(blob).as_deref(), Some(NOT_CODE), "{blob:?}");
        }
        let empty = zip::ZipWriter::new(Cursor::new(Vec::new())).finish().unwrap().into_inner();
        for blob in [&b""[..], &empty] {
            assert_eq!(refusal(blob).as_deref(), Some("Uploaded file must be a non-empty zip"));
        }
    }

    #[test]
    fn code_that_is_too_large_is_refused() {
        let mut blob = vec![0; BLOB_MAX_BYTES + 1];
        blob[..4].copy_from_slice(MODULE);
        assert_eq!(refusal(&blob).as_deref(), Some("Zipped size must be smaller than 52428800 bytes"));
        blob.pop();
        assert_eq!(refusal(&blob), None);
        // An archive that says it unpacks to more: the sizes stand in its directory, 24 bytes after that begins.
        let mut lying = archive("handler.wasm", b"\0asm");
        let directory = lying.windows(4).rposition(|bytes| bytes == b"PK\x01\x02").unwrap();
        lying[directory + 24..directory + 28].copy_from_slice(&262_144_001u32.to_le_bytes());
        assert_eq!(refusal(&lying).as_deref(), Some("Unzipped size must be smaller than 262144000 bytes"));
    }

    #[test]
    fn code_comes_in_the_request_or_not_at_all() {
        assert_eq!(taken(json!({"ZipFile": "AGFzbQ=="})), Ok(b"\0asm".to_vec()));
        for (code, problem) in [
            (json!({}), "Please provide a source for function code."),
            (json!({"ZipFile": null}), "Please provide a source for function code."),
            (json!({"ZipFile": "%"}), "'code.zipFile' is not Base64"),
            (json!({"ZipFile": 1}), "NUMBER_VALUE at 'code.zipFile' can not be converted to Blob"),
            (json!({"S3Bucket": "b", "S3Key": "k"}), "S3Bucket is not available here"),
            (json!({"ImageUri": "i"}), "ImageUri is not available here"),
            (json!({"ZipFile": "AGFzbQ==", "SourceKMSKeyArn": "k"}), "SourceKMSKeyArn is not available here"),
        ] {
            let text = taken(code.clone()).unwrap_err();
            assert!(text.contains(problem), "{code}: {text}");
        }
    }
}
