//! The state file: the only place here that touches the disk.
//!
//! One JSON object with a format number. It is replaced as a whole: written beside, synced, renamed, and the folder
//! synced, so that a crash leaves the old one or the new one. A lock file beside it keeps other processes out.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::functions;
use crate::store::State;
use crate::stored;

/// The format that is written. A newer one is refused: what this version does not know would be lost.
const FORMAT: u64 = 2;
/// The first format: mappings only.
const WITHOUT_FUNCTIONS: u64 = 1;
const FORMAT_KEY: &str = "Format";
const MAPPINGS_KEY: &str = "EventSourceMappings";
const FUNCTIONS_KEY: &str = "Functions";

/// What is wrong with the state file, and how to mend it.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It cannot be read.
    #[error("the state file {} cannot be read: {problem}; give wasmill the right to read it, or set state_dir to \
             another folder", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The system's words.
        problem: io::Error,
    },
    /// It is not a state file, or not a whole one.
    #[error("the state file {} is damaged: {problem}; restore it from a backup, or move it away: then mappings that \
             the config names get new UUIDs, and mappings and functions made through the API are gone", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What does not fit.
        problem: String,
    },
    /// A later wasmill wrote it.
    #[error("the state file {} has format {found}, and this wasmill knows formats up to {FORMAT}; start the version \
             that wrote it or a later one, or set state_dir to another folder", file.display())]
    NewerFormat {
        /// The file.
        file: PathBuf,
        /// Its format.
        found: u64,
    },
    /// There is no state file, and nowhere else to put code that is uploaded.
    #[error(
        "there is no temporary folder for uploaded code: {problem}; set state_dir, or TMPDIR to a folder that may be \
             written"
    )]
    NoCodeFolder {
        /// The system's words.
        problem: io::Error,
    },
    /// Another process has it.
    #[error("the state file {} is in use by another wasmill; stop that one, or set state_dir to another folder",
            file.display())]
    InUse {
        /// The file.
        file: PathBuf,
    },
    /// It cannot be written.
    #[error("the state file {} cannot be written: {problem}; make room, or give wasmill the right to write in that \
             folder, or set state_dir to another one", file.display())]
    Unwritable {
        /// The file.
        file: PathBuf,
        /// The system's words.
        problem: io::Error,
    },
}

/// The open state file: there is one per folder and process.
#[derive(Debug)]
pub(crate) struct StateFile {
    file: PathBuf,
    folder: PathBuf,
    /// Held until the process ends, however it ends.
    _lock: File,
}

impl StateFile {
    /// Takes the file for this process and reads it. There need not be one; the folder is made.
    pub(crate) fn open(file: &Path) -> Result<(Self, State), StateError> {
        let unwritable = |problem| StateError::Unwritable { file: file.to_owned(), problem };
        let folder = match file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        fs::create_dir_all(&folder).map_err(unwritable)?;
        let lock_file = beside(file, "lock");
        let lock = File::options().create(true).truncate(false).write(true).open(lock_file).map_err(unwritable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StateError::InUse { file: file.to_owned() }),
            Err(TryLockError::Error(problem)) => return Err(unwritable(problem)),
        }
        let state = match fs::read(file) {
            Ok(bytes) => read(file, &bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => State::default(),
            Err(problem) => return Err(StateError::Unreadable { file: file.to_owned(), problem }),
        };
        Ok((Self { file: file.to_owned(), folder, _lock: lock }, state))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.file
    }

    /// Replaces what is stored. On an error the old contents stand.
    pub(crate) fn write(&self, state: &State) -> Result<(), StateError> {
        let mut text = serde_json::to_vec_pretty(&contents(state)).unwrap_or_default();
        text.push(b'\n');
        self.replace(&text).map_err(|problem| StateError::Unwritable { file: self.file.clone(), problem })
    }

