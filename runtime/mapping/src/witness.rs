//! Which messages were being handled when the process died: a message that was at several deaths is run alone.
//!
//! A crash of the process is blamed on nobody, as all that ran at that moment was there. But what is there again and again
//! gets a batch of its own: if it is the culprit, it takes no others down with it any more, and if it is not, it is done.
//!
//! A file of fixed slots says what is being handled. It is written without syncs: it is to survive the process, not the
//! machine. A second file counts the deaths.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One slot: the length of its text in two bytes, then ids, one per line.
const SLOT_BYTES: usize = 4096;
const LENGTH_BYTES: usize = 2;
/// More slots are not read back, nor written.
const SLOTS_MAX: u64 = 16_384;
/// At so many deaths a message is run alone.
const QUARANTINED_AT: u32 = 2;
/// So many messages are counted at most.
const SUSPECTS_MAX: usize = 10_000;

/// Witnesses what a worker handles. A cheap handle.
#[derive(Debug, Clone, Default)]
pub struct Witness(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    slots: File,
    deaths_path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    free: Vec<u64>,
    used: u64,
    /// Deaths by message id.
    deaths: HashMap<String, u32>,
}

impl Witness {
    /// Opens the files `in-flight` and `deaths` in a folder, and counts what an earlier process left in them.
    ///
    /// # Errors
    /// The files cannot be read or written.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.join("in-flight");
        let deaths_path = folder.join("deaths");
        let slots = File::options().create(true).truncate(false).read(true).write(true).open(path)?;
        // What another process that lives is handling is not ours to count.
        slots.try_lock()?;
        let mut deaths = read_deaths(&deaths_path)?;
        let left = read_slots(&slots)?;
        if !left.is_empty() {
            tracing::warn!(messages = left.len(), "an earlier process died while it handled messages");
        }
        for id in left {
            if deaths.len() < SUSPECTS_MAX || deaths.contains_key(&id) {
                *deaths.entry(id).or_default() += 1;
            }
        }
        write_deaths(&deaths_path, &deaths)?;
        slots.set_len(0)?;
        let state = State { deaths, ..State::default() };
        Ok(Self(Some(Arc::new(Inner { slots, deaths_path, state: Mutex::new(state) }))))
    }

    /// Whether a message is to be run alone.
    pub(crate) fn quarantines(&self, message_id: &str) -> bool {
        let Some(inner) = &self.0 else { return false };
        inner.lock().deaths.get(message_id).is_some_and(|deaths| *deaths >= QUARANTINED_AT)
    }

    /// True when no message is under suspicion: then none need be looked up.
    pub(crate) fn suspects_nobody(&self) -> bool {
        self.0.as_ref().is_none_or(|inner| inner.lock().deaths.is_empty())
    }

    /// Notes that messages are being handled, for as long as the guard lives.
    pub(crate) fn enter<'a>(&self, ids: impl Iterator<Item = &'a str>) -> Visit {
        let Some(inner) = &self.0 else { return Visit::default() };
        let ids: Vec<&str> = ids.collect();
        let mut slots = Vec::with_capacity(1);
        let mut text = vec![0; LENGTH_BYTES];
        let mut rest = ids.iter().peekable();
        while let Some(id) = rest.next() {
            text.extend_from_slice(id.as_bytes());
            text.push(b'\n');
            let next_fits = rest.peek().is_some_and(|next| text.len() + next.len() < SLOT_BYTES);
            if !next_fits {
                slots.extend(inner.write(&mut text));
                text.truncate(LENGTH_BYTES);
            }
        }
        let suspects = {
            let state = inner.lock();
            if state.deaths.is_empty() {
                Vec::new()
            } else {
                ids.iter().filter(|id| state.deaths.contains_key(**id)).map(|id| (*id).to_owned()).collect()
            }
        };
        Visit { inner: Some(Arc::clone(inner)), slots, suspects }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes one slot. None: there is none left, or the disk did not take it; then nothing is witnessed.
    fn write(&self, text: &mut [u8]) -> Option<u64> {
        let slot = {
            let mut state = self.lock();
            match state.free.pop() {
                Some(slot) => slot,
                None if state.used < SLOTS_MAX => {
                    state.used += 1;
                    state.used - 1
                }
                None => return None,
            }
        };
        let length = u16::try_from(text.len() - LENGTH_BYTES).ok()?;
        text[..LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
        if self.slots.write_all_at(text, slot * SLOT_BYTES as u64).is_err() {
            self.lock().free.push(slot);
            return None;
        }
        Some(slot)
    }
}

/// Messages that are being handled. Dropped, they are so no more, and what was held against them is forgotten.
#[derive(Debug, Default)]
pub(crate) struct Visit {
    inner: Option<Arc<Inner>>,
    slots: Vec<u64>,
    suspects: Vec<String>,
}

impl Drop for Visit {
    fn drop(&mut self) {
        let Some(inner) = &self.inner else { return };
        for slot in &self.slots {
            // A slot that cannot be emptied is not used again: it would be read wrongly.
            if inner.slots.write_all_at(&[0; LENGTH_BYTES], slot * SLOT_BYTES as u64).is_ok() {
                inner.lock().free.push(*slot);
            }
        }
        if self.suspects.is_empty() {
            return;
        }
        let mut state = inner.lock();
        for id in &self.suspects {
            state.deaths.remove(id);
        }
        if let Err(error) = write_deaths(&inner.deaths_path, &state.deaths) {
            tracing::warn!(%error, "what was held against messages could not be written");
        }
    }
}

fn read_slots(file: &File) -> io::Result<Vec<String>> {
    let mut bytes = Vec::new();
    file.take(SLOTS_MAX * SLOT_BYTES as u64).read_to_end(&mut bytes)?;
    let mut ids = Vec::new();
    for slot in bytes.chunks(SLOT_BYTES) {
        let Some((length, text)) = slot.split_first_chunk::<LENGTH_BYTES>() else { continue };
        let text = text.get(..usize::from(u16::from_le_bytes(*length))).unwrap_or_default();
        ids.extend(String::from_utf8_lossy(text).lines().map(str::to_owned));
    }
    Ok(ids)
}

/// `COUNT ID` per line.
fn read_deaths(path: &Path) -> io::Result<HashMap<String, u32>> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        read => read?,
    };
    let rows = text.lines().filter_map(|line| line.split_once(' '));
    Ok(rows.filter_map(|(count, id)| Some((id.to_owned(), count.parse().ok()?))).take(SUSPECTS_MAX).collect())
}

