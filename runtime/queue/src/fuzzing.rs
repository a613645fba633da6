//! A door for fuzz targets into the checks of what callers give a queue, and nothing else: no part of the API.

use crate::arn::QueueArn;
use crate::attributes::Settings;
use crate::limits::{MESSAGE_MAX_BYTES, QueueKind, check_message};
use crate::message::{AttributeValue, MessageAttribute, OutgoingMessage, ReceiptHandle};
use crate::policy;
use crate::receipt::Receipts;

/// Reads lines of `name=value` as attributes of a queue, as permissions and as parts of a message, and the whole as a
/// receipt handle and an ARN: each is taken or refused.
///
/// # Panics
/// When something that was taken does not stand by what it is: that is what a fuzzer looks for.
pub fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let pairs: Vec<(String, String)> = text
        .split('\n')
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    check_settings(&pairs);
    check_permissions(&pairs);
    check_messages(&text, &pairs);
    let _handle_or_not = Receipts::new([0; 16]).decode(&ReceiptHandle::new(text.as_ref()));
    if let Ok(arn) = QueueArn::parse(&text) {
        assert_eq!(QueueArn::parse(arn.as_str()), Ok(arn));
    }
}

fn check_settings(pairs: &[(String, String)]) {
    let Ok(settings) = Settings::of_new(pairs) else { return };
    let stored = settings.to_stored_pairs();
    let again = Settings::from_stored(&stored, |name, error| panic!("{name} was taken, stored and refused: {error}"));
    assert_eq!(again, settings, "stored as {stored:?}");
    let _changed_or_refused = settings.changed(pairs);
}

fn check_permissions(pairs: &[(String, String)]) {
    let queue = QueueArn::new("us-east-1", "000000000000", "q");
    for (label, value) in pairs {
        let words: Vec<String> = value.split(',').map(str::to_owned).collect();
        let policies = [None, Some(value.as_str())];
        for policy in policies {
            let permitted = policy::with_permission(policy, &queue, label, &words, &["SendMessage".to_owned()]);
            let _refused_or_not = policy::with_permission(policy, &queue, label, &["1".repeat(12)], &words);
            if let Ok(permitted) = permitted {
                assert!(policy::without_permission(Some(&permitted), label).is_ok(), "{label} is in {permitted}");
            }
        }
    }
}

fn check_messages(body: &str, pairs: &[(String, String)]) {
    let attribute = |(name, value): &(String, String)| {
        let (name, data_type) = name.split_once(':').unwrap_or((name, "String"));
        let value = if data_type.starts_with('B') {
            AttributeValue::Binary(value.as_bytes().to_vec())
        } else {
            AttributeValue::Text(value.clone())
        };
        MessageAttribute { name: name.to_owned(), data_type: data_type.to_owned(), value }
    };
    let message = OutgoingMessage {
        body: body.to_owned(),
        attributes: pairs.iter().map(attribute).collect(),
        group_id: pairs.first().map(|(group, _)| group.clone()),
        deduplication_id: pairs.first().map(|(_, id)| id.clone()),
        trace_header: pairs.last().map(|(_, header)| header.clone()),
        ..OutgoingMessage::default()
    };
    for kind in [QueueKind::Standard, QueueKind::Fifo { content_based_deduplication: false }] {
        let _taken_or_refused = check_message(&message, MESSAGE_MAX_BYTES, kind);
        let bare = OutgoingMessage { deduplication_id: None, attributes: Vec::new(), ..message.clone() };
        let _taken_or_refused = check_message(&bare, MESSAGE_MAX_BYTES, kind);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    #[test]
    fn the_fuzzers_seeds_are_taken_or_refused() {
        let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fuzz/seeds/queue_checks");
        let mut count = 0;
        for seed in std::fs::read_dir(seeds).unwrap() {
            super::check(&std::fs::read(seed.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(count > 0, "no seeds in {seeds}");
    }
}
