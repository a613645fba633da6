//! The attributes' rules, a row each (sqs-semantics §3).

#![expect(clippy::unwrap_used, reason = "tests")]
use super::*;
use crate::error::CreateQueueError;
use crate::fixtures::{create, in_memory, on_disk, pairs};
use crate::store::Durability;

const FIFO: (&str, &str) = (FIFO_QUEUE, "true");

fn new(attributes: &[(&str, &str)]) -> Result<Settings, SettingError> {
    Settings::of_new(&pairs(attributes))
}

fn set(settings: &Settings, attributes: &[(&str, &str)]) -> Result<Settings, SettingError> {
    settings.changed(&pairs(attributes))
}

fn shown(settings: &Settings, name: &str) -> Option<String> {
    settings.to_pairs().into_iter().find(|(known, _)| *known == name).map(|(_, value)| value)
}

fn names(settings: &Settings) -> Vec<&'static str> {
    settings.to_pairs().into_iter().map(|(name, _)| name).collect()
}

#[test]
fn every_range_holds_at_both_ends() {
    let rows = [
        (VISIBILITY_TIMEOUT, 0, 43_200),
        (DELAY_SECONDS, 0, 900),
        (RETENTION, 60, 1_209_600),
        (RECEIVE_WAIT, 0, 20),
        (MAXIMUM_MESSAGE_SIZE, 1024, 1_048_576),
        (KMS_REUSE, 60, 86_400),
    ];
    for (name, min, max) in rows {
        for good in [min, max] {
            let settings = new(&[(name, &good.to_string())]).unwrap();
            assert_eq!(shown(&settings, name), Some(good.to_string()), "{name}");
        }
        let (below, above) = ((min - 1).to_string(), (max + 1).to_string());
        for bad in [below.as_str(), above.as_str(), "", "+70", "7e1", " 70", "seventy"] {
            let refused = new(&[(name, bad)]);
            assert!(matches!(refused, Err(SettingError::InvalidValue { .. })), "{name}={bad:?}: {refused:?}");
        }
    }
}

#[test]
fn a_fresh_queue_shows_exactly_what_one_of_sqs_shows() {
    let standard = [DELAY_SECONDS, MAXIMUM_MESSAGE_SIZE, RETENTION, RECEIVE_WAIT, MANAGED_SSE, VISIBILITY_TIMEOUT];
    assert_eq!(names(&Settings::default()), standard);
    assert_eq!(shown(&Settings::default(), MANAGED_SSE).as_deref(), Some("true"));

    let fifo = new(&[FIFO]).unwrap();
    let mut expected =
        [&standard[..], &[CONTENT_BASED_DEDUPLICATION, DEDUPLICATION_SCOPE, FIFO_QUEUE, FIFO_THROUGHPUT_LIMIT]]
            .concat();
    expected.sort_unstable();
    assert_eq!(names(&fifo), expected);
    for (name, value) in [
        (FIFO_QUEUE, "true"),
        (CONTENT_BASED_DEDUPLICATION, "false"),
        (DEDUPLICATION_SCOPE, "queue"),
        (FIFO_THROUGHPUT_LIMIT, "perQueue"),
    ] {
        assert_eq!(shown(&fifo, name).as_deref(), Some(value), "{name}");
    }
}

#[test]
fn what_is_unknown_or_only_shown_cannot_be_set() {
    for name in READ_ONLY.into_iter().chain(["All", "visibilityTimeout", "", STORED_CREATED_SCOPE]) {
        let unknown = SettingError::Unknown(name.to_owned());
        assert_eq!(new(&[(name, "1")]), Err(unknown.clone()));
        assert_eq!(set(&new(&[FIFO]).unwrap(), &[(name, "1")]), Err(unknown));
    }
}

