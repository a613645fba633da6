//! A queue of one test's own, and what tests do with queues and messages.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use support::Counts;

use crate::client::{Api, Refused};

/// A name that no other test of this process uses.
pub(crate) fn unique(label: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{label}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) use support::sqs::arn;

/// A queue, spoken to in one protocol.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    pub(crate) api: Api,
    pub(crate) name: String,
    pub(crate) url: String,
}

impl Queue {
    /// A standard queue with these attributes.
    pub(crate) async fn new(api: &Api, label: &str, attributes: &Value) -> Self {
        Self::named(api, unique(label), attributes).await
    }

    /// A standard queue with all defaults.
    pub(crate) async fn plain(api: &Api, label: &str) -> Self {
        Self::new(api, label, &json!({})).await
    }

    /// A FIFO queue that makes deduplication ids of the content, with more attributes.
    pub(crate) async fn fifo(api: &Api, label: &str, attributes: &Value) -> Self {
        let mut all = json!({"FifoQueue": "true", "ContentBasedDeduplication": "true"});
        for (name, value) in attributes.as_object().unwrap() {
            all[name] = value.clone();
        }
        Self::named(api, unique(label) + ".fifo", &all).await
    }

    pub(crate) async fn named(api: &Api, name: String, attributes: &Value) -> Self {
        let created = api.ok("CreateQueue", &json!({"QueueName": name, "Attributes": attributes})).await;
        Self { api: api.clone(), url: text(&created, "QueueUrl").to_owned(), name }
    }

    pub(crate) fn arn(&self) -> String {
        arn(&self.name)
    }

    /// The same queue, found again after its server was started again.
    pub(crate) fn at(&self, api: &Api) -> Self {
        Self { api: api.clone(), name: self.name.clone(), url: self.name.clone() }
    }

    fn with_url(&self, members: &Value) -> Value {
        let mut all = members.clone();
        all["QueueUrl"] = json!(self.url);
        all
    }

    /// Does an action of this queue that succeeds.
    pub(crate) async fn ok(&self, action: &str, members: &Value) -> Value {
        self.api.ok(action, &self.with_url(members)).await
    }

    /// Asks for an action of this queue that is refused.
    pub(crate) async fn refused(&self, action: &str, members: &Value) -> Refused {
        self.api.refused(action, &self.with_url(members)).await
    }

    /// Sends a body.
    pub(crate) async fn send(&self, body: &str) -> Value {
        self.ok("SendMessage", &json!({"MessageBody": body})).await
    }

    /// Sends a body to a message group.
    pub(crate) async fn send_to(&self, group: &str, body: &str) -> Value {
        self.ok("SendMessage", &json!({"MessageBody": body, "MessageGroupId": group})).await
    }

    /// Sends bodies to message groups, `(group, body)`, one after the other.
    pub(crate) async fn send_all(&self, messages: &[(&str, &str)]) {
        for (group, body) in messages {
            self.send_to(group, body).await;
        }
    }

    /// One receive, as asked.
    pub(crate) async fn receive(&self, members: &Value) -> Vec<Value> {
        list(&self.ok("ReceiveMessage", members).await, "Messages")
    }

    /// One receive of up to `max` messages, without waiting.
    pub(crate) async fn take(&self, max: usize) -> Vec<Value> {
        self.receive(&json!({"MaxNumberOfMessages": max})).await
    }

    /// The bodies of one receive of up to `max` messages, without waiting.
    pub(crate) async fn bodies(&self, max: usize) -> Vec<String> {
        bodies(&self.take(max).await)
    }

    /// One receive of one message with all attributes.
    pub(crate) async fn one(&self) -> Value {
        let asked = json!({"MessageSystemAttributeNames": ["All"], "MessageAttributeNames": ["All"]});
        let mut messages = self.receive(&asked).await;
        assert_eq!(messages.len(), 1, "{messages:?}");
        messages.remove(0)
    }

    /// Waits for one receive to bring something.
    pub(crate) async fn wait(&self, seconds: u32) -> Vec<Value> {
        self.receive(&json!({"MaxNumberOfMessages": 10, "WaitTimeSeconds": seconds})).await
    }

    pub(crate) async fn delete(&self, message: &Value) {
        self.ok("DeleteMessage", &json!({"ReceiptHandle": handle(message)})).await;
    }

    pub(crate) async fn change(&self, message: &Value, seconds: u32) {
        let members = json!({"ReceiptHandle": handle(message), "VisibilityTimeout": seconds});
        self.ok("ChangeMessageVisibility", &members).await;
    }

    /// Some of its attributes.
    pub(crate) async fn attributes(&self, names: &[&str]) -> Value {
        let mut answer = self.ok("GetQueueAttributes", &json!({"AttributeNames": names})).await;
        answer.get_mut("Attributes").map_or_else(|| json!({}), Value::take)
    }

    pub(crate) async fn set(&self, attributes: &Value) {
        self.ok("SetQueueAttributes", &json!({"Attributes": attributes})).await;
    }

    pub(crate) async fn counts(&self) -> Counts {
        let names = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ];
        let found = self.attributes(&names).await;
        let number = |name: &str| text(&found, name).parse().unwrap();
        Counts { visible: number(names[0]), in_flight: number(names[1]), delayed: number(names[2]) }
    }

    /// Receives one message `times` times, each time visible again at once.
    pub(crate) async fn receive_and_return(&self, times: usize) {
        for time in 1..=times {
            let messages = self.receive(&json!({"VisibilityTimeout": 0})).await;
            assert_eq!(messages.len(), 1, "receive {time} of {times}");
        }
    }
}

/// A redrive policy, as the attribute's text.
pub(crate) fn redrive_to(target: &Queue, max_receive_count: u32) -> Value {
    let policy = json!({"deadLetterTargetArn": target.arn(), "maxReceiveCount": max_receive_count});
    json!({"RedrivePolicy": policy.to_string()})
}

/// A list in an answer; empty if it is not there.
pub(crate) fn list(answer: &Value, name: &str) -> Vec<Value> {
    answer.get(name).map_or_else(Vec::new, |list| list.as_array().unwrap().clone())
}

/// A text in an answer.
#[track_caller]
pub(crate) fn text<'a>(answer: &'a Value, name: &str) -> &'a str {
    answer[name].as_str().unwrap_or_else(|| panic!("no text {name} in {answer}"))
}

#[track_caller]
pub(crate) fn handle(message: &Value) -> &str {
    text(message, "ReceiptHandle")
}

pub(crate) fn bodies(messages: &[Value]) -> Vec<String> {
    messages.iter().map(|message| text(message, "Body").to_owned()).collect()
}

/// A system attribute of a received message.
#[track_caller]
pub(crate) fn system<'a>(message: &'a Value, name: &str) -> &'a str {
    text(&message["Attributes"], name)
}