/// As a whole or not at all.
fn write_deaths(path: &Path, deaths: &HashMap<String, u32>) -> io::Result<()> {
    let sorted: BTreeMap<&String, &u32> = deaths.iter().collect();
    let text: String = sorted.into_iter().map(|(id, count)| format!("{count} {id}\n")).collect();
    let new = path.with_extension("new");
    fs::write(&new, text)?;
    fs::rename(new, path)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use tempfile::TempDir;

    use super::*;

    /// The folder as a later process finds it. This one keeps its own, and the lock on it.
    fn after_death_of(folder: &TempDir) -> TempDir {
        let copy = tempfile::tempdir().unwrap();
        for name in ["in-flight", "deaths"] {
            fs::copy(folder.path().join(name), copy.path().join(name)).unwrap();
        }
        copy
    }

    fn open(folder: &TempDir) -> Witness {
        Witness::open(folder.path()).unwrap()
    }

    #[test]
    fn a_message_that_was_at_two_deaths_is_run_alone_until_it_was_handled() {
        let folder = tempfile::tempdir().unwrap();
        let witness = open(&folder);
        let _running = witness.enter(["a", "b"].into_iter());
        let folder = after_death_of(&folder);
        let witness = open(&folder);
        assert!(!witness.quarantines("a") && !witness.suspects_nobody());
        drop(witness.enter(["b"].into_iter()));
        let _running = witness.enter(["a", "c"].into_iter());
        let folder = after_death_of(&folder);
        let witness = open(&folder);
        assert!(witness.quarantines("a") && !witness.quarantines("b") && !witness.quarantines("c"));
        drop(witness.enter(["a"].into_iter()));
        assert!(!open(&after_death_of(&folder)).quarantines("a"));
    }

    #[test]
    fn what_ended_in_order_is_held_against_nobody_and_slots_are_used_again() {
        let folder = tempfile::tempdir().unwrap();
        let witness = open(&folder);
        let ids: Vec<String> = (0..1000).map(|n| format!("{n:036}")).collect();
        for _ in 0..5 {
            drop(witness.enter(ids.iter().map(String::as_str)));
        }
        assert!(fs::metadata(folder.path().join("in-flight")).unwrap().len() <= 12 * SLOT_BYTES as u64);
        assert!(open(&after_death_of(&folder)).suspects_nobody());
        let _running = witness.enter(ids.iter().map(String::as_str));
        assert_eq!(open(&after_death_of(&folder)).0.unwrap().lock().deaths.len(), 1000);
    }

    #[test]
    fn a_folder_has_one_process() {
        let folder = tempfile::tempdir().unwrap();
        let _witness = open(&folder);
        assert!(Witness::open(folder.path()).is_err());
    }
}