/// The texts as recorded of AWS (test_set_unsupported_attribute_standard, test_set_unsupported_attribute_fifo).
#[test]
fn fifo_attributes_are_for_fifo_queues_and_the_type_never_changes() {
    let only_fifo =
        |name: &str| SettingError::Misplaced(format!("You can specify the {name} only when FifoQueue is set to true."));
    for (name, value, error) in [
        (FIFO_QUEUE, "false", SettingError::Unknown(FIFO_QUEUE.into())),
        (CONTENT_BASED_DEDUPLICATION, "true", SettingError::Unknown(CONTENT_BASED_DEDUPLICATION.into())),
        (DEDUPLICATION_SCOPE, "queue", only_fifo(DEDUPLICATION_SCOPE)),
        (FIFO_THROUGHPUT_LIMIT, "perQueue", only_fifo(FIFO_THROUGHPUT_LIMIT)),
    ] {
        assert_eq!(new(&[(name, value)]), Err(error.clone()));
        assert_eq!(set(&Settings::default(), &[(name, value)]), Err(error));
    }
    assert_eq!(set(&Settings::default(), &[FIFO]), Err(SettingError::Unknown(FIFO_QUEUE.into())));

    let fifo = new(&[FIFO]).unwrap();
    assert_eq!(set(&fifo, &[FIFO]).as_ref(), Ok(&fifo));
    let refused = set(&fifo, &[(FIFO_QUEUE, "false")]).unwrap_err();
    let text = "invalid value for FifoQueue: Modifying queue type is not supported.";
    assert_eq!(refused.to_string(), text);
    for (name, value) in [
        (FIFO_QUEUE, "yes"),
        (CONTENT_BASED_DEDUPLICATION, "1"),
        (DEDUPLICATION_SCOPE, "group"),
        (FIFO_THROUGHPUT_LIMIT, "none"),
    ] {
        let refused = set(&fifo, &[(name, value)]);
        assert!(matches!(refused, Err(SettingError::InvalidValue { .. })), "{name}={value}: {refused:?}");
    }
}

#[test]
fn a_throughput_limit_per_group_needs_the_scope_in_whatever_order() {
    let (limit, scope) = ((FIFO_THROUGHPUT_LIMIT, PER_GROUP), (DEDUPLICATION_SCOPE, "messageGroup"));
    let alone = new(&[FIFO, limit]);
    assert!(matches!(alone, Err(SettingError::InvalidValue { name: FIFO_THROUGHPUT_LIMIT, .. })), "{alone:?}");
    let both = new(&[limit, FIFO, scope]).unwrap();
    assert_eq!(shown(&both, FIFO_THROUGHPUT_LIMIT).as_deref(), Some(PER_GROUP));
    assert!(set(&both, &[(DEDUPLICATION_SCOPE, "queue")]).is_err());
    assert!(set(&both, &[(DEDUPLICATION_SCOPE, "queue"), (FIFO_THROUGHPUT_LIMIT, PER_QUEUE)]).is_ok());
}

/// As recorded of AWS (test_fifo_change_to_high_throughput_after_creation and its reverse).
#[test]
fn the_scope_of_the_creation_goes_on_working_when_another_is_shown() {
    let created = new(&[FIFO, (DEDUPLICATION_SCOPE, "messageGroup")]).unwrap();
    let changed = set(&created, &[(DEDUPLICATION_SCOPE, "queue")]).unwrap();
    let fifo = changed.fifo.unwrap();
    assert_eq!(fifo.deduplication_scope, DeduplicationScope::Queue);
    assert_eq!(fifo.created_scope, DeduplicationScope::MessageGroup);
}

/// As recorded of AWS (test_sse_queue_attributes, test_sse_kms_and_sqs_are_mutually_exclusive and
/// test_set_queue_attributes_default_values).
#[test]
fn one_kind_of_encryption_at_a_time() {
    let encryption = |settings: &Settings| {
        [KMS_KEY, KMS_REUSE, MANAGED_SSE].map(|name| shown(settings, name).unwrap_or_else(|| "-".to_owned())).join(" ")
    };
    let refused = new(&[(KMS_KEY, "key"), (MANAGED_SSE, "true")]).unwrap_err();
    let text =
        "You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS SSE.";
    assert_eq!(refused, SettingError::Misplaced(text.to_owned()));

    for (before, given, after) in [
        (&[][..], &[(KMS_KEY, "key")][..], "key 300 false"),
        (&[], &[(KMS_KEY, "key"), (KMS_REUSE, "6000"), (MANAGED_SSE, "false")], "key 6000 false"),
        (&[(KMS_KEY, "key"), (KMS_REUSE, "6000")], &[(KMS_KEY, "")], "- - false"),
        (&[(KMS_KEY, "key"), (KMS_REUSE, "6000")], &[(KMS_KEY, ""), (KMS_REUSE, "300")], "- - false"),
        (&[(KMS_KEY, "key")], &[(MANAGED_SSE, "true")], "- - true"),
        (&[(KMS_KEY, "key")], &[(KMS_KEY, ""), (MANAGED_SSE, "true")], "- - true"),
        (&[(KMS_KEY, "key")], &[(KMS_KEY, "other")], "other 300 false"),
        (&[(KMS_KEY, "key")], &[(DELAY_SECONDS, "1")], "key 300 false"),
        (&[], &[(MANAGED_SSE, "false")], "- - false"),
        (&[], &[(KMS_REUSE, "60")], "- 60 true"),
    ] {
        let settings = set(&new(before).unwrap(), given).unwrap();
        assert_eq!(encryption(&settings), after, "{before:?} then {given:?}");
    }
    assert!(new(&[(KMS_KEY, &"k".repeat(2049))]).is_err());
}

