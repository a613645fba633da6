//! `TagQueue`, `UntagQueue` and `ListQueueTags`.

use crate::actions::queues::plain;
use crate::actions::{Actions, Caller};
use crate::error::ActionError;
use crate::wire::members::Pairs;
use crate::wire::{ListQueueTagsResponse, QueueRequest, TagQueueRequest, UntagQueueRequest};

const TAGS_MAX: usize = 50;
const KEY_CHARACTERS_MAX: usize = 128;
const VALUE_CHARACTERS_MAX: usize = 256;
const KEY_LENGTH: &str = "Tag keys must be between 1 and 128 characters in length.";
const VALUE_LENGTH: &str = "Tag values must be between 0 and 256 characters in length.";

impl Actions {
    pub(super) async fn tag_queue(&self, caller: Caller<'_>, request: TagQueueRequest) -> Result<(), ActionError> {
        let queue = self.queue(caller, request.queue_url.as_deref())?;
        let tags = plain(request.tags);
        if tags.is_empty() {
            return Err(ActionError::MissingParameter { name: "Tags" });
        }
        check(queue.name(), &tags, &queue.tags()?)?;
        Ok(queue.tag(&tags).await?)
    }

    pub(super) async fn untag_queue(&self, caller: Caller<'_>, request: UntagQueueRequest) -> Result<(), ActionError> {
        let queue = self.queue(caller, request.queue_url.as_deref())?;
        let keys = request.tag_keys.unwrap_or_default().0;
        if keys.is_empty() || keys.iter().any(String::is_empty) {
            return Err(ActionError::InvalidRequest { text: KEY_LENGTH });
        }
        Ok(queue.untag(&keys).await?)
    }

    pub(super) fn list_queue_tags(
        &self,
        caller: Caller<'_>,
        request: &QueueRequest,
    ) -> Result<ListQueueTagsResponse, ActionError> {
        let queue = self.queue(caller, request.queue_url.as_deref())?;
        Ok(ListQueueTagsResponse { tags: Pairs(queue.tags()?) })
    }
}

/// Checks tags that are to be set on a queue beside those it has. An empty value is a value.
pub(super) fn check(queue: &str, tags: &[(String, String)], present: &[(String, String)]) -> Result<(), ActionError> {
    if tags.iter().any(|(key, _)| key.is_empty() || is_longer(key, KEY_CHARACTERS_MAX)) {
        return Err(ActionError::InvalidRequest { text: KEY_LENGTH });
    }
    if tags.iter().any(|(_, value)| is_longer(value, VALUE_CHARACTERS_MAX)) {
        return Err(ActionError::InvalidRequest { text: VALUE_LENGTH });
    }
    let added = tags.iter().filter(|(key, _)| !present.iter().any(|(present, _)| present == key)).count();
    if present.len() + added > TAGS_MAX {
        return Err(ActionError::TooManyTags { queue: queue.to_owned() });
    }
    Ok(())
}

fn is_longer(text: &str, characters: usize) -> bool {
    text.chars().nth(characters).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(keys: impl Iterator<Item = String>) -> Vec<(String, String)> {
        keys.map(|key| (key, String::new())).collect()
    }

    #[test]
    fn a_queue_has_at_most_fifty_tags() {
        let numbered = |range: std::ops::Range<usize>| tags(range.map(|index| index.to_string()));
        assert_eq!(check("q", &numbered(0..50), &[]), Ok(()));
        assert_eq!(check("q", &numbered(0..50), &numbered(0..50)), Ok(()), "overwriting adds none");
        let too_many = Err(ActionError::TooManyTags { queue: "q".into() });
        assert_eq!(check("q", &numbered(0..51), &[]), too_many);
        assert_eq!(check("q", &numbered(50..51), &numbered(0..50)), too_many);
    }

    #[test]
    fn keys_and_values_have_lengths() {
        let one = |key: String, value: String| check("q", &[(key, value)], &[]);
        assert_eq!(one("\u{e9}".repeat(128), "\u{e9}".repeat(256)), Ok(()));
        assert_eq!(one(String::new(), "v".into()), Err(ActionError::InvalidRequest { text: KEY_LENGTH }));
        assert_eq!(one("k".repeat(129), "v".into()), Err(ActionError::InvalidRequest { text: KEY_LENGTH }));
        assert_eq!(one("k".into(), "v".repeat(257)), Err(ActionError::InvalidRequest { text: VALUE_LENGTH }));
    }
}
