//! sqs-semantics §5.1, long polls: when they wait, and everything that ends the wait.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::each;
use crate::queue::{Queue, bodies};

/// What is over much sooner than the longest wait, on a machine however busy.
const SOON: Duration = Duration::from_secs(10);

async fn timed(receive: impl Future<Output = Vec<Value>>) -> (Vec<String>, Duration) {
    let begun = Instant::now();
    let received = receive.await;
    (bodies(&received), begun.elapsed())
}

/// §5.1 "Absent wait uses the queue attribute; explicit 0 forces short poll".
#[tokio::test]
async fn the_queues_wait_holds_where_a_receive_names_none() {
    each(async |api| {
        let queue = Queue::new(&api, "wait", &json!({"ReceiveMessageWaitTimeSeconds": "20"})).await;
        let (received, took) = timed(queue.receive(&json!({"WaitTimeSeconds": 0}))).await;
        assert!(received.is_empty() && took < SOON, "{took:?}");
        queue.set(&json!({"ReceiveMessageWaitTimeSeconds": "1"})).await;
        let (received, took) = timed(queue.receive(&json!({}))).await;
        assert!(received.is_empty() && took >= Duration::from_secs(1), "{took:?}");
    })
    .await;
}

/// §5.1 "returns as soon as any message is available, does not wait to fill the max"
/// [A:test_receive_message_wait_time_seconds_and_max_number_of_messages_does_not_block].
#[tokio::test]
async fn a_long_poll_does_not_wait_to_fill_up() {
    each(async |api| {
        let queue = Queue::plain(&api, "fill").await;
        queue.send("a").await;
        queue.send("b").await;
        let (received, took) = timed(queue.wait(20)).await;
        assert!(!received.is_empty() && took < SOON, "{received:?} after {took:?}");
    })
    .await;
}

/// §5.1 "It must also wake when": ElasticMQ once did not (elasticmq#81) [A:test_wait_time_seconds_waits_correctly].
#[tokio::test]
async fn a_long_poll_is_woken_by_whatever_makes_a_message_visible() {
    each(async |api| {
        for fifo in [false, true] {
            let queue = async || match fifo {
                false => Queue::plain(&api, "woken").await,
                true => Queue::fifo(&api, "woken", &json!({})).await,
            };
            let send = json!({"MessageBody": "x", "MessageGroupId": "g"});
            let waiting = async |queue: &Queue, wake: &dyn Fn() -> Wake| {
                let waker = queue.clone();
                let woken_by = wake();
                let (outcome, ()) = tokio::join!(timed(queue.wait(20)), woken_by.happen(&waker));
                let (received, took) = outcome;
                assert!(took < SOON, "{woken_by:?}, fifo {fifo}: {took:?}");
                assert_eq!(received, ["x"], "{woken_by:?}, fifo {fifo}");
            };
            waiting(&queue().await, &|| Wake::Send(send.clone())).await;
            waiting(&queue().await, &|| Wake::Batch(send.clone())).await;

            // A visibility timeout that runs out.
            let expiring = queue().await;
            expiring.ok("SendMessage", &send).await;
            assert_eq!(expiring.receive(&json!({"VisibilityTimeout": 1})).await.len(), 1);
            waiting(&expiring, &|| Wake::Time).await;

            // A message that is given back.
            let returned = queue().await;
            returned.ok("SendMessage", &send).await;
            let held = returned.take(1).await;
            waiting(&returned, &|| Wake::Return(held[0].clone())).await;

            // A delay that is over.
            let delayed = queue().await;
            delayed.set(&json!({"DelaySeconds": "1"})).await;
            delayed.ok("SendMessage", &send).await;
            waiting(&delayed, &|| Wake::Time).await;
        }
    })
    .await;
}

/// What ends a wait.
#[derive(Debug)]
enum Wake {
    Send(Value),
    Batch(Value),
    Return(Value),
    Time,
}

impl Wake {
    async fn happen(&self, queue: &Queue) {
        // Long enough that the receive waits already; were it not so, the test would only be easier.
        tokio::time::sleep(Duration::from_millis(200)).await;
        match self {
            Self::Send(message) => {
                queue.ok("SendMessage", message).await;
            }
            Self::Batch(message) => {
                let mut entry = message.clone();
                entry["Id"] = json!("1");
                queue.ok("SendMessageBatch", &json!({"Entries": [entry]})).await;
            }
            Self::Return(message) => queue.change(message, 0).await,
            Self::Time => {}
        }
    }
}

/// §5.1: each of several that wait gets a message, none is given to two.
#[tokio::test]
async fn waiting_receivers_share_what_comes() {
    each(async |api| {
        let queue = Queue::plain(&api, "shared").await;
        let asked = json!({"WaitTimeSeconds": 20});
        let wait = || queue.receive(&asked);
        let entries: Value = (0..3).map(|id| json!({"Id": id.to_string(), "MessageBody": format!("m{id}")})).collect();
        let batch = json!({"Entries": entries});
        let send = queue.ok("SendMessageBatch", &batch);
        let (one, two, three, _) = tokio::join!(wait(), wait(), wait(), send);
        let mut received = [bodies(&one), bodies(&two), bodies(&three)].concat();
        received.sort();
        assert_eq!(received, ["m0", "m1", "m2"]);
    })
    .await;
}
