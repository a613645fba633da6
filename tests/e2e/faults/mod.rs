//! The real binary on disks that fail, wait or are full: nothing acknowledged is lost, and it says what is the matter.

#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::operation::send_message::SendMessageError;
use support::command::wrapped;
use support::disks::{SmallDisk, Syncs};
use support::wait::holds;
use support::{Counts, Home, PATIENCE, Sqs, Wasmill, eventually};
use tokio::task::JoinSet;

/// Sends one message; gives its id, or the status and text of the refusal.
async fn try_send(sqs: &Sqs, queue: &str, body: String) -> Result<String, (u16, String)> {
    let sent = sqs.client().send_message().queue_url(sqs.url(queue)).message_body(body).send().await;
    sent.map(|sent| sent.message_id.unwrap()).map_err(|error: SdkError<SendMessageError>| {
        let status = error.raw_response().map_or(0, |answer| answer.status().as_u16());
        (status, error.message().unwrap_or_default().to_owned())
    })
}

/// Receives all that there is; gives the ids.
async fn receive_ids(sqs: &Sqs, queue: &str, count: usize) -> BTreeSet<String> {
    let messages = sqs.receive_all(PATIENCE, queue, count).await;
    messages.into_iter().map(|message| message.message_id.unwrap()).collect()
}

