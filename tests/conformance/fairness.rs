//! sqs-semantics §7, fair queues: on a standard queue message groups are tenants, and one that floods the queue does not
//! keep the others waiting. Counted in receives, not in seconds.

use serde_json::{Value, json};

use crate::client::{Api, each};
use crate::queue::{Queue, bodies, system, text};

/// Sends `count` messages in batches, to a group or to none.
async fn flood(queue: &Queue, group: Option<&str>, count: usize) {
    for batch in 0..count / 10 {
        let entries: Value = (0..10)
            .map(|id| {
                let mut entry = json!({"Id": id.to_string(), "MessageBody": format!("noisy {batch}-{id}")});
                if let Some(group) = group {
                    entry["MessageGroupId"] = json!(group);
                }
                entry
            })
            .collect();
        queue.ok("SendMessageBatch", &json!({"Entries": entries})).await;
    }
}

/// How many receives of `max` messages it takes until the quiet tenant's message comes, each message deleted at once.
async fn receives_until_quiet(queue: &Queue, max: usize) -> usize {
    for receives in 1.. {
        let received = queue.take(max).await;
        assert!(!received.is_empty(), "the queue ran empty");
        if bodies(&received).iter().any(|body| body == "quiet") {
            return receives;
        }
        for message in &received {
            queue.delete(message).await;
        }
    }
    unreachable!("the loop has no end but those in it")
}

async fn flooded(api: &Api, noisy: Option<&str>, quiet: Option<&str>) -> Queue {
    let queue = Queue::plain(api, "fair").await;
    flood(&queue, noisy, 500).await;
    match quiet {
        Some(group) => queue.send_to(group, "quiet").await,
        None => queue.send("quiet").await,
    };
    queue
}

/// §7 "quiet tenants keep low dwell time when one tenant floods"; messages without a group are one shared tenant.
#[tokio::test]
async fn a_quiet_tenant_does_not_wait_behind_a_flood() {
    each(async |api| {
        for (noisy, quiet) in [(Some("noisy"), Some("quiet")), (None, Some("quiet")), (Some("noisy"), None)] {
            let queue = flooded(&api, noisy, quiet).await;
            let receives = receives_until_quiet(&queue, 1).await;
            assert!(receives <= 3, "{noisy:?}, {quiet:?}: after {receives} receives of one message");
            let queue = flooded(&api, noisy, quiet).await;
            let receives = receives_until_quiet(&queue, 10).await;
            assert!(receives <= 2, "{noisy:?}, {quiet:?}: after {receives} receives of ten messages");
        }
    })
    .await;
}

/// §7 "or is slow": a tenant whose messages are in flight in great number stands back too.
#[tokio::test]
async fn a_quiet_tenant_does_not_wait_behind_a_slow_one() {
    each(async |api| {
        let queue = Queue::plain(&api, "slow").await;
        flood(&queue, Some("noisy"), 200).await;
        for _ in 0..10 {
            assert_eq!(queue.take(10).await.len(), 10, "held, not deleted");
        }
        queue.send_to("quiet", "quiet").await;
        assert!(receives_until_quiet(&queue, 1).await <= 3);
    })
    .await;
}

/// §7: many quiet tenants at once, each gets its turn.
#[tokio::test]
async fn every_quiet_tenant_gets_its_turn() {
    each(async |api| {
        let queue = Queue::plain(&api, "many").await;
        flood(&queue, Some("noisy"), 500).await;
        for tenant in 0..9 {
            queue.send_to(&format!("tenant-{tenant}"), "quiet").await;
        }
        let asked = json!({"MaxNumberOfMessages": 10, "MessageSystemAttributeNames": ["MessageGroupId"]});
        let mut served = Vec::new();
        for _ in 0..2 {
            let received = queue.receive(&asked).await;
            served.extend(received.iter().map(|message| system(message, "MessageGroupId").to_owned()));
        }
        let quiet = served.iter().filter(|group| group.starts_with("tenant-")).count();
        assert_eq!(quiet, 9, "{served:?}");
    })
    .await;
}

/// §7 "No order, no lock, no dedup": one group's messages are in flight together, and the same body is two messages.
#[tokio::test]
async fn a_group_on_a_standard_queue_locks_and_deduplicates_nothing() {
    each(async |api| {
        let queue = Queue::plain(&api, "unlocked").await;
        let ids: [Value; 3] = [
            queue.send_to("g", "same").await["MessageId"].clone(),
            queue.send_to("g", "same").await["MessageId"].clone(),
            queue.send_to("g", "same").await["MessageId"].clone(),
        ];
        let mut received = Vec::new();
        for _ in 0..3 {
            received.extend(queue.take(1).await.iter().map(|message| json!(text(message, "MessageId"))));
        }
        for id in ids {
            assert!(received.contains(&id), "{received:?} lacks {id}");
        }
        assert_eq!(queue.counts().await, support::Counts::in_flight(3));
    })
    .await;
}
