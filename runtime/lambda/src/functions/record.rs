//! A function as it is kept: what `$LATEST` is and what it is about to be, its versions, aliases, tags, permits and
//! policies. Pure; what of it is loaded is in `entry.rs`, its JSON in `stored.rs`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::function_engine::FunctionSettings;
use crate::mapping::Origin;
use crate::names::{Identity, LATEST};

/// What is kept of a function.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FunctionRecord {
    pub(crate) origin: Origin,
    /// `$LATEST` as it runs, or, if nothing ever ran, as it was created.
    pub(crate) latest: Version,
    /// An update that is being made ready.
    pub(crate) next: Option<Version>,
    /// Why the last update was not made.
    pub(crate) update_failure: Option<String>,
    pub(crate) versions: BTreeMap<u64, Version>,
    /// The number of the next version: numbers are never used again.
    pub(crate) next_version: u64,
    pub(crate) aliases: BTreeMap<String, Alias>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) reserved_concurrent_executions: Option<u32>,
    /// By qualifier; the function's own is under the empty one.
    pub(crate) policies: BTreeMap<String, Policy>,
}

/// `$LATEST` or a published version.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Version {
    /// What the engine knows it by.
    pub(crate) build: String,
    pub(crate) code: Code,
    pub(crate) settings: FunctionSettings,
    pub(crate) about: About,
    pub(crate) revision_id: String,
    pub(crate) last_modified_ms: u64,
}

/// The code of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Code {
    pub(crate) sha256: Sha256,
    pub(crate) size_bytes: u64,
    pub(crate) place: CodePlace,
}

/// Where code is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CodePlace {
    /// In the code store.
    Uploaded,
    /// In files that the config names: whoever reads the config loads it.
    Config,
}

/// What a version says of itself without running any differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct About {
    pub(crate) role: String,
    pub(crate) description: String,
    pub(crate) architecture: String,
    pub(crate) tracing_mode: String,
    pub(crate) log_format: String,
    pub(crate) log_group: Option<String>,
    pub(crate) application_log_level: Option<String>,
    pub(crate) system_log_level: Option<String>,
    pub(crate) kms_key_arn: Option<String>,
}

/// A name for a version, or for two with weights.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Alias {
    pub(crate) function_version: String,
    /// The other version and its share.
    pub(crate) additional: Option<(String, f64)>,
    pub(crate) description: String,
    pub(crate) revision_id: String,
}

/// Who else may use the function; kept and shown only.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Policy {
    pub(crate) revision_id: String,
    /// By statement id, in the order they were added.
    pub(crate) statements: Vec<(String, Value)>,
}

/// A SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Sha256(pub(crate) [u8; 32]);

impl Sha256 {
    /// Of some bytes.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        use sha2::Digest;
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// As files are named.
    pub(crate) fn hex(&self) -> String {
        self.0.iter().fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a text cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// As `CodeSha256` shows it.
    pub(crate) fn base64(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// Reads the form of [`hex`](Self::hex).
    pub(crate) fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 64 || !digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl About {
    /// Of a function that the config names: it needs no role, and clients expect one.
    pub(crate) fn of_config(identity: &Identity) -> Self {
        Self::new(format!("arn:aws:iam::{}:role/wasmill", identity.account))
    }

    /// Lambda's defaults.
    pub(crate) fn new(role: String) -> Self {
        Self {
            role,
            description: String::new(),
            architecture: "x86_64".to_owned(),
            tracing_mode: "PassThrough".to_owned(),
            log_format: "Text".to_owned(),
            log_group: None,
            application_log_level: None,
            system_log_level: None,
            kms_key_arn: None,
        }
    }
}

impl Version {
    /// Whether both run the same.
    pub(crate) fn runs_same(&self, other: &Self) -> bool {
        self.code == other.code && self.settings == other.settings
    }
}

impl FunctionRecord {
    /// A version by what a qualifier may be without an alias: `$LATEST` or a number.
    pub(crate) fn version(&self, name: &str) -> Option<&Version> {
        match name {
            LATEST => Some(&self.latest),
            text => self.versions.get(&number(text)?),
        }
    }

    /// Everything that code or a build may be named by.
    pub(crate) fn all_versions(&self) -> impl Iterator<Item = &Version> {
        [Some(&self.latest), self.next.as_ref()].into_iter().flatten().chain(self.versions.values())
    }

    /// The blobs of the code store that it needs.
    pub(crate) fn uploaded(&self) -> impl Iterator<Item = Sha256> {
        self.all_versions()
            .filter(|version| version.code.place == CodePlace::Uploaded)
            .map(|version| version.code.sha256)
    }

    /// The aliases that lead to a version.
    pub(crate) fn aliases_of(&self, version: &str) -> Vec<&str> {
        let leads = |alias: &Alias| {
            alias.function_version == version || alias.additional.as_ref().is_some_and(|(other, _)| other == version)
        };
        self.aliases.iter().filter(|(_, alias)| leads(alias)).map(|(name, _)| name.as_str()).collect()
    }
}

/// The number of a version; `01` is none.
pub(crate) fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_shown_as_files_and_as_lambda_show_it() {
        let hash = Sha256::of(b"");
        assert_eq!(hash.hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(hash.base64(), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
        assert_eq!(Sha256::from_hex(&hash.hex()), Some(hash));
        for text in ["", "e3", &hash.hex().to_uppercase(), &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(Sha256::from_hex(text), None, "{text}");
        }
    }
}