/// Asserts that both endpoints for monitors say why the store is given up.
async fn assert_given_up(server: &Wasmill) {
    for path in ["/healthz", "/readyz"] {
        let answer = server.get(path).await.unwrap();
        assert_eq!(answer.status, 503, "{path}: {}", answer.body);
        assert!(answer.body.contains("takes nothing until it is restarted"), "{path}: {}", answer.body);
    }
    server.log().wait_for_event(PATIENCE, "nothing is acknowledged until a restart").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failed_sync_nothing_is_acknowledged_and_a_restart_has_all_that_was() {
    let test = "after_a_failed_sync_nothing_is_acknowledged_and_a_restart_has_all_that_was";
    let Some(syncs) = Syncs::new(test) else { return };
    let server = syncs.serve("fsync").await;
    let sqs = Sqs::without_retries(&server.endpoint());
    sqs.create("q", &[]).await;
    let mut kept = BTreeSet::new();
    for number in 0..20 {
        kept.insert(try_send(&sqs, "q", number.to_string()).await.unwrap());
    }
    let held = sqs.receive("q", 0).await.remove(0);

    syncs.set("fail");
    let refused = try_send(&sqs, "q", "lost".to_owned()).await.unwrap_err();
    assert_eq!(refused.0, 500, "{refused:?}");
    assert!(refused.1.contains("takes nothing until it is restarted"), "{refused:?}");
    // Later syncs succeed, and prove nothing.
    syncs.unset("fail");
    assert_eq!(try_send(&sqs, "q", "lost, too".to_owned()).await.unwrap_err().0, 500);
    let handle = held.receipt_handle.as_deref().unwrap();
    let delete = sqs.client().delete_message().queue_url(sqs.url("q")).receipt_handle(handle).send().await;
    assert!(delete.is_err(), "a delete was acknowledged");
    let create = sqs.client().create_queue().queue_name("another").send().await;
    assert!(create.is_err(), "a queue was acknowledged");
    assert_given_up(&server).await;
    server.kill().await;

    let server = syncs.serve("fsync").await;
    let sqs = server.sqs();
    let url = sqs.url("q");
    let attributes = [(aws_sdk_sqs::types::QueueAttributeName::VisibilityTimeout, "0".to_owned())];
    sqs.client().set_queue_attributes().queue_url(&url).set_attributes(Some(attributes.into())).send().await.unwrap();
    // Those in hand come back by their receipts, those that were refused may be there or not.
    sqs.client().delete_message().queue_url(&url).receipt_handle(handle).send().await.unwrap();
    kept.remove(held.message_id.as_deref().unwrap());
    let mut found = BTreeSet::new();
    eventually(PATIENCE, async || {
        found.extend(sqs.receive("q", 1).await.into_iter().map(|message| message.message_id.unwrap()));
        let missing: Vec<_> = kept.difference(&found).collect();
        holds(missing.is_empty(), || format!("missing {missing:?}"))
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn senders_share_a_sync_and_receivers_wait_for_none() {
    const SENDERS: usize = 60;
    let Some(syncs) = Syncs::new("senders_share_a_sync_and_receivers_wait_for_none") else { return };
    let server = syncs.serve("fsync").await;
    let sqs = server.sqs();
    sqs.create("q", &[]).await;
    sqs.create("other", &[]).await;
    for number in 0..3 {
        sqs.send("other", &number.to_string()).await;
    }
    let late = sqs.client().send_message().queue_url(sqs.url("other")).message_body("late").delay_seconds(2);
    let late = late.send().await.unwrap().message_id.unwrap();

    syncs.set("hold");
    let before = syncs.count();
    let mut senders = JoinSet::new();
    let first = sqs.clone();
    senders.spawn(async move { first.send("q", "first").await });
    syncs.wait_for_more_than(before).await;
    for number in 1..SENDERS {
        let sqs = sqs.clone();
        senders.spawn(async move { sqs.send("q", &number.to_string()).await });
    }
    // Messages are received meanwhile, and a long poll wakes for one whose delay ends.
    let held = sqs.receive("other", 0).await;
    assert_eq!(held.len(), 3);
    let woken = sqs.receive("other", 20).await;
    assert_eq!(woken.iter().map(|message| message.message_id.as_deref()).collect::<Vec<_>>(), [Some(&*late)]);
    // A renewal is acknowledged when it will outlive a crash, and holds from now on.
    let renewal = sqs.client().change_message_visibility().queue_url(sqs.url("other")).visibility_timeout(600);
    let renewal = tokio::spawn(renewal.receipt_handle(held[0].receipt_handle.as_deref().unwrap()).send());
    assert_eq!(server.get("/readyz").await.unwrap().status, 200);
    // Nothing of it is acknowledged, nothing of it can be received.
    assert!(senders.try_join_next().is_none(), "acknowledged before the sync");
    assert_eq!(sqs.counts("q").await, Counts::EMPTY);
    // Time for all of them to arrive: whoever comes after the sync needs another one.
    for _ in 0..100 {
        sqs.counts("other").await;
    }

    syncs.unset("hold");
    let sent: BTreeSet<String> = senders.join_all().await.into_iter().collect();
    renewal.await.unwrap().unwrap();
    let shared = syncs.count() - before;
    // One was held and one more takes all who waited. The receives and a checkpoint may have some of their own, and on a
    // busy machine not all senders came in time.
    assert!(4 * shared <= SENDERS as u64, "{shared} syncs for {SENDERS} sends, most of which came while one was held");
    assert_eq!(receive_ids(&sqs, "q", SENDERS).await, sent);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_syncs_cost_no_message_even_when_it_is_killed_in_one() {
    const SENDERS: usize = 24;
    let Some(syncs) = Syncs::new("slow_syncs_cost_no_message_even_when_it_is_killed_in_one") else { return };
    let server = syncs.serve("fsync").await;
    let sqs = Sqs::without_retries(&server.endpoint());
    sqs.create("q", &[]).await;
    syncs.set("slow");
    let before = syncs.count();
    let enough = Arc::new(AtomicBool::new(false));
    let mut senders = JoinSet::new();
    for sender in 0..SENDERS {
        let (sqs, enough) = (sqs.clone(), Arc::clone(&enough));
        senders.spawn(async move {
            let mut acknowledged = Vec::new();
            for number in 0.. {
                let Ok(id) = try_send(&sqs, "q", format!("{sender}-{number}")).await else { break };
                acknowledged.push(id);
                if acknowledged.len() == 10 {
                    enough.store(true, Ordering::Relaxed);
                }
            }
            acknowledged
        });
    }
    eventually(PATIENCE, async || {
        holds(enough.load(Ordering::Relaxed), || "no sender has ten acknowledgements".to_owned())
    })
    .await;
    // Somebody is always waiting for a sync, so the next one to begin is one that is cut short.
    syncs.wait_for_more_than(syncs.count()).await;
    server.kill().await;
    let acknowledged: BTreeSet<String> = senders.join_all().await.into_iter().flatten().collect();
    let took = syncs.count() - before;
    assert!(4 * took <= acknowledged.len() as u64, "{took} syncs for {} sends", acknowledged.len());

    syncs.unset("slow");
    let server = syncs.serve("fsync").await;
    let sqs = server.sqs();
    let there = sqs.counts("q").await.visible;
    let found = receive_ids(&sqs, "q", there).await;
    let lost: Vec<_> = acknowledged.difference(&found).collect();
    assert!(lost.is_empty(), "{} of {} lost: {lost:?}", lost.len(), acknowledged.len());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_sends_lets_everything_else_go_on_and_recovers_by_itself() {
    const BODY_BYTES: usize = 60_000;
    let test = "a_full_disk_refuses_sends_lets_everything_else_go_on_and_recovers_by_itself";
    let Some(disk) = SmallDisk::new(test, 16).await else { return };
    let server = disk.serve().await;
    let sqs = Sqs::without_retries(&server.endpoint());
    sqs.create("q", &[]).await;
    let body = |number: usize| format!("{number:BODY_BYTES$}");
    let mut kept = BTreeSet::new();
    // Twice: the first refusal has the log emptied, which may make room for some more.
    for _ in 0..2 {
        let refused = loop {
            match try_send(&sqs, "q", body(kept.len())).await {
                Ok(id) => kept.insert(id),
                Err(refused) => break refused,
            };
            assert!(kept.len() * BODY_BYTES < 16 << 20, "more than the disk has");
        };
        assert_eq!(refused.0, 503, "{refused:?}");
        assert!(refused.1.contains("disk is full"), "{refused:?}");
    }
    assert!(kept.len() * BODY_BYTES > 2 << 20, "full after {} messages", kept.len());
    // No reason to restart it. Whoever reads the log learns of it, once.
    assert_eq!(server.get("/healthz").await.unwrap().status, 200);
    assert_eq!(server.get("/readyz").await.unwrap().status, 200);
    let told = "the disk of the built-in queue is full: sends are refused until there is room";
    assert_eq!(server.log().events(told).len(), 1, "{}", server.log().end());

    // Killed while it is full, it starts again and has everything.
    server.kill().await;
    let server = disk.serve().await;
    let sqs = Sqs::without_retries(&server.endpoint());
    let (half, mut deleted) = (kept.len() / 2, BTreeSet::new());
    while deleted.len() < half {
        for message in sqs.receive("q", 0).await {
            let handle = message.receipt_handle.unwrap();
            sqs.client().delete_message().queue_url(sqs.url("q")).receipt_handle(handle).send().await.unwrap();
            deleted.insert(message.message_id.unwrap());
        }
    }
    // Room comes back a little after the deletes, without anybody's help.
    let late = eventually(PATIENCE, async || {
        try_send(&sqs, "q", body(0)).await.map_err(|refused| format!("refused: {refused:?}"))
    })
    .await;
    kept.insert(late);
    let left: BTreeSet<String> = kept.difference(&deleted).cloned().collect();
    assert_eq!(receive_ids(&sqs, "q", left.len()).await, left);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_a_limit_on_files_it_stops_acknowledging_and_loses_nothing() {
    const BODY_BYTES: usize = 100_000;
    let home = Home::new();
    let arguments = ["--data-dir", "data", "--listen", "127.0.0.1:0", "--durability", "os"];
    // The signal that comes with the limit is ignored: the write fails.
    let script = "trap '' XFSZ; exec prlimit --fsize=4000000 \"$@\"";
    let mut server = home.launch_serve_as(&arguments, |command| wrapped(&["sh", "-c", script, "sh"], &command));
    server.wait_until_ready().await;
    let sqs = Sqs::without_retries(&server.endpoint());
    sqs.create("q", &[]).await;
    let mut kept = BTreeSet::new();
    let refused = loop {
        match try_send(&sqs, "q", "x".repeat(BODY_BYTES)).await {
            Ok(id) => kept.insert(id),
            Err(refused) => break refused,
        };
        assert!(kept.len() < 1000, "the limit is not felt");
    };
    assert_eq!(refused.0, 500, "{refused:?}");
    assert_given_up(&server).await;
    server.kill().await;

    let server = home.serve(&arguments).await;
    let there = server.sqs().counts("q").await.visible;
    let found = receive_ids(&server.sqs(), "q", there).await;
    let lost: Vec<_> = kept.difference(&found).collect();
    assert!(lost.is_empty(), "{} of {} lost: {lost:?}", lost.len(), kept.len());
    server.stop().await;
}
