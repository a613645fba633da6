//! `GetFunction` says where the code can be had: for some minutes, at an address that nobody can guess, so that no
//! signature is asked for there.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use uuid::Uuid;

use crate::functions::code_store::CodeStore;
use crate::functions::record::Sha256;

/// Where code is had. No operation of Lambda's has a path that begins so.
pub(crate) const PATH: &str = "/2015-03-31/code/";
/// How long an address leads there, as on AWS.
const LIFETIME: Duration = Duration::from_secs(600);
const ADDRESSES_MAX: usize = 1000;
/// How many blobs are in memory at once to be sent.
const DOWNLOADS_AT_ONCE: usize = 2;
const TURN_TIMEOUT: Duration = Duration::from_secs(30);

/// The addresses that lead somewhere.
#[derive(Debug)]
pub(crate) struct Downloads {
    /// By the hash of the secret part: how long a comparison takes says nothing.
    addresses: Mutex<BTreeMap<Sha256, Address>>,
    turns: Arc<Semaphore>,
}

#[derive(Debug, Clone)]
struct Address {
    secret: String,
    code: Sha256,
    until: Instant,
}

/// Why code cannot be had.
#[derive(Debug)]
pub(crate) enum NotThere {
    /// The address leads nowhere, or does not any more.
    Unknown,
    /// Others are being served.
    Busy,
    /// The disk's words.
    Failed(io::Error),
}

/// A blob on its way, and its turn.
struct Sending {
    blob: Vec<u8>,
    _turn: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Sending {
    fn as_ref(&self) -> &[u8] {
        &self.blob
    }
}

impl Downloads {
    pub(crate) fn new() -> Self {
        Self { addresses: Mutex::default(), turns: Arc::new(Semaphore::new(DOWNLOADS_AT_ONCE)) }
    }

    /// The path of a blob. Whoever asks again and again gets the same one, until half its time is over.
    pub(crate) fn path(&self, code: Sha256) -> String {
        let now = Instant::now();
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        addresses.retain(|_, address| address.until > now);
        let fresh = |address: &&Address| address.code == code && address.until - now > LIFETIME / 2;
        if let Some(address) = addresses.values().find(fresh) {
            return format!("{PATH}{}", address.secret);
        }
        if addresses.len() >= ADDRESSES_MAX {
            let oldest = addresses.iter().min_by_key(|(_, address)| address.until).map(|(key, _)| *key);
            oldest.map(|key| addresses.remove(&key));
        }
        let secret = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let path = format!("{PATH}{secret}");
        addresses.insert(Sha256::of(secret.as_bytes()), Address { secret, code, until: now + LIFETIME });
        path
    }

    /// Reads the blob that an address leads to; its memory is given back when it is sent.
    pub(crate) async fn open(&self, secret: &str, store: &CodeStore) -> Result<Bytes, NotThere> {
        let code = {
            let addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
            let address = addresses.get(&Sha256::of(secret.as_bytes()));
            address.filter(|address| address.until > Instant::now()).map(|address| address.code)
        };
        let code = code.ok_or(NotThere::Unknown)?;
        let turn = tokio::time::timeout(TURN_TIMEOUT, Arc::clone(&self.turns).acquire_owned()).await;
        let turn = turn.ok().and_then(Result::ok).ok_or(NotThere::Busy)?;
        let store = store.clone();
        let read = tokio::task::spawn_blocking(move || store.read(code)).await;
        match read.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(blob) => Ok(Bytes::from_owner(Sending { blob, _turn: turn })),
            // It was deleted since.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(NotThere::Unknown),
            Err(error) => Err(NotThere::Failed(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_address_leads_to_its_code_for_ten_minutes() {
        let store = CodeStore::temporary().unwrap();
        let code = store.put(b"one").unwrap().sha256;
        let downloads = Downloads::new();
        let path = downloads.path(code);
        let secret = path.strip_prefix(PATH).unwrap();
        assert!(secret.len() == 64 && secret.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_eq!(downloads.open(secret, &store).await.unwrap(), "one");
        assert_eq!(downloads.path(code), path, "waiters ask every second");
        tokio::time::advance(LIFETIME / 2).await;
        assert_ne!(downloads.path(code), path);
        assert_eq!(downloads.open(secret, &store).await.unwrap(), "one");
        tokio::time::advance(LIFETIME / 2).await;
        assert!(matches!(downloads.open(secret, &store).await, Err(NotThere::Unknown)));
        assert!(matches!(downloads.open("", &store).await, Err(NotThere::Unknown)));
    }

    #[tokio::test(start_paused = true)]
    async fn few_are_sent_at_once_and_few_addresses_are_remembered() {
        let store = CodeStore::temporary().unwrap();
        let code = store.put(b"one").unwrap().sha256;
        let downloads = Downloads::new();
        let path = downloads.path(code);
        let secret = path.strip_prefix(PATH).unwrap();
        let sending = [downloads.open(secret, &store).await.unwrap(), downloads.open(secret, &store).await.unwrap()];
        assert!(matches!(downloads.open(secret, &store).await, Err(NotThere::Busy)));
        drop(sending);
        assert!(downloads.open(secret, &store).await.is_ok());
        for number in 0..ADDRESSES_MAX {
            tokio::time::advance(Duration::from_millis(1)).await;
            downloads.path(Sha256::of(&number.to_be_bytes()));
        }
        assert_eq!(downloads.addresses.lock().unwrap().len(), ADDRESSES_MAX);
        assert!(matches!(downloads.open(secret, &store).await, Err(NotThere::Unknown)), "the oldest made room");
    }
}
