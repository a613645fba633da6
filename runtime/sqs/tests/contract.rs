//! The contract of the `Queue` trait, run over each implementation: the built-in queue in memory, the built-in queue on
//! disk, and the SDK client talking to our own server over a real socket.
//!
//! Real time, short timeouts; the checks of one implementation run side by side, each on queues of its own.

#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use wasmill_queue::{
    AttributeValue, Broker, ChaosOptions, DeadLetter, Message, MessageAttribute, OutgoingMessage, Queue, QueueError,
    ReceiptHandle, ReceiveRequest, Timeline, VisibilityChange, checksum,
};
use wasmill_sqs::{RemoteSqs, SqsOptions};

use crate::support::{Server, broker, broker_on};

/// At once, on a machine that is busy with other things too. What does not wake waits for ten seconds.
const AT_ONCE: Duration = Duration::from_secs(2);

/// What a check wants of its queue.
#[derive(Default)]
struct QueueSetup {
    /// Queue attributes by AWS's name. `VisibilityTimeout` is 30 s unless given.
    attributes: Vec<(&'static str, &'static str)>,
    /// With a dead-letter queue after so many receives.
    max_receive_count: Option<u32>,
}

struct Made {
    name: String,
    queue: Arc<dyn Queue>,
    /// There when the setup has a `max_receive_count`.
    dead: Option<Arc<dyn Queue>>,
}

/// One implementation: queues are made through the broker, and used through whatever is tested.
struct Backend {
    broker: Broker,
    remote: Option<RemoteSqs>,
    made: AtomicUsize,
}

impl Backend {
    fn new(broker: Broker, remote: Option<RemoteSqs>) -> Self {
        Self { broker, remote, made: AtomicUsize::new(0) }
    }

    async fn make(&self, setup: QueueSetup) -> Made {
        let name = format!("q{}", self.made.fetch_add(1, Ordering::Relaxed));
        let mut attributes: Vec<(String, String)> =
            setup.attributes.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let mut dead = None;
        if let Some(count) = setup.max_receive_count {
            let dead_name = format!("{name}-dead");
            let arn = self.broker.create_queue(&dead_name, &[], &[]).await.unwrap().arn().to_string();
            let policy = format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":{count}}}"#);
            attributes.push(("RedrivePolicy".into(), policy));
            dead = Some(self.open(&dead_name).await);
        }
        self.broker.create_queue(&name, &attributes, &[]).await.unwrap();
        Made { queue: self.open(&name).await, name, dead }
    }

    async fn open(&self, name: &str) -> Arc<dyn Queue> {
        match &self.remote {
            Some(remote) => Arc::new(remote.queue_by_name(name).await.unwrap()),
            None => Arc::new(self.broker.queue(name).unwrap()),
        }
    }

    async fn queue(&self) -> Arc<dyn Queue> {
        self.make(QueueSetup::default()).await.queue
    }

