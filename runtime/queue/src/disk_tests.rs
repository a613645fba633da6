//! The built-in queue on a real disk, in real time: restarts, crashes, foreign and broken files, many callers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::broker::Broker;
use crate::contract::Queue;
use crate::error::{QueueError, StorageError};
use crate::fixtures::{
    bury, counts, create, create_with_dead, delayed, delete, hide, on_disk, pairs, release, request, send, take,
    take_one, text,
};
use crate::message::{AttributeValue, MessageAttribute, OutgoingMessage};
use crate::store::{Durability, OpenError};

/// Names the folder to the child process of the crash test.
const CRASH_DIR: &str = "WASMILL_QUEUE_CRASH_DIR";

async fn open(directory: &TempDir) -> Broker {
    on_disk(directory.path(), Durability::Os).await.unwrap()
}

fn database(directory: &TempDir) -> std::path::PathBuf {
    directory.path().join("queue.sqlite")
}

// --- restarts

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_messages_counts_delays_settings_and_receipts() {
    let directory = TempDir::new().unwrap();
    let broker = open(&directory).await;
    let (queue, dead) = create_with_dead(&broker, "q", 3).await;
    queue.set_attributes(&pairs(&[("VisibilityTimeout", "2"), ("MaximumMessageSize", "2048")])).await.unwrap();
    let attributes = vec![
        MessageAttribute {
            name: "b".into(),
            data_type: "Binary.x".into(),
            value: AttributeValue::Binary(vec![0, 255]),
        },
        MessageAttribute { name: "a".into(), data_type: "Number".into(), value: AttributeValue::Text("7".into()) },
    ];
    let rich = OutgoingMessage {
        attributes: attributes.clone(),
        trace_header: Some("Root=1".into()),
        group_id: Some("tenant".into()),
        ..text("rich ü 𝄞 \r\n")
    };
    let ids = send(&queue, vec![rich, text("held"), text("poison"), delayed("late", 3)]).await;
    let first = take(&queue, 3).await;
    release(&queue, &first[0].receipt).await.unwrap();
    bury(&queue, &first[2], "bad").await.unwrap();
    let described = queue.describe().unwrap();
    assert_eq!((described.visible, described.in_flight, described.delayed), (1, 1, 1));
    broker.close().await;

    let broker = open(&directory).await;
    let (queue, dead) = (broker.queue("q").unwrap(), broker.queue(dead.name()).unwrap());
    assert_eq!(queue.describe().unwrap(), described);
    assert_eq!(counts(&dead), (1, 0, 0));
    let again = take_one(&queue).await;
    assert_eq!((again.id.as_str(), again.body.as_str()), (ids[0].as_str(), "rich ü 𝄞 \r\n"));
    assert_eq!(again.attributes, [attributes[1].clone(), attributes[0].clone()]);
    assert_eq!((again.system.receive_count, again.system.group_id.as_deref()), (1, Some("tenant")));
    assert_eq!(again.system.trace_header.as_deref(), Some("Root=1"));
    assert_eq!(again.system.first_received_unix_ms, first[0].system.first_received_unix_ms);
    let buried = take_one(&dead).await;
    assert_eq!((buried.id.as_str(), buried.system.receive_count), (ids[2].as_str(), 2));
    assert_eq!(buried.system.dead_letter_source_arn.as_deref(), Some(queue.arn().as_str()));

    // Receipts of before: one renews, one deletes.
    hide(&queue, &first[1].receipt, 60).await.unwrap();
    delete(&queue, &again.receipt).await.unwrap();
    delete(&queue, &first[1].receipt).await.unwrap();
    // The delay goes on where it stood.
    let late = queue.receive(request(1, 10)).await.unwrap();
    assert_eq!(late[0].id.as_str(), ids[3]);
    broker.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visibility_timeout_ends_when_it_should_across_a_restart() {
    let directory = TempDir::new().unwrap();
    let broker = open(&directory).await;
    let queue = create(&broker, "q", &[("VisibilityTimeout", "2")]).await;
    send(&queue, vec![text("a")]).await;
    let begun = Instant::now();
    take_one(&queue).await;
    broker.close().await;
    sleep(Duration::from_millis(500)).await;
    let broker = open(&directory).await;
    let queue = broker.queue("q").unwrap();
    assert!(take(&queue, 1).await.is_empty());
    let message = queue.receive(request(1, 20)).await.unwrap().remove(0);
    let waited = begun.elapsed();
    assert_eq!(message.system.receive_count, 2);
    assert!((Duration::from_millis(1990)..Duration::from_secs(4)).contains(&waited), "{waited:?}");
    broker.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_refuses_later_verbs_and_loses_none_before() {
    let directory = TempDir::new().unwrap();
    let broker = open(&directory).await;
    let queue = create(&broker, "q", &[]).await;
    send(&queue, vec![text("a"), text("b"), text("c")]).await;
    let held = take(&queue, 2).await;
    let waiting = tokio::spawn({
        let queue = create(&broker, "empty", &[]).await;
        async move { queue.receive(request(1, 20)).await }
    });
    sleep(Duration::from_millis(50)).await;
    // Not waited for by anybody, and still on their way when the store is closed.
    release(&queue, &held[0].receipt).await.unwrap();
    hide(&queue, &held[1].receipt, 3600).await.unwrap();
    tokio::join!(broker.close(), broker.close());
    assert_eq!(waiting.await.unwrap(), Ok(Vec::new()));
    let closed = || QueueError::Storage(StorageError::Closed);
    assert_eq!(queue.send(vec![text("x")]).await, Err(closed()));
    assert_eq!(queue.receive(request(1, 0)).await, Err(closed()), "handed out, it could not be counted");
    assert_eq!(queue.delete(&[held[0].receipt.clone()]).await, Err(closed()));
    assert_eq!(broker.failure(), None);

    let broker = open(&directory).await;
    let queue = broker.queue("q").unwrap();
    assert_eq!(counts(&queue), (2, 1, 0));
    assert_eq!(take(&queue, 10).await.iter().map(|m| m.system.receive_count).collect::<Vec<_>>(), [1, 1]);
    broker.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_without_closing_it_opens_again_a_moment_later() {
    let directory = TempDir::new().unwrap();
    let broker = open(&directory).await;
    let queue = create(&broker, "q", &[]).await;
    send(&queue, (0..100).map(|n| text(n.to_string())).collect()).await;
    drop((broker, queue));
    let reopened = timeout(Duration::from_secs(10), async {
        loop {
            match on_disk(directory.path(), Durability::Os).await {
                Ok(broker) => return broker,
                Err(OpenError::Locked(_)) => sleep(Duration::from_millis(10)).await,
                Err(other) => panic!("{other}"),
            }
        }
    });
    let broker = reopened.await.unwrap();
    assert_eq!(counts(&broker.queue("q").unwrap()), (100, 0, 0));
    broker.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_queue_stays_deleted_and_its_number_is_not_used_again() {
    let directory = TempDir::new().unwrap();
    let broker = open(&directory).await;
    let old = create(&broker, "q", &[]).await;
    send(&old, vec![text("a")]).await;
    let held = take_one(&old).await;
    broker.delete_queue("q").await.unwrap();
    broker.close().await;
    let broker = open(&directory).await;
    assert!(broker.queue_names("").is_empty());
    let new = create(&broker, "q", &[]).await;
    assert_eq!(counts(&new), (0, 0, 0));
    assert!(matches!(delete(&new, &held.receipt).await, Err(QueueError::InvalidReceipt { .. })));
    broker.close().await;
}

// --- directories and files that cannot be used

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_for_one_process() {
    let directory = TempDir::new().unwrap();
    let broker = open(&directory).await;
    let second = on_disk(directory.path(), Durability::Os).await.unwrap_err();
    assert!(matches!(second, OpenError::Locked(_)), "{second}");
    assert!(second.to_string().contains(&directory.path().display().to_string()), "{second}");
    broker.close().await;
    open(&directory).await.close().await;
}

/// The message of an open that must fail.
async fn refusal(directory: &Path) -> String {
    on_disk(directory, Durability::Fsync).await.unwrap_err().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_a_directory_is_named() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("below")] {
        let message = refusal(&path).await;
        assert!(message.contains(&path.display().to_string()) && message.contains("cannot be used"), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_database_is_refused_by_name_and_left_alone() {
    let directory = TempDir::new().unwrap();
    let garbage = "this is not a database, whatever its name says. ".repeat(400);
    fs::write(database(&directory), &garbage).unwrap();
    let message = refusal(directory.path()).await;
    assert!(message.contains("queue.sqlite") && message.contains("not a database"), "{message}");
    assert_eq!(fs::read_to_string(database(&directory)).unwrap(), garbage);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_database_is_refused() {
    let directory = TempDir::new().unwrap();
    let broker = open(&directory).await;
    let queue = create(&broker, "q", &[]).await;
    send(&queue, (0..500).map(|_| text("x".repeat(500))).collect()).await;
    broker.close().await;
    let mut bytes = fs::read(database(&directory)).unwrap();
    let length = bytes.len();
    assert!(length > 100_000, "the log is in the file after a close");
    bytes[4096..].fill(0xA5);
    fs::write(database(&directory), &bytes).unwrap();
    let message = refusal(directory.path()).await;
    assert!(message.contains("malformed"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_format_is_left_untouched() {
    let directory = TempDir::new().unwrap();
    let broker = open(&directory).await;
    broker.close().await;
    Connection::open(database(&directory)).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let before = fs::read(database(&directory)).unwrap();
    let error = on_disk(directory.path(), Durability::Os).await.unwrap_err();
    assert!(matches!(error, OpenError::NewerFormat { found: 99, known: 3, .. }), "{error}");
    assert_eq!(fs::read(database(&directory)).unwrap(), before);
}

// --- a store that fails, or waits

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_failed_takes_nothing_until_it_is_opened_again() {
    let directory = TempDir::new().unwrap();
    let broker = open(&directory).await;
    let queue = create(&broker, "q", &[]).await;
    send(&queue, vec![text("kept"), text("held")]).await;
    let held = take(&queue, 1).await.remove(0);
    sleep(Duration::from_millis(100)).await;
    let vandal = Connection::open(database(&directory)).unwrap();
    vandal.execute_batch("ALTER TABLE messages RENAME TO hidden").unwrap();
    let failed = |error: &QueueError| matches!(error, QueueError::Storage(StorageError::Failed(_)));
    assert!(failed(&queue.send(vec![text("lost")]).await.unwrap_err()));
    assert!(matches!(broker.failure(), Some(StorageError::Failed(_))));

    // Mended, and still not trusted.
    vandal.execute_batch("ALTER TABLE hidden RENAME TO messages").unwrap();
    assert!(failed(&queue.send(vec![text("lost")]).await.unwrap_err()));
    assert!(failed(&queue.delete(std::slice::from_ref(&held.receipt)).await.unwrap_err()));
    assert!(failed(&queue.receive(request(1, 0)).await.unwrap_err()), "its count would be forgotten");
    assert!(broker.create_queue("other", &[], &[]).await.is_err());
    broker.close().await;

    let broker = open(&directory).await;
    let queue = broker.queue("q").unwrap();
    assert_eq!((counts(&queue), broker.failure()), ((1, 1, 0), None));
    delete(&queue, &held.receipt).await.unwrap();
    broker.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stood_in_line_behind_a_failure_is_not_written() {
    let directory = TempDir::new().unwrap();
    let broker = open(&directory).await;
    let queue = create(&broker, "q", &[]).await;
    let person = Connection::open(database(&directory)).unwrap();
    let trap = "CREATE TRIGGER trap BEFORE INSERT ON messages WHEN NEW.body = 'trap'
                BEGIN SELECT raise(ABORT, 'caught'); END; BEGIN IMMEDIATE;";
    person.execute_batch(trap).unwrap();
    let mut senders = JoinSet::new();
    for body in ["trap", "harmless"] {
        let queue = queue.clone();
        senders.spawn(async move { queue.send(vec![text(body)]).await.is_err() });
        // The first is a group of its own, which waits for the file.
        sleep(Duration::from_millis(200)).await;
    }
    person.execute_batch("COMMIT").unwrap();
    assert_eq!(senders.join_all().await, [true, true]);
    let rows: u32 = person.query_row("SELECT count(*) FROM messages", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 0);
    broker.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_management_verb_whose_caller_goes_away_is_done_whole() {
    let directory = TempDir::new().unwrap();
    let broker = open(&directory).await;
    let queue = create(&broker, "q", &[]).await;
    let person = Connection::open(database(&directory)).unwrap();
    person.execute_batch("BEGIN IMMEDIATE").unwrap();
    let caller = tokio::spawn({
        let queue = queue.clone();
        async move { queue.set_attributes(&pairs(&[("VisibilityTimeout", "7")])).await }
    });
    sleep(Duration::from_millis(100)).await;
    caller.abort();
    person.execute_batch("COMMIT").unwrap();
    // This one waits for its turn, so the other is over.
    create(&broker, "another", &[]).await;
    let described = queue.describe().unwrap();
    assert!(described.attributes.contains(&("VisibilityTimeout", "7".to_owned())), "{described:?}");
    broker.close().await;
    let broker = open(&directory).await;
    assert_eq!(broker.queue("q").unwrap().describe().unwrap(), described);
    broker.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_who_locks_the_file_is_waited_for() {
    let directory = TempDir::new().unwrap();
    let broker = open(&directory).await;
    let queue = create(&broker, "q", &[]).await;
    let person = Connection::open(database(&directory)).unwrap();
    person.execute_batch("BEGIN IMMEDIATE").unwrap();
    let sending = tokio::spawn({
        let queue = queue.clone();
        async move { queue.send(vec![text("a")]).await }
    });
    sleep(Duration::from_millis(500)).await;
    assert!(!sending.is_finished());
    assert_eq!(counts(&queue), (0, 0, 0), "not on disk, not there");
    person.execute_batch("COMMIT").unwrap();
    assert!(sending.await.unwrap().is_ok());
    assert_eq!(counts(&queue), (1, 0, 0));
    broker.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_that_is_asked_for_twice_is_acknowledged_when_it_is_durable() {
    let directory = TempDir::new().unwrap();
    let broker = open(&directory).await;
    let queue = create(&broker, "q", &[]).await;
    send(&queue, vec![text("a")]).await;
    let held = take_one(&queue).await;
    sleep(Duration::from_millis(100)).await;
    let person = Connection::open(database(&directory)).unwrap();
    person.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut deletes = JoinSet::new();
    for _ in 0..2 {
        let (queue, receipt) = (queue.clone(), held.receipt.clone());
        deletes.spawn(async move { delete(&queue, &receipt).await });
    }
    assert!(timeout(Duration::from_millis(500), deletes.join_next()).await.is_err(), "acknowledged too early");
    person.execute_batch("COMMIT").unwrap();
    assert_eq!(deletes.join_all().await, [Ok(()), Ok(())]);
    broker.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_waits_until_its_original_is_durable() {
    let directory = TempDir::new().unwrap();
    let broker = open(&directory).await;
    let queue = create(&broker, "q.fifo", &[("FifoQueue", "true")]).await;
    let person = Connection::open(database(&directory)).unwrap();
    person.execute_batch("BEGIN IMMEDIATE").unwrap();
    let message =
        OutgoingMessage { group_id: Some("g".to_owned()), deduplication_id: Some("d".to_owned()), ..text("a") };
    let mut sends = JoinSet::new();
    for _ in 0..2 {
        let (queue, message) = (queue.clone(), message.clone());
        sends.spawn(async move { queue.send(vec![message]).await.unwrap().remove(0).unwrap() });
    }
    assert!(timeout(Duration::from_millis(300), sends.join_next()).await.is_err(), "acknowledged too early");
    person.execute_batch("COMMIT").unwrap();
    let sent = sends.join_all().await;
    assert_eq!((&sent[0].id, &sent[0].sequence_number), (&sent[1].id, &sent[1].sequence_number));
    assert_eq!(counts(&queue), (1, 0, 0));
    broker.close().await;
    // The window goes on where it stood.
    let broker = open(&directory).await;
    let queue = broker.queue("q.fifo").unwrap();
    assert_eq!(queue.send(vec![message]).await.unwrap().remove(0).unwrap().id, sent[0].id);
    assert_eq!(counts(&queue), (1, 0, 0));
    broker.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_takes_what_was_on_its_way_to_disk_with_what_is_remembered_of_it() {
    let directory = TempDir::new().unwrap();
    let broker = open(&directory).await;
    let queue = create(&broker, "q.fifo", &[("FifoQueue", "true")]).await;
    let person = Connection::open(database(&directory)).unwrap();
    person.execute_batch("BEGIN IMMEDIATE").unwrap();
    let message =
        OutgoingMessage { group_id: Some("g".to_owned()), deduplication_id: Some("d".to_owned()), ..text("a") };
    let mut verbs = JoinSet::new();
    for _ in 0..2 {
        let (queue, message) = (queue.clone(), message.clone());
        verbs.spawn(async move { drop(queue.send(vec![message]).await.unwrap().remove(0).unwrap()) });
    }
    sleep(Duration::from_millis(100)).await;
    let purged = queue.clone();
    verbs.spawn(async move { purged.purge().await.unwrap() });
    sleep(Duration::from_millis(100)).await;
    person.execute_batch("COMMIT").unwrap();
    verbs.join_all().await;
    assert_eq!(counts(&queue), (0, 0, 0));
    queue.send(vec![message]).await.unwrap().remove(0).unwrap();
    assert_eq!(counts(&queue), (1, 0, 0), "it is no duplicate any more");
    broker.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_being_deleted_takes_no_more_sends() {
    let directory = TempDir::new().unwrap();
    let broker = open(&directory).await;
    let queue = create(&broker, "q", &[]).await;
    let person = Connection::open(database(&directory)).unwrap();
    person.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut early = JoinSet::new();
    let sender = queue.clone();
    early.spawn(async move { sender.send(vec![text("before")]).await.map(|_| ()) });
    sleep(Duration::from_millis(100)).await;
    let dying = broker.clone();
    // Its caller goes away: it is done all the same.
    let deleting = tokio::spawn(async move { dying.delete_queue("q").await });
    sleep(Duration::from_millis(100)).await;
    deleting.abort();
    assert_eq!(queue.send(vec![text("after")]).await, Err(QueueError::NoSuchQueue));
    person.execute_batch("COMMIT").unwrap();
    assert_eq!(early.join_next().await.unwrap().unwrap(), Ok(()));
    // Management verbs come one after the other: this one waits for the delete.
    create(&broker, "q", &[]).await;
    let rows: i64 = person.query_row("SELECT count(*) FROM messages", [], |row| row.get(0)).unwrap();
    assert_eq!((rows, counts(&broker.queue("q").unwrap())), (0, (0, 0, 0)));
    assert_eq!(queue.send(vec![text("late")]).await, Err(QueueError::NoSuchQueue));
    broker.close().await;
}

// --- amounts

fn big_body(number: usize) -> String {
    let line = format!("{number} ü𝄞\r\n\t");
    let mut body = line.repeat((1 << 20) / line.len());
    body.extend(std::iter::repeat_n('x', (1 << 20) - body.len()));
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_beyond_the_memory_come_back_byte_for_byte() {
    const MESSAGES: usize = 40;
    let directory = TempDir::new().unwrap();
    let broker = open(&directory).await;
    let queue = create(&broker, "q", &[("VisibilityTimeout", "0")]).await;
    let mut expected = BTreeMap::new();
    for number in 0..MESSAGES {
        let id = send(&queue, vec![text(big_body(number))]).await.remove(0);
        expected.insert(id, number);
    }
    for _ in 0..2 {
        let messages = take(&queue, 1000).await;
        assert_eq!(messages.len(), MESSAGES);
        for message in &messages {
            assert!(message.body == big_body(expected[message.id.as_str()]), "{}", message.id);
        }
    }
    broker.close().await;
    let broker = open(&directory).await;
    let queue = broker.queue("q").unwrap();
    let messages = take(&queue, 1000).await;
    assert_eq!(messages.len(), MESSAGES);
    assert!(messages.iter().all(|message| message.body == big_body(expected[message.id.as_str()])));
    broker.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_callers_at_once() {
    const SENDERS: usize = 3000;
    let directory = TempDir::new().unwrap();
    let broker = on_disk(directory.path(), Durability::Fsync).await.unwrap();
    let queue = create(&broker, "q", &[("VisibilityTimeout", "600")]).await;
    let mut senders = JoinSet::new();
    for _ in 0..SENDERS {
        let queue = queue.clone();
        senders.spawn(async move { send(&queue, vec![text("a"), text("b")]).await });
    }
    let mut receivers = JoinSet::new();
    for _ in 0..16 {
        let queue = queue.clone();
        receivers.spawn(async move {
            let mut ids = Vec::new();
            loop {
                let messages = queue.receive(request(10, 2)).await.unwrap();
                if messages.is_empty() {
                    return ids;
                }
                let receipts: Vec<_> = messages.iter().map(|message| message.receipt.clone()).collect();
                let deleted = queue.delete(&receipts).await.unwrap();
                assert!(deleted.iter().all(Result::is_ok));
                ids.extend(messages.iter().map(|message| message.id.to_string()));
            }
        });
    }
    let sent: BTreeSet<String> = senders.join_all().await.into_iter().flatten().collect();
    let received: Vec<String> = receivers.join_all().await.into_iter().flatten().collect();
    assert_eq!((sent.len(), received.len()), (2 * SENDERS, 2 * SENDERS), "each exactly once");
    assert_eq!(received.into_iter().collect::<BTreeSet<_>>(), sent);
    broker.close().await;
    let broker = on_disk(directory.path(), Durability::Fsync).await.unwrap();
    assert_eq!(counts(&broker.queue("q").unwrap()), (0, 0, 0));
    broker.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn purging_and_deleting_under_fire_leaves_no_orphans() {
    let directory = TempDir::new().unwrap();
    let broker = open(&directory).await;
    let mut callers = JoinSet::new();
    for caller in 0..8 {
        let broker = broker.clone();
        callers.spawn(async move {
            let end = Instant::now() + Duration::from_millis(1500);
            while Instant::now() < end {
                // The queue comes and goes under the callers' hands.
                if let Ok(queue) = broker.create_queue("q", &[], &[]).await {
                    let _ = queue.send(vec![text("a"), text("b")]).await;
                    let _ = queue.receive(request(1, 0)).await;
                    let _ = queue.purge().await;
                }
                if caller == 0 {
                    let _ = broker.delete_queue("q").await;
                }
            }
        });
    }
    callers.join_all().await;
    let queue = create(&broker, "q", &[]).await;
    let (visible, in_flight, _) = counts(&queue);
    let file = Connection::open(database(&directory)).unwrap();
    let rows: u32 = file.query_row("SELECT count(*) FROM messages", [], |row| row.get(0)).unwrap();
    assert_eq!(u64::from(rows), visible + in_flight, "the file and the machine hold the same");
    broker.close().await;
}

// --- SIGKILL

/// Not a test of its own: the process that the next test kills. It notes what was acknowledged, line by line.
#[tokio::test(flavor = "multi_thread")]
async fn the_child_of_the_crash_test() {
    let Some(directory) = std::env::var_os(CRASH_DIR) else { return };
    let directory = Path::new(&directory);
    let broker = on_disk(directory, Durability::Os).await.unwrap();
    let queue = create(&broker, "q", &[]).await;
    let notes = Arc::new(File::options().create(true).append(true).open(directory.join("notes")).unwrap());
    let mut tasks = JoinSet::new();
    for _ in 0..4 {
        let note = noter(&notes);
        let sender = queue.clone();
        tasks.spawn(async move {
            loop {
                for id in send(&sender, (0..5).map(|_| text("x".repeat(300))).collect()).await {
                    note(format!("sent {id} 0\n"));
                }
            }
        });
        let note = noter(&notes);
        let receiver = queue.clone();
        tasks.spawn(async move {
            loop {
                let messages = receiver.receive(request(4, 1)).await.unwrap();
                let Some((kept, others)) = messages.split_first() else { continue };
                for message in others {
                    note(format!("deleting {} 0\n", message.id));
                    delete(&receiver, &message.receipt).await.unwrap();
                    note(format!("deleted {} 0\n", message.id));
                }
                // A receive may linger for 10 ms. What is acknowledged after that was written after it, or with it.
                sleep(Duration::from_millis(11)).await;
                for id in send(&receiver, vec![text("later")]).await {
                    note(format!("sent {id} 0\n"));
                }
                note(format!("received {} {}\n", kept.id, kept.system.receive_count));
            }
        });
    }
    tasks.join_all().await;
}

fn noter(notes: &Arc<File>) -> impl Fn(String) + use<> {
    let notes = Arc::clone(notes);
    move |line| (&*notes).write_all(line.as_bytes()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_time_it_loses_no_acknowledged_send_and_revives_no_acknowledged_delete() {
    let directory = TempDir::new().unwrap();
    let rounds = if std::env::var_os("WASMILL_TEST_LONG").is_some() { 60 } else { 6 };
    for round in 0..rounds {
        let before = noted(&directory).len();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["disk_tests::the_child_of_the_crash_test", "--exact", "--nocapture"])
            .env(CRASH_DIR, directory.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while noted(&directory).len() < before + 50 {
            assert!(begun.elapsed() < Duration::from_secs(30), "the child does nothing");
            sleep(Duration::from_millis(5)).await;
        }
        sleep(Duration::from_millis(37 * (round % 7))).await;
        child.kill().unwrap();
        child.wait().unwrap();
    }

    let broker = open(&directory).await;
    let (visible, in_flight, _) = counts(&broker.queue("q").unwrap());
    let file = Connection::open(database(&directory)).unwrap();
    let mut statement = file
        .prepare("SELECT message_id, receive_count FROM messages LEFT JOIN deliveries ON deliveries.seq = messages.seq")
        .unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, Option<u32>>(1)?.unwrap_or(0)))).unwrap();
    let kept: BTreeMap<String, u32> = rows.collect::<Result<_, _>>().unwrap();
    assert_eq!(kept.len() as u64, visible + in_flight);

    let notes = noted(&directory);
    let ids = |what: &str| notes.iter().filter(|note| note.0 == what).map(|note| &note.1).collect::<BTreeSet<_>>();
    // A delete may be durable, and the process killed before it could be acknowledged.
    let (sent, deleting, deleted) = (ids("sent"), ids("deleting"), ids("deleted"));
    assert!(sent.len() > 100 && deleted.len() > 10, "{} sent, {} deleted", sent.len(), deleted.len());
    let lost: Vec<_> = sent.iter().filter(|id| !deleting.contains(*id) && !kept.contains_key(**id)).collect();
    let revived: Vec<_> = deleted.iter().filter(|id| kept.contains_key(**id)).collect();
    assert!(lost.is_empty() && revived.is_empty(), "lost {lost:?}, revived {revived:?}");
    for (what, id, count) in &notes {
        let forgotten = what == "received" && kept.get(id).is_some_and(|kept| kept < count);
        assert!(!forgotten, "{id} was received {count} times");
    }
    broker.close().await;
}

/// What the child has noted so far: what, which message, a number. A last line that was cut short does not count.
fn noted(directory: &TempDir) -> Vec<(String, String, u32)> {
    let text = fs::read_to_string(directory.path().join("notes")).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let parse = |line: &str| {
        let [what, id, number] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        (what.to_owned(), id.to_owned(), number.parse().unwrap())
    };
    whole.lines().map(parse).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_finds_a_queue_empty_finds_what_it_gave_up_in_the_dead_letter_queue() {
    let directory = TempDir::new().unwrap();
    let broker = open(&directory).await;
    let (queue, dead) = create_with_dead(&broker, "q", 1).await;
    for round in 1..=20 {
        send(&queue, vec![text("poison")]).await;
        let receipt = take_one(&queue).await.receipt;
        hide(&queue, &receipt, 0).await.unwrap();
        assert!(take(&queue, 1).await.is_empty());
        assert_eq!(counts(&dead).0, round);
    }
    broker.close().await;
}