    fn replace(&self, contents: &[u8]) -> io::Result<()> {
        let old = fs::read(&self.file).ok();
        self.put(contents)?;
        let synced = File::open(&self.folder).and_then(|folder| folder.sync_all());
        if synced.is_err() {
            // The name may or may not be on disk. The caller hears that nothing changed, so it must not be seen later.
            let put_back = old.map_or_else(|| fs::remove_file(&self.file), |old| self.put(&old));
            if let Err(error) = put_back {
                let file = self.file.display();
                tracing::error!(%error, %file, "the state file's old contents could not be put back");
            }
        }
        synced
    }

    fn put(&self, contents: &[u8]) -> io::Result<()> {
        let unfinished = beside(&self.file, "new");
        let mut file = File::create(&unfinished)?;
        file.write_all(contents)?;
        file.sync_all()?;
        fs::rename(&unfinished, &self.file)
    }
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

fn contents(state: &State) -> Value {
    let mappings: Map<String, Value> =
        state.mappings.iter().map(|(uuid, record)| (uuid.to_string(), stored::write(record))).collect();
    let functions: Map<String, Value> =
        state.functions.iter().map(|(name, record)| (name.clone(), functions::write(record))).collect();
    json!({FORMAT_KEY: FORMAT, MAPPINGS_KEY: mappings, FUNCTIONS_KEY: functions})
}

fn read(file: &Path, bytes: &[u8]) -> Result<State, StateError> {
    let damaged = |problem: String| StateError::Damaged { file: file.to_owned(), problem };
    let contents: Value = serde_json::from_slice(bytes).map_err(|error| damaged(format!("it is not JSON: {error}")))?;
    let format = contents.get(FORMAT_KEY).and_then(Value::as_u64);
    match format {
        Some(WITHOUT_FUNCTIONS | FORMAT) => {}
        Some(found) if found > FORMAT => return Err(StateError::NewerFormat { file: file.to_owned(), found }),
        _ => return Err(damaged(format!("{FORMAT_KEY} is none of {WITHOUT_FUNCTIONS} to {FORMAT}"))),
    }
    let object = |key: &str| {
        let object = contents.get(key).and_then(Value::as_object);
        object.ok_or_else(|| damaged(format!("{key} is not an object")))
    };
    let read_one = |(uuid, value): (&String, &Value)| {
        let key = Uuid::try_parse(uuid).map_err(|_| damaged(format!("{uuid:?} is not a UUID")))?;
        let record = stored::read(value).map_err(|problem| damaged(format!("in mapping {uuid}, {problem}")))?;
        Ok((key, record))
    };
    let mappings = object(MAPPINGS_KEY)?.iter().map(read_one).collect::<Result<_, _>>()?;
    if format == Some(WITHOUT_FUNCTIONS) {
        return Ok(State { mappings, ..State::default() });
    }
    let read_one = |(name, value): (&String, &Value)| {
        let record = functions::read(value).map_err(|problem| damaged(format!("in function {name}, {problem}")))?;
        Ok((name.clone(), Arc::new(record)))
    };
    let functions = object(FUNCTIONS_KEY)?.iter().map(read_one).collect::<Result<_, _>>()?;
    Ok(State { mappings, functions })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::collections::BTreeMap;

    use super::*;
    use crate::configuration::Configuration;
    use crate::mapping::Origin;
    use crate::names::FunctionRef;
    use crate::stored::Record;

    fn one() -> State {
        let configuration = Configuration::new("arn:aws:sqs:us-east-1:000000000000:q", FunctionRef::new("f"));
        let record = Record { configuration, origin: Origin::Api, last_modified_ms: 7 };
        State {
            mappings: BTreeMap::from([(Uuid::new_v4(), record)]),
            functions: BTreeMap::from([("f".to_owned(), Arc::new(functions::example()))]),
        }
    }

    fn refusal(file: &Path) -> String {
        StateFile::open(file).unwrap_err().to_string()
    }

    #[test]
    fn what_was_written_is_there_after_a_restart_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("deep/lambda.json");
        let records = one();
        let (state, empty) = StateFile::open(&file).unwrap();
        assert_eq!(empty, State::default());
        state.write(&records).unwrap();
        drop(state);
        assert_eq!(StateFile::open(&file).unwrap().1, records);
        let names: Vec<_> = fs::read_dir(folder.path().join("deep")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "the file and its lock: {names:?}");
    }