    async fn queue_with(&self, attributes: &[(&'static str, &'static str)]) -> Arc<dyn Queue> {
        self.make(QueueSetup { attributes: attributes.into(), max_receive_count: None }).await.queue
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn built_in_queue_in_memory() {
    contract(Backend::new(broker(None).await, None)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn built_in_queue_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(Some(folder.path().to_owned())).await;
    contract(Backend::new(broker.clone(), None)).await;
    broker.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn built_in_queue_whose_time_may_be_skipped_and_whose_faults_never_come() {
    let chaos = ChaosOptions { seed: 7, duplicate: 0, reorder: 0, lost_ack: 0 };
    let broker = broker_on(None, Timeline::steered(), Some(chaos)).await;
    contract(Backend::new(broker, None)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sdk_client_to_our_own_server() {
    let server = Server::start(broker(None).await, SqsOptions::default()).await;
    let remote = server.remote().await;
    contract(Backend::new(server.broker.clone(), Some(remote))).await;
    server.stop().await;
}

async fn contract(backend: Backend) {
    let backend = Arc::new(backend);
    let mut checks = JoinSet::new();
    macro_rules! run {
        ($($check:ident),* $(,)?) => { $( checks.spawn({ let backend = Arc::clone(&backend); async move { $check(&backend).await } }); )* };
    }
    run!(
        a_message_is_received_once_and_deleted_for_good,
        an_expired_delivery_comes_back_with_its_count,
        a_receive_may_bring_its_own_visibility_timeout,
        visibility_is_changed_from_now,
        a_delivery_that_is_over_cannot_be_changed,
        batches_answer_per_entry_and_in_order,
        batches_may_be_of_any_size,
        a_batch_over_the_queues_limit_still_goes_through,
        a_long_poll_wakes_when_a_message_is_sent,
        a_long_poll_wakes_when_a_message_is_given_back,
        a_long_poll_ends_empty_after_its_wait,
        a_delayed_message_waits,
        a_queues_delay_yields_to_the_messages_own,
        too_many_receives_move_a_message_to_the_dead_letter_queue,
        a_verdict_moves_a_message_to_the_dead_letter_queue,
        without_a_dead_letter_queue_each_verdict_is_refused_alike,
        a_release_gives_back_at_once,
        attributes_are_told,
        readiness_is_waited_for_where_it_is_signalled,
        a_stale_receipt_deletes_what_was_not_received_again,
        a_body_of_one_mebibyte_fits_and_one_byte_more_does_not,
        bodies_are_byte_identical,
        message_attributes_and_digests_survive,
        two_consumers_never_hold_the_same_message,
        other_queues_are_reached_by_arn,
        a_deleted_queue_says_so,
    );
    let mut failures = Vec::new();
    while let Some(ended) = checks.join_next().await {
        failures.extend(ended.err());
    }
    if let Some(failure) = failures.pop() {
        std::panic::resume_unwind(failure.into_panic());
    }
}

// Helpers.

fn text(body: &str) -> OutgoingMessage {
    OutgoingMessage { body: body.into(), ..OutgoingMessage::default() }
}

async fn send(queue: &Arc<dyn Queue>, message: OutgoingMessage) -> wasmill_queue::Sent {
    let mut results = queue.send(vec![message]).await.unwrap();
    assert_eq!(results.len(), 1);
    results.remove(0).unwrap()
}

fn request(max_messages: u32, wait_ms: u64, visibility_timeout_seconds: Option<u32>) -> ReceiveRequest {
    let wait = Duration::from_millis(wait_ms);
    ReceiveRequest { max_messages, wait, visibility_timeout_seconds, attempt_id: None }
}

async fn receive_now(queue: &Arc<dyn Queue>) -> Vec<Message> {
    queue.receive(request(10, 0, None)).await.unwrap()
}

/// Waits up to ten seconds: slow machines.
async fn receive_one(queue: &Arc<dyn Queue>) -> Message {
    let mut messages = queue.receive(request(1, 10_000, None)).await.unwrap();
    assert_eq!(messages.len(), 1, "a message should have come");
    messages.remove(0)
}

async fn delete(queue: &Arc<dyn Queue>, message: &Message) {
    assert_eq!(queue.delete(std::slice::from_ref(&message.receipt)).await.unwrap(), [Ok(())]);
}

async fn change(queue: &Arc<dyn Queue>, message: &Message, timeout_seconds: u32) {
    let change = VisibilityChange { receipt: message.receipt.clone(), timeout_seconds };
    assert_eq!(queue.change_visibility(&[change]).await.unwrap(), [Ok(())]);
}

async fn pause(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

// The checks.

async fn a_message_is_received_once_and_deleted_for_good(backend: &Backend) {
    let queue = backend.queue_with(&[("VisibilityTimeout", "2")]).await;
    let sent = send(&queue, text("hello")).await;
    assert_eq!(sent.md5_of_body, "5d41402abc4b2a76b9719d911017c592");
    let message = receive_one(&queue).await;
    assert_eq!((&message.id, message.body.as_str()), (&sent.id, "hello"));
    assert_eq!((message.system.receive_count, &message.md5_of_body), (1, &sent.md5_of_body));
    assert!(message.system.sent_unix_ms > 1_600_000_000_000, "milliseconds since 1970");
    assert!(message.system.first_received_unix_ms >= message.system.sent_unix_ms);
    assert!(receive_now(&queue).await.is_empty(), "it is in flight");
    delete(&queue, &message).await;
    delete(&queue, &message).await; // deleting what is gone is fine
    pause(2300).await;
    assert!(receive_now(&queue).await.is_empty(), "it is gone, past its visibility timeout too");
    for empty in [queue.delete(&[]).await, queue.change_visibility(&[]).await, queue.release(&[]).await] {
        assert_eq!(empty, Ok(vec![]), "nothing to do is done");
    }
    assert_eq!(queue.send(vec![]).await, Ok(vec![]));
    assert_eq!(queue.dead_letter(vec![]).await, Ok(vec![]));
}

async fn an_expired_delivery_comes_back_with_its_count(backend: &Backend) {
    let queue = backend.queue_with(&[("VisibilityTimeout", "1")]).await;
    send(&queue, text("again")).await;
    let first = receive_one(&queue).await;
    let second = receive_one(&queue).await;
    assert_eq!((&first.id, &first.body), (&second.id, &second.body));
    assert_eq!((first.system.receive_count, second.system.receive_count), (1, 2));
    assert_eq!(first.system.first_received_unix_ms, second.system.first_received_unix_ms);
    assert_eq!(first.system.sent_unix_ms, second.system.sent_unix_ms);
    assert_ne!(first.receipt, second.receipt);
    delete(&queue, &second).await;
}

async fn a_receive_may_bring_its_own_visibility_timeout(backend: &Backend) {
    let queue = backend.queue_with(&[("VisibilityTimeout", "30")]).await;
    send(&queue, text("x")).await;
    let start = Instant::now();
    assert_eq!(queue.receive(request(1, 0, Some(1))).await.unwrap().len(), 1);
    let again = receive_one(&queue).await;
    assert_eq!(again.system.receive_count, 2);
    assert!(start.elapsed() >= Duration::from_millis(900), "not before its time: {:?}", start.elapsed());
}

async fn visibility_is_changed_from_now(backend: &Backend) {
    let queue = backend.queue_with(&[("VisibilityTimeout", "2")]).await;
    send(&queue, text("x")).await;
    let held = receive_one(&queue).await;
    change(&queue, &held, 30).await;
    pause(2300).await;
    assert!(receive_now(&queue).await.is_empty(), "the longer timeout holds");
    let start = Instant::now();
    change(&queue, &held, 1).await;
    let again = receive_one(&queue).await;
    assert!(start.elapsed() >= Duration::from_millis(900), "counted from the change: {:?}", start.elapsed());
    change(&queue, &again, 0).await;
    let third = receive_now(&queue).await;
    assert_eq!(third.first().map(|message| message.system.receive_count), Some(3), "0 is at once");
}

async fn a_delivery_that_is_over_cannot_be_changed(backend: &Backend) {
    let queue = backend.queue().await;
    send(&queue, text("x")).await;
    let message = receive_one(&queue).await;
    delete(&queue, &message).await;
    let handle = message.receipt.as_str().to_owned();
    let change = |receipt: &ReceiptHandle| VisibilityChange { receipt: receipt.clone(), timeout_seconds: 5 };
    let garbage = ReceiptHandle::new("garbage");
    let results = queue.change_visibility(&[change(&message.receipt), change(&garbage)]).await.unwrap();
    let invalid = QueueError::InvalidReceipt { handle: "garbage".into() };
    assert_eq!(results, [Err(QueueError::NotInFlight { handle }), Err(invalid)]);
}

async fn batches_answer_per_entry_and_in_order(backend: &Backend) {
    let queue = backend.queue().await;
    let sent = queue.send(vec![text("first"), text("bad \u{b}"), text("third")]).await.unwrap();
    assert!(sent[0].is_ok() && sent[2].is_ok(), "{sent:?}");
    assert!(matches!(sent[1], Err(QueueError::InvalidMessage(_) | QueueError::Refused { .. })), "{sent:?}");
    let mut held = Vec::new();
    while held.len() < 2 {
        held.push(receive_one(&queue).await);
    }
    let bodies: BTreeSet<&str> = held.iter().map(|message| message.body.as_str()).collect();
    assert_eq!(bodies, BTreeSet::from(["first", "third"]));
    let garbage = ReceiptHandle::new("garbage");
    let receipts = [held[0].receipt.clone(), garbage, held[1].receipt.clone()];
    let invalid = QueueError::InvalidReceipt { handle: "garbage".into() };
    assert_eq!(queue.delete(&receipts).await.unwrap(), [Ok(()), Err(invalid), Ok(())]);
}

async fn batches_may_be_of_any_size(backend: &Backend) {
    let queue = backend.queue().await;
    let sent = queue.send((0..25).map(|index| text(&format!("m{index}"))).collect()).await.unwrap();
    let sent: BTreeSet<String> = sent.into_iter().map(|result| result.unwrap().id.to_string()).collect();
    assert_eq!(sent.len(), 25);
    let mut receipts = Vec::new();
    let mut received = BTreeSet::new();
    while received.len() < 25 {
        let messages = queue.receive(request(10, 10_000, None)).await.unwrap();
        assert!((1..=10).contains(&messages.len()), "as many as asked for at most, and some");
        received.extend(messages.iter().map(|message| message.id.to_string()));
        receipts.extend(messages.into_iter().map(|message| message.receipt));
    }
    assert_eq!((received, receipts.len()), (sent, 25));
    let changes: Vec<VisibilityChange> =
        receipts.iter().map(|receipt| VisibilityChange { receipt: receipt.clone(), timeout_seconds: 60 }).collect();
    assert_eq!(queue.change_visibility(&changes).await.unwrap(), vec![Ok(()); 25]);
    assert_eq!(queue.delete(&receipts).await.unwrap(), vec![Ok(()); 25]);
}

async fn a_batch_over_the_queues_limit_still_goes_through(backend: &Backend) {
    let queue = backend.queue_with(&[("MaximumMessageSize", "1024")]).await;
    let fitting = "x".repeat(600);
    let too_long = "y".repeat(1025);
    let messages = vec![text(&fitting), text(&fitting), text(&too_long), text(&fitting), text(&fitting)];
    let results = queue.send(messages).await.unwrap();
    let stored: Vec<bool> = results.iter().map(Result::is_ok).collect();
    assert_eq!(stored, [true, true, false, true, true], "{results:?}");
    let mut received = 0;
    while received < 4 {
        assert_eq!(receive_one(&queue).await.body, fitting);
        received += 1;
    }
    assert!(receive_now(&queue).await.is_empty());
}

async fn a_long_poll_wakes_when_a_message_is_sent(backend: &Backend) {
    let queue = backend.queue().await;
    let waiting = tokio::spawn({
        let queue = Arc::clone(&queue);
        async move { (receive_one(&queue).await, Instant::now()) }
    });
    pause(500).await;
    let sent_at = Instant::now();
    send(&queue, text("wake up")).await;
    let (message, received_at) = waiting.await.unwrap();
    assert_eq!(message.body, "wake up");
    assert!(received_at - sent_at < AT_ONCE, "took {:?}", received_at - sent_at);
}

async fn a_long_poll_wakes_when_a_message_is_given_back(backend: &Backend) {
    let queue = backend.queue().await;
    send(&queue, text("x")).await;
    let held = receive_one(&queue).await;
    let waiting = tokio::spawn({
        let queue = Arc::clone(&queue);
        async move { (receive_one(&queue).await, Instant::now()) }
    });
    pause(500).await;
    let changed_at = Instant::now();
    change(&queue, &held, 0).await;
    let (_, received_at) = waiting.await.unwrap();
    assert!(received_at - changed_at < AT_ONCE, "took {:?}", received_at - changed_at);
}

async fn a_long_poll_ends_empty_after_its_wait(backend: &Backend) {
    let queue = backend.queue().await;
    let start = Instant::now();
    assert!(queue.receive(request(10, 1000, None)).await.unwrap().is_empty());
    let waited = start.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_secs(5)).contains(&waited), "{waited:?}");
    let start = Instant::now();
    assert!(receive_now(&queue).await.is_empty());
    assert!(start.elapsed() < AT_ONCE, "no wait is no wait");
}

async fn a_delayed_message_waits(backend: &Backend) {
    let queue = backend.queue().await;
    let start = Instant::now();
    send(&queue, OutgoingMessage { delay_seconds: Some(2), ..text("later") }).await;
    assert!(receive_now(&queue).await.is_empty());
    assert_eq!(receive_one(&queue).await.body, "later");
    assert!(start.elapsed() >= Duration::from_millis(1900), "{:?}", start.elapsed());
}

async fn a_queues_delay_yields_to_the_messages_own(backend: &Backend) {
    let queue = backend.queue_with(&[("DelaySeconds", "3")]).await;
    send(&queue, text("queue's")).await;
    send(&queue, OutgoingMessage { delay_seconds: Some(0), ..text("own") }).await;
    assert_eq!(receive_one(&queue).await.body, "own");
    assert!(receive_now(&queue).await.is_empty());
    assert_eq!(receive_one(&queue).await.body, "queue's");
}

async fn too_many_receives_move_a_message_to_the_dead_letter_queue(backend: &Backend) {
    let made = backend.make(QueueSetup { max_receive_count: Some(2), ..QueueSetup::default() }).await;
    let (queue, dead) = (made.queue, made.dead.unwrap());
    let sent = send(&queue, OutgoingMessage { attributes: vec![string("kept", "v")], ..text("poison") }).await;
    for count in 1..=2 {
        let message = receive_one(&queue).await;
        assert_eq!(message.system.receive_count, count);
        assert_eq!(message.system.dead_letter_source_arn, None);
        change(&queue, &message, 0).await;
    }
    assert!(receive_now(&queue).await.is_empty(), "the third receive moves it");
    let letter = receive_one(&dead).await;
    assert_eq!((letter.id, letter.body.as_str()), (sent.id, "poison"));
    assert_eq!(letter.attributes, [string("kept", "v")]);
    assert_eq!(letter.system.receive_count, 3, "the count goes on");
    assert_eq!(letter.system.dead_letter_source_arn.as_deref(), Some(queue.arn().as_str()));
}

async fn a_verdict_moves_a_message_to_the_dead_letter_queue(backend: &Backend) {
    let made = backend.make(QueueSetup { max_receive_count: Some(5), ..QueueSetup::default() }).await;
    let (queue, dead) = (made.queue, made.dead.unwrap());
    let own = string("own", "v");
    let trace_header = Some("Root=1-5759e988-bd862e3fe1be46a994272793".to_owned());
    let outgoing = OutgoingMessage { attributes: vec![own.clone()], trace_header: trace_header.clone(), ..text("b") };
    send(&queue, outgoing).await;
    send(&queue, text("stays")).await;
    let mut messages = [receive_one(&queue).await, receive_one(&queue).await];
    messages.sort_by(|a, b| a.body.cmp(&b.body));
    let [message, stays] = messages;
    let id = message.id.clone();
    let reason = "order 7 has no customer".to_owned();
    let letter = DeadLetter { message, reason: reason.clone(), function_version: "3".into(), attempt: None };
    assert_eq!(queue.dead_letter(vec![letter]).await.unwrap(), [Ok(())]);
    change(&queue, &stays, 0).await;
    assert_eq!(receive_one(&queue).await.id, stays.id, "only the other one is left");
    assert!(receive_now(&queue).await.is_empty());

    let letter = receive_one(&dead).await;
    assert_eq!((letter.body.as_str(), &letter.system.trace_header), ("b", &trace_header));
    assert!(letter.attributes.contains(&own));
    if backend.remote.is_some() {
        // A remote queue knows no such move: a new message tells where it comes from.
        for mark in [
            string("WasmillReason", &reason),
            string("WasmillSourceArn", queue.arn().as_str()),
            string("WasmillFunctionVersion", "3"),
        ] {
            assert!(letter.attributes.contains(&mark), "{mark:?} in {:?}", letter.attributes);
        }
    } else {
        assert_eq!(letter.id, id, "one transaction moved it");
        assert_eq!(letter.system.dead_letter_source_arn.as_deref(), Some(queue.arn().as_str()));
    }
    assert!(receive_now(&dead).await.is_empty(), "once");
}

async fn without_a_dead_letter_queue_each_verdict_is_refused_alike(backend: &Backend) {
    let never_had_one = backend.queue().await;
    let made = backend.make(QueueSetup { max_receive_count: Some(5), ..QueueSetup::default() }).await;
    let lost_it = made.queue;
    backend.broker.delete_queue(&format!("{}-dead", made.name)).await.unwrap();
    for queue in [never_had_one, lost_it] {
        send(&queue, text("x")).await;
        send(&queue, text("y")).await;
        let messages = [receive_one(&queue).await, receive_one(&queue).await];
        let letter = |message: &Message| DeadLetter {
            message: message.clone(),
            reason: "r".into(),
            function_version: "1".into(),
            attempt: None,
        };
        let refused = || Err(QueueError::Unsupported("the queue has no dead-letter queue".into()));
        let results = queue.dead_letter(messages.iter().map(letter).collect()).await;
        assert_eq!(results.unwrap(), [refused(), refused()]);
        assert!(receive_now(&queue).await.is_empty(), "they stay hidden");
        change(&queue, &messages[0], 0).await;
        assert_eq!(receive_one(&queue).await.id, messages[0].id, "and there");
    }
}

async fn a_release_gives_back_at_once(backend: &Backend) {
    let queue = backend.queue().await;
    send(&queue, text("x")).await;
    let held = receive_one(&queue).await;
    assert_eq!(queue.release(std::slice::from_ref(&held.receipt)).await.unwrap(), [Ok(())]);
    let again = receive_now(&queue).await;
    let expected = if queue.capabilities().release_uncounts { 1 } else { 2 };
    assert_eq!(again.first().map(|message| message.system.receive_count), Some(expected));
}

async fn attributes_are_told(backend: &Backend) {
    let attributes = vec![("VisibilityTimeout", "45"), ("MaximumMessageSize", "2048")];
    let made = backend.make(QueueSetup { attributes, max_receive_count: Some(7) }).await;
    let told = made.queue.attributes().await.unwrap();
    assert_eq!((told.visibility_timeout, told.maximum_message_bytes), (Duration::from_secs(45), 2048));
    assert!(!told.fifo);
    let redrive = told.redrive.unwrap();
    assert_eq!((&redrive.dead_letter_target_arn, redrive.max_receive_count), (made.dead.unwrap().arn(), 7));
    let plain = backend.queue().await.attributes().await.unwrap();
    let expected = (Duration::from_secs(30), 1_048_576, None);
    assert_eq!((plain.visibility_timeout, plain.maximum_message_bytes, plain.redrive), expected);
    assert!(made.queue.capabilities().receive_max >= 10);
}

async fn readiness_is_waited_for_where_it_is_signalled(backend: &Backend) {
    let queue = backend.queue().await;
    let waiting = tokio::spawn({
        let queue = Arc::clone(&queue);
        async move {
            queue.ready().await;
            Instant::now()
        }
    });
    pause(500).await;
    assert_eq!(waiting.is_finished(), !queue.capabilities().signals_readiness);
    let sent_at = Instant::now();
    send(&queue, text("x")).await;
    let ready_at = tokio::time::timeout(Duration::from_secs(5), waiting).await.unwrap().unwrap();
    let took = ready_at.saturating_duration_since(sent_at);
    assert!(took < AT_ONCE, "took {took:?}");
    queue.ready().await; // and stays so until it is taken
    assert_eq!(receive_now(&queue).await.len(), 1);
}

async fn a_stale_receipt_deletes_what_was_not_received_again(backend: &Backend) {
    let queue = backend.queue_with(&[("VisibilityTimeout", "1")]).await;
    send(&queue, text("x")).await;
    let stale = receive_one(&queue).await;
    pause(1300).await;
    delete(&queue, &stale).await;
    assert!(receive_now(&queue).await.is_empty(), "deleted though its time was over");

    send(&queue, text("y")).await;
    let stale = receive_one(&queue).await;
    let fresh = receive_one(&queue).await;
    assert_eq!((&stale.id, fresh.system.receive_count), (&fresh.id, 2));
    delete(&queue, &stale).await; // accepted, whether or not it deletes
    delete(&queue, &fresh).await;
    pause(1300).await;
    assert!(receive_now(&queue).await.is_empty());
}

async fn a_body_of_one_mebibyte_fits_and_one_byte_more_does_not(backend: &Backend) {
    let queue = backend.queue().await;
    // Line feeds, quotes and two-byte letters are what JSON writes longer.
    let line = "é\"\n";
    let largest = line.repeat((1 << 20) / line.len());
    assert_eq!(largest.len(), 1 << 20);
    send(&queue, text(&largest)).await;
    assert!(receive_one(&queue).await.body == largest, "the body came back changed");
    let results = queue.send(vec![text(&format!("{largest}x")), text("small")]).await.unwrap();
    assert!(matches!(results[0], Err(QueueError::InvalidMessage(_) | QueueError::Refused { .. })), "{results:?}");
    assert!(results[1].is_ok(), "{results:?}");
}

async fn bodies_are_byte_identical(backend: &Backend) {
    let queue = backend.queue().await;
    let bodies = [
        "plain",
        "  leading and trailing  ",
        "\r\n\t and \n alone \r",
        r#"{"json":"with \"quotes\" and \\ and \u0041"}"#,
        "<xml attr='&amp;'>&#13;</xml>",
        "ü ß 漢字 \u{1F680} \u{10FFFF} \u{E000} \u{FFFD} \u{D7FF} \u{7F} \u{85} \u{2028} \u{FEFF}",
        "e\u{301} is not é",
    ];
    for body in bodies {
        let sent = send(&queue, text(body)).await;
        let message = receive_one(&queue).await;
        assert_eq!(message.body.as_bytes(), body.as_bytes());
        let digest = checksum::md5_hex(body.as_bytes());
        assert_eq!((&sent.md5_of_body, &message.md5_of_body), (&digest, &digest));
        delete(&queue, &message).await;
    }
}

fn string(name: &str, value: &str) -> MessageAttribute {
    MessageAttribute { name: name.into(), data_type: "String".into(), value: AttributeValue::Text(value.into()) }
}

async fn message_attributes_and_digests_survive(backend: &Backend) {
    let queue = backend.queue().await;
    let binary = AttributeValue::Binary((0..=255).collect());
    let attributes = vec![
        string("z.last", "ü \u{1F680}"),
        MessageAttribute {
            name: "Number".into(),
            data_type: "Number.int".into(),
            value: AttributeValue::Text("42".into()),
        },
        MessageAttribute { name: "bytes".into(), data_type: "Binary.png".into(), value: binary },
    ];
    let outgoing = OutgoingMessage {
        attributes: attributes.clone(),
        trace_header: Some("Root=1-5759e988-bd862e3fe1be46a994272793".into()),
        group_id: Some("tenant-1".into()),
        ..text("b")
    };
    let sent = send(&queue, outgoing.clone()).await;
    assert_eq!(sent.md5_of_attributes, checksum::md5_of_attributes(&attributes));
    assert!(sent.md5_of_attributes.is_some() && sent.md5_of_system_attributes.is_some());
    let message = receive_one(&queue).await;
    let mut sorted = attributes;
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(message.attributes, sorted);
    assert_eq!((message.system.trace_header, message.system.group_id), (outgoing.trace_header, outgoing.group_id));
    assert!(message.system.sender_id.is_some_and(|sender| !sender.is_empty()));
    let plain = send(&queue, text("plain")).await;
    assert_eq!((plain.md5_of_attributes, plain.md5_of_system_attributes), (None, None));
}

async fn two_consumers_never_hold_the_same_message(backend: &Backend) {
    const MESSAGES: usize = 100;
    let queue = backend.queue().await;
    let results = queue.send((0..MESSAGES).map(|index| text(&index.to_string())).collect()).await.unwrap();
    assert!(results.iter().all(Result::is_ok));
    let consume = |queue: Arc<dyn Queue>| async move {
        let mut taken = Vec::new();
        loop {
            let messages = queue.receive(request(10, 500, None)).await.unwrap();
            if messages.is_empty() {
                return taken;
            }
            taken.extend(messages.into_iter().map(|message| message.body));
        }
    };
    let (mut left, right) = tokio::join!(consume(Arc::clone(&queue)), consume(Arc::clone(&queue)));
    left.extend(right);
    let distinct: BTreeSet<&String> = left.iter().collect();
    assert_eq!((left.len(), distinct.len()), (MESSAGES, MESSAGES), "each once");
}

async fn other_queues_are_reached_by_arn(backend: &Backend) {
    let made = backend.make(QueueSetup { max_receive_count: Some(1), ..QueueSetup::default() }).await;
    let dead = made.dead.unwrap();
    let reached = made.queue.reach(dead.arn()).await.unwrap();
    assert_eq!(reached.arn(), dead.arn());
    send(&reached, text("through the back door")).await;
    assert_eq!(receive_one(&dead).await.body, "through the back door");
    let nowhere = wasmill_queue::QueueArn::new("us-east-1", "000000000000", "nowhere");
    assert_eq!(made.queue.reach(&nowhere).await.err(), Some(QueueError::NoSuchQueue));
}

async fn a_deleted_queue_says_so(backend: &Backend) {
    let made = backend.make(QueueSetup::default()).await;
    let queue = made.queue;
    send(&queue, text("x")).await;
    let message = receive_one(&queue).await;
    let waiting = tokio::spawn({
        let queue = Arc::clone(&queue);
        async move { queue.receive(request(1, 5000, None)).await }
    });
    pause(300).await;
    backend.broker.delete_queue(&made.name).await.unwrap();
    assert_eq!(waiting.await.unwrap(), Err(QueueError::NoSuchQueue), "whoever waits for it too");
    assert_eq!(queue.attributes().await.unwrap_err(), QueueError::NoSuchQueue);
    assert_eq!(queue.send(vec![text("x")]).await.unwrap_err(), QueueError::NoSuchQueue);
    assert_eq!(queue.receive(request(1, 0, None)).await.unwrap_err(), QueueError::NoSuchQueue);
    let receipts = [message.receipt];
    let outcome = queue.delete(&receipts).await;
    assert_eq!(outcome.unwrap_err(), QueueError::NoSuchQueue);
}