#[test]
fn policies_are_kept_as_given_and_an_empty_text_removes_them() {
    let allow = r#"{ "redrivePermission": "denyAll" }"#;
    let settings = new(&[(POLICY, "{ }"), (REDRIVE_ALLOW, allow)]).unwrap();
    assert_eq!(shown(&settings, POLICY).as_deref(), Some("{ }"));
    assert_eq!(shown(&settings, REDRIVE_ALLOW).as_deref(), Some(allow));
    let removed = set(&settings, &[(POLICY, ""), (REDRIVE_ALLOW, ""), (REDRIVE, "")]).unwrap();
    assert_eq!(removed, Settings::default());
}

#[test]
fn what_is_stored_is_read_back_whole() {
    let everything = new(&[
        FIFO,
        (VISIBILITY_TIMEOUT, "1"),
        (DELAY_SECONDS, "2"),
        (RETENTION, "60"),
        (RECEIVE_WAIT, "3"),
        (MAXIMUM_MESSAGE_SIZE, "1024"),
        (POLICY, r#"{"Version":"2012-10-17"}"#),
        (REDRIVE, r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:d.fifo","maxReceiveCount":"5"}"#),
        (REDRIVE_ALLOW, r#"{"redrivePermission":"allowAll"}"#),
        (KMS_KEY, "key"),
        (KMS_REUSE, "60"),
        (CONTENT_BASED_DEDUPLICATION, "true"),
        (DEDUPLICATION_SCOPE, "messageGroup"),
        (FIFO_THROUGHPUT_LIMIT, PER_GROUP),
    ])
    .unwrap();
    let changed = set(&everything, &[(DEDUPLICATION_SCOPE, "queue"), (FIFO_THROUGHPUT_LIMIT, PER_QUEUE)]).unwrap();
    for settings in [everything, changed, Settings::default(), new(&[(MANAGED_SSE, "false")]).unwrap()] {
        let stored = settings.to_stored_pairs();
        let read = Settings::from_stored(&stored, |name, error| panic!("{name}: {error}"));
        assert_eq!(read, settings, "{stored:?}");
    }
}

#[test]
fn a_stored_attribute_that_is_not_taken_any_more_is_told_and_costs_no_other() {
    let stored = pairs(&[(DELAY_SECONDS, "1000"), ("Gone", "x"), (VISIBILITY_TIMEOUT, "5")]);
    let mut told = Vec::new();
    let settings = Settings::from_stored(&stored, |name, _| told.push(name.to_owned()));
    assert_eq!(told, [DELAY_SECONDS, "Gone"]);
    assert_eq!(settings, Settings { visibility_timeout_s: 5, ..Settings::default() });
}

#[test]
fn creating_again_compares_only_what_is_given() {
    let arn = "arn:aws:sqs:us-east-1:000000000000:d";
    let redrive = format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":3}}"#);
    let redrive_otherwise = format!(r#"{{ "maxReceiveCount": "3", "deadLetterTargetArn": "{arn}" }}"#);
    let standard = [
        (VISIBILITY_TIMEOUT, "7"),
        (REDRIVE, redrive.as_str()),
        (POLICY, r#"{"Version":"2012-10-17","Id":"x"}"#),
        (KMS_KEY, "key"),
    ];
    let fifo = [FIFO, (CONTENT_BASED_DEDUPLICATION, "true"), (DEDUPLICATION_SCOPE, "messageGroup")];
    type Given<'a> = &'a [(&'a str, &'a str)];
    let rows: &[(Given<'_>, Given<'_>, Option<&str>)] = &[
        (&standard, &standard, None),
        (&standard, &[], None),
        (&standard, &[(DELAY_SECONDS, "0"), (KMS_REUSE, "300")], None),
        (&standard, &[(REDRIVE, &redrive_otherwise)], None),
        (&standard, &[(POLICY, r#"{"Id":"x", "Version":"2012-10-17"}"#)], None),
        (&standard, &[("QueueArn", "whatever"), ("CreatedTimestamp", "0")], None),
        (&standard, &[(VISIBILITY_TIMEOUT, "7"), (DELAY_SECONDS, "1")], Some(DELAY_SECONDS)),
        (&standard, &[(POLICY, "")], Some(POLICY)),
        (&standard, &[(REDRIVE, "")], Some(REDRIVE)),
        (&standard, &[(MANAGED_SSE, "true")], Some(MANAGED_SSE)),
        (&standard, &[(KMS_REUSE, "60")], Some(KMS_REUSE)),
        (&[], &[(KMS_KEY, "key")], Some(KMS_KEY)),
        (&fifo, &fifo, None),
        (&fifo, &[FIFO], None),
        (&fifo, &[FIFO, (CONTENT_BASED_DEDUPLICATION, "false")], Some(CONTENT_BASED_DEDUPLICATION)),
        (&fifo, &[FIFO, (DEDUPLICATION_SCOPE, "queue")], Some(DEDUPLICATION_SCOPE)),
    ];
    for (made_with, given, difference) in rows {
        let current = new(made_with).unwrap();
        assert_eq!(current.first_difference(&pairs(given)), Ok(*difference), "{made_with:?} then {given:?}");
    }
    let out_of_range = Settings::default().first_difference(&pairs(&[(DELAY_SECONDS, "901")])).is_err();
    assert!(out_of_range, "a wrong value is no other value");
}

#[tokio::test]
async fn a_fifo_queue_has_the_suffix_and_no_other_queue_has() {
    let broker = in_memory().await;
    let longest = format!("{}.fifo", "n".repeat(75));
    for (name, attributes, expected) in [
        (longest.as_str(), &[FIFO][..], Ok(())),
        ("orders.fifo", &[FIFO], Ok(())),
        ("orders", &[], Ok(())),
        ("orders.fifo", &[], Err(CreateQueueError::FifoNameOnStandard)),
        ("orders.fifo", &[(FIFO_QUEUE, "false")], Err(CreateQueueError::FifoNameOnStandard)),
        ("orders", &[FIFO], Err(CreateQueueError::InvalidFifoName)),
        (".fifo", &[FIFO], Err(CreateQueueError::InvalidFifoName)),
        ("a/b.fifo", &[FIFO], Err(CreateQueueError::InvalidFifoName)),
        ("a.b.fifo", &[FIFO], Err(CreateQueueError::InvalidFifoName)),
        (&format!("n{longest}"), &[FIFO], Err(CreateQueueError::InvalidFifoName)),
        ("orders.FIFO", &[], Err(CreateQueueError::InvalidName)),
        ("other", &[(FIFO_QUEUE, "false")], Err(SettingError::Unknown(FIFO_QUEUE.into()).into())),
    ] {
        let made = broker.create_queue(name, &pairs(attributes), &[]).await.map(|_| ());
        assert_eq!(made, expected, "{name} {attributes:?}");
    }
    assert!(broker.queue("other").is_err(), "half a queue");
    let differs = broker.create_queue("orders.fifo", &pairs(&[FIFO, (CONTENT_BASED_DEDUPLICATION, "true")]), &[]).await;
    assert_eq!(differs.unwrap_err(), CreateQueueError::NameExists { attribute: CONTENT_BASED_DEDUPLICATION.into() });
}

#[tokio::test]
async fn a_queue_on_disk_comes_back_with_all_its_settings() {
    let directory = tempfile::tempdir().unwrap();
    let broker = on_disk(directory.path(), Durability::Os).await.unwrap();
    let scope = (DEDUPLICATION_SCOPE, "messageGroup");
    let queue = create(&broker, "q.fifo", &[FIFO, scope, (POLICY, "{ }"), (KMS_KEY, "key")]).await;
    queue.set_attributes(&pairs(&[(DEDUPLICATION_SCOPE, "queue")])).await.unwrap();
    let before = queue.settings().unwrap();
    broker.close().await;
    drop((queue, broker));

    let broker = on_disk(directory.path(), Durability::Os).await.unwrap();
    let after = broker.queue("q.fifo").unwrap().settings().unwrap();
    assert_eq!(after, before);
    assert_eq!(after.fifo.unwrap().created_scope, DeduplicationScope::MessageGroup);
    broker.close().await;
}
