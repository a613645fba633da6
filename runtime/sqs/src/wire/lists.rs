//! Lists of a request, with a limit: a list of empty objects costs its sender three bytes a piece and us hundreds.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, SeqAccess, Visitor};

/// The most members of a list of names or of a map. AWS has no use for more than fifty.
pub(crate) const MEMBERS_MAX: usize = 1000;
/// The most entries of a batch.
pub(crate) const ENTRIES_MAX: usize = 10;

/// A list as it came.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct List<T>(pub(crate) Vec<T>);

/// The entries of a batch: those that a batch may have, and how many were sent.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Entries<T> {
    pub(crate) first: Vec<T>,
    pub(crate) sent: usize,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
            type Value = List<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = seq.next_element()? {
                    if members.len() == MEMBERS_MAX {
                        return Err(A::Error::custom(TooMany));
                    }
                    members.push(member);
                }
                Ok(List(members))
            }
        }

        deserializer.deserialize_seq(ListVisitor(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for EntriesVisitor<T> {
            type Value = Entries<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut first = Vec::new();
                while first.len() < ENTRIES_MAX {
                    match seq.next_element()? {
                        Some(entry) => first.push(entry),
                        None => return Ok(Entries { sent: first.len(), first }),
                    }
                }
                let mut sent = first.len();
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    sent += 1;
                }
                Ok(Entries { first, sent })
            }
        }

        deserializer.deserialize_seq(EntriesVisitor(PhantomData))
    }
}

/// Said of a list or map that is too long.
pub(crate) struct TooMany;

impl fmt::Display for TooMany {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it has more than {MEMBERS_MAX} members")
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn json(count: usize) -> String {
        format!("[{}]", vec!["\"x\""; count].join(","))
    }

    #[test]
    fn a_list_has_a_limit() {
        assert_eq!(serde_json::from_str::<List<String>>(&json(MEMBERS_MAX)).unwrap().0.len(), MEMBERS_MAX);
        let error = serde_json::from_str::<List<String>>(&json(MEMBERS_MAX + 1)).unwrap_err().to_string();
        assert!(error.starts_with("it has more than 1000 members"), "{error}");
        assert!(serde_json::from_str::<List<String>>("{}").is_err());
    }

    #[test]
    fn entries_over_the_limit_are_counted_and_not_kept() {
        for (sent, kept) in [(0, 0), (3, 3), (10, 10), (11, 10), (2000, 10)] {
            let entries: Entries<String> = serde_json::from_str(&json(sent)).unwrap();
            assert_eq!((entries.sent, entries.first.len()), (sent, kept));
        }
        assert!(serde_json::from_str::<Entries<String>>("{}").is_err());
    }
}
