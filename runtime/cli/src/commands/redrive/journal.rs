//! What a selective redrive has sent and may not have deleted yet, in a file: one that was killed goes on from there.
//!
//! A message is noted before it is sent and again once it was. What was sent and is still in the dead-letter queue is only
//! deleted; what was noted and not answered for may have been sent: it is sent again, so that it is there twice rather than
//! lost. That is one call's messages at most, ten.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;

use serde_json::{Value, json};

/// The file.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    sent: HashSet<String>,
    /// Of what an earlier run was about to send and never answered for.
    unanswered: HashSet<String>,
}

impl Journal {
    /// Opens the journal of a queue, with what an earlier run left in it.
    pub(super) fn open(folder: &std::path::Path, queue_arn: &str) -> std::io::Result<Self> {
        fs::create_dir_all(folder)?;
        let name: String = queue_arn.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let path = folder.join(format!("{name}.jsonl"));
        let mut noted: HashMap<String, bool> = HashMap::new();
        // A line that a crash cut short was not acted upon.
        for line in fs::read_to_string(&path).unwrap_or_default().lines() {
            let Ok(entry) = serde_json::from_str::<Value>(line) else { continue };
            if let Some(id) = entry["id"].as_str() {
                noted.insert(id.to_owned(), entry["sent"].as_bool().unwrap_or(false));
            }
        }
        let file = File::options().create(true).append(true).open(&path)?;
        file.try_lock().map_err(std::io::Error::from)?;
        let of = |is_sent: bool| noted.iter().filter(|(_, sent)| **sent == is_sent).map(|(id, _)| id.clone()).collect();
        let (sent, unanswered) = (of(true), of(false));
        Ok(Self { path, file, sent, unanswered })
    }

    /// Whether an earlier run sent the message: then it is only to be deleted.
    pub(super) fn was_sent(&self, id: &str) -> bool {
        self.sent.contains(id)
    }

    /// Whether an earlier run may have sent it.
    pub(super) fn may_have_been_sent(&self, id: &str) -> bool {
        self.unanswered.contains(id)
    }

    /// Notes messages that are about to be sent, or were. On disk before it returns.
    pub(super) fn note<'a>(&mut self, ids: impl Iterator<Item = &'a str>, sent: bool) -> std::io::Result<()> {
        let mut lines = String::new();
        for id in ids {
            lines.push_str(&json!({ "id": id, "sent": sent }).to_string());
            lines.push('\n');
            if sent {
                self.sent.insert(id.to_owned());
                self.unanswered.remove(id);
            }
        }
        self.file.write_all(lines.as_bytes())?;
        self.file.sync_data()
    }

    /// Everything that was sent is deleted: there is nothing to go on from.
    pub(super) fn end(self) -> std::io::Result<()> {
        fs::remove_file(&self.path)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_later_run_knows_what_was_sent_and_what_may_have_been() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(folder.path(), "arn:aws:sqs:r:1:q").unwrap();
        journal.note(["a", "b"].into_iter(), false).unwrap();
        journal.note(["a"].into_iter(), true).unwrap();
        assert!(Journal::open(folder.path(), "arn:aws:sqs:r:1:q").is_err(), "one at a time");
        drop(journal);
        let path = folder.path().join("arn-aws-sqs-r-1-q.jsonl");
        let torn = fs::read_to_string(&path).unwrap() + "{\"id\":\"c";
        fs::write(&path, torn).unwrap();
        let journal = Journal::open(folder.path(), "arn:aws:sqs:r:1:q").unwrap();
        let known = ["a", "b", "c"].map(|id| (journal.was_sent(id), journal.may_have_been_sent(id)));
        assert_eq!(known, [(true, false), (false, true), (false, false)]);
        journal.end().unwrap();
        assert!(!path.exists());
    }
}