    #[test]
    fn a_torn_write_leaves_the_old_contents() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lambda.json");
        let records = one();
        StateFile::open(&file).unwrap().0.write(&records).unwrap();
        fs::write(folder.path().join("lambda.json.new"), b"{\"Format\": 1, \"Event").unwrap();
        let (state, read) = StateFile::open(&file).unwrap();
        assert_eq!(read, records);
        state.write(&State::default()).unwrap();
    }

    #[test]
    fn a_damaged_file_is_named_with_the_problem_and_the_mend_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lambda.json");
        let uuid = Uuid::nil();
        for (contents, problem) in [
            (String::new(), "it is not JSON"),
            ("{\"Format\":1,\"EventSo".to_owned(), "it is not JSON"),
            ("\0\0\0\0".to_owned(), "it is not JSON"),
            ("[]".to_owned(), "Format is none of 1 to 2"),
            ("{\"Format\":0}".to_owned(), "Format is none of 1 to 2"),
            ("{\"Format\":1}".to_owned(), "EventSourceMappings is not an object"),
            ("{\"Format\":1,\"EventSourceMappings\":{\"x\":{}}}".to_owned(), "\"x\" is not a UUID"),
            (
                format!("{{\"Format\":1,\"EventSourceMappings\":{{\"{uuid}\":{{}}}}}}"),
                "in mapping 00000000-0000-0000-0000-000000000000, Origin is missing",
            ),
            ("{\"Format\":2,\"EventSourceMappings\":{}}".to_owned(), "Functions is not an object"),
            (
                "{\"Format\":2,\"EventSourceMappings\":{},\"Functions\":{\"f\":{}}}".to_owned(),
                "in function f, Origin is missing",
            ),
        ] {
            fs::write(&file, &contents).unwrap();
            let text = refusal(&file);
            assert!(text.contains(problem) && text.contains("restore it from a backup"), "{contents}: {text}");
            assert!(text.contains(&file.display().to_string()));
            assert_eq!(fs::read_to_string(&file).unwrap(), contents, "it is never replaced");
        }
    }

    #[test]
    fn a_newer_format_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lambda.json");
        fs::write(&file, "{\"Format\":3,\"Whatever\":[]}").unwrap();
        let text = refusal(&file);
        assert!(text.contains("has format 3") && text.contains("start the version that wrote it"), "{text}");
    }

    #[test]
    fn a_file_from_before_there_were_functions_is_read_and_then_written_as_now() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lambda.json");
        let mut state = one();
        let mut old = contents(&state);
        old["Format"] = json!(1);
        old.as_object_mut().unwrap().remove("Functions");
        fs::write(&file, old.to_string()).unwrap();
        let (opened, read) = StateFile::open(&file).unwrap();
        state.functions.clear();
        assert_eq!(read, state);
        opened.write(&read).unwrap();
        assert!(fs::read_to_string(&file).unwrap().contains("\"Format\": 2"));
    }

    #[test]
    fn a_second_process_may_not_have_it_and_may_have_it_later() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lambda.json");
        let first = StateFile::open(&file).unwrap();
        assert!(refusal(&file).contains("in use by another wasmill"));
        drop(first);
        assert!(StateFile::open(&file).is_ok());
    }

    #[test]
    fn a_folder_or_file_that_cannot_be_used_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let text = refusal(&folder.path().join("file/lambda.json"));
        assert!(text.contains("cannot be written") && text.contains("set state_dir"), "{text}");
        fs::create_dir(folder.path().join("lambda.json")).unwrap();
        let text = refusal(&folder.path().join("lambda.json"));
        assert!(text.contains("cannot be read") && text.contains("set state_dir"), "{text}");
    }
}
