//! The rules of every batch (sqs-semantics §4): one to ten entries, each with an id of its own. They fail the whole
//! request; what is wrong with an entry's content fails that entry alone.

use wasmill_queue::QueueError;

use crate::error::{ActionError, Fault};
use crate::wire::lists::{ENTRIES_MAX, Entries};
use crate::wire::{BatchResponse, FailedEntry};

const ID_LENGTH_MAX: usize = 80;

/// Checks the entries of a request and takes out their ids. `entry` is the model's name of an entry, for the texts.
pub(super) fn checked<E>(
    entries: Option<Entries<E>>,
    entry: &'static str,
    take_id: impl Fn(&mut E) -> Option<String>,
) -> Result<Vec<(String, E)>, ActionError> {
    let entries = entries.filter(|entries| entries.sent > 0).ok_or(ActionError::EmptyBatch { entry })?;
    if entries.sent > ENTRIES_MAX {
        return Err(ActionError::TooManyEntries { sent: entries.sent });
    }
    let mut with_ids: Vec<(String, E)> = Vec::with_capacity(entries.sent);
    for mut entry in entries.first {
        let id = take_id(&mut entry).ok_or(ActionError::MissingParameter { name: "Id" })?;
        if !is_entry_id(&id) {
            return Err(ActionError::InvalidBatchEntryId);
        }
        if with_ids.iter().any(|(earlier, _)| *earlier == id) {
            return Err(ActionError::DuplicateBatchEntryId { id });
        }
        with_ids.push((id, entry));
    }
    Ok(with_ids)
}

fn is_entry_id(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=ID_LENGTH_MAX).contains(&id.len()) && id.bytes().all(allowed)
}

/// Sorts the entries' outcomes into the two lists of a batch response, each in the order of the request.
pub(super) fn response<T, S>(
    outcomes: impl IntoIterator<Item = (String, Result<T, ActionError>)>,
    mut successful: impl FnMut(String, T) -> S,
) -> BatchResponse<S> {
    let mut response = BatchResponse { successful: Vec::new(), failed: Vec::new() };
    for (id, outcome) in outcomes {
        match outcome {
            Ok(value) => response.successful.push(successful(id, value)),
            Err(error) => response.failed.push(failed(id, &error)),
        }
    }
    response
}

/// A queue answers every entry; if one day it does not, the client hears of it.
pub(super) fn no_answer() -> QueueError {
    QueueError::Unavailable("the queue gave no answer for an entry".into())
}

fn failed(id: String, error: &ActionError) -> FailedEntry {
    let answer = error.answer();
    FailedEntry {
        id,
        sender_fault: answer.shape.fault == Fault::Sender,
        code: answer.shape.query_code,
        message: answer.text.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ids: &[&str]) -> Result<Vec<String>, ActionError> {
        let first = ids.iter().take(ENTRIES_MAX).map(|id| Some((*id).to_owned())).collect();
        let checked = checked(Some(Entries { first, sent: ids.len() }), "TestEntry", Option::take)?;
        Ok(checked.into_iter().map(|(id, _)| id).collect())
    }

    #[test]
    fn ids_come_back_in_order() {
        let longest = "x".repeat(80);
        assert_eq!(check(&["b", "a_-9", &longest]), Ok(vec!["b".into(), "a_-9".into(), longest.clone()]));
    }

    #[test]
    fn rules_fail_the_whole_request() {
        let eleven: Vec<String> = (0..11).map(|index| index.to_string()).collect();
        let eleven: Vec<&str> = eleven.iter().map(String::as_str).collect();
        let too_long = "x".repeat(81);
        for (ids, expected) in [
            (&[][..], ActionError::EmptyBatch { entry: "TestEntry" }),
            (&eleven, ActionError::TooManyEntries { sent: 11 }),
            (&["a", ""], ActionError::InvalidBatchEntryId),
            (&["a b"], ActionError::InvalidBatchEntryId),
            (&[&too_long], ActionError::InvalidBatchEntryId),
            (&["a", "b", "a"], ActionError::DuplicateBatchEntryId { id: "a".into() }),
        ] {
            assert_eq!(check(ids), Err(expected), "{ids:?}");
        }
        let no_id = checked(Some(Entries { first: vec![None::<String>], sent: 1 }), "TestEntry", Option::take);
        assert_eq!(no_id, Err(ActionError::MissingParameter { name: "Id" }));
        let none = checked(None::<Entries<Option<String>>>, "TestEntry", Option::take);
        assert_eq!(none, Err(ActionError::EmptyBatch { entry: "TestEntry" }));
    }

    #[test]
    fn outcomes_are_sorted_and_a_server_fault_is_not_the_senders() {
        let outcomes = [
            ("1".to_owned(), Ok(1)),
            ("2".to_owned(), Err(ActionError::InvalidCharacters)),
            ("3".to_owned(), Err(ActionError::Internal { what: "broken".into() })),
        ];
        let response = response(outcomes, |id, value| (id, value));
        assert_eq!(response.successful, [("1".to_owned(), 1)]);
        let failed: Vec<(&str, bool, &str)> =
            response.failed.iter().map(|entry| (entry.id.as_str(), entry.sender_fault, entry.code)).collect();
        assert_eq!(failed, [("2", true, "InvalidMessageContents"), ("3", false, "InternalFailure")]);
    }
}
