//! The AWS SDK, pointed at a server under test.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName, SendMessageBatchRequestEntry};

use crate::wait::{eventually, holds};

/// The account in the built-in queue's URLs.
pub const ACCOUNT: &str = "000000000000";

/// The ARN of a built-in queue.
#[must_use]
pub fn arn(queue: &str) -> String {
    format!("arn:aws:sqs:us-east-1:{ACCOUNT}:{queue}")
}

/// A client of one service.
#[derive(Clone, Debug)]
pub struct Sqs {
    client: Client,
    endpoint: String,
    account: String,
}

/// A queue's three counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// A receive could get them.
    pub visible: usize,
    /// Received and not settled.
    pub in_flight: usize,
    /// Their delay is not over.
    pub delayed: usize,
}

impl Counts {
    /// Nothing at all.
    pub const EMPTY: Self = Self { visible: 0, in_flight: 0, delayed: 0 };

    /// Only messages that wait.
    #[must_use]
    pub fn visible(visible: usize) -> Self {
        Self { visible, ..Self::EMPTY }
    }

    /// Only messages in flight.
    #[must_use]
    pub fn in_flight(in_flight: usize) -> Self {
        Self { in_flight, ..Self::EMPTY }
    }
}

impl Sqs {
    /// A client as the SDK's defaults make it.
    #[must_use]
    pub fn at(endpoint: &str) -> Self {
        Self::with(endpoint, RetryConfig::standard())
    }

    /// One that reports every failure: an acknowledged send was acknowledged at its only try.
    #[must_use]
    pub fn without_retries(endpoint: &str) -> Self {
        Self::with(endpoint, RetryConfig::disabled())
    }

    /// One that signs with this key.
    #[must_use]
    pub fn signing(endpoint: &str, key_id: &str, secret: &str) -> Self {
        Self::of(endpoint, RetryConfig::standard(), Credentials::new(key_id, secret, None, None, "test"))
    }

    fn with(endpoint: &str, retries: RetryConfig) -> Self {
        Self::of(endpoint, retries, Credentials::new("test", "test", None, None, "test"))
    }

    fn of(endpoint: &str, retries: RetryConfig, credentials: Credentials) -> Self {
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .retry_config(retries)
            .endpoint_url(endpoint)
            .build();
        Self { client: Client::new(&config), endpoint: endpoint.to_owned(), account: ACCOUNT.to_owned() }
    }

    /// The same for a service whose queues are in another account.
    #[must_use]
    pub fn of_account(self, account: &str) -> Self {
        Self { account: account.to_owned(), ..self }
    }

    /// The SDK's own client.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The service's URL.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// A queue's URL.
    #[must_use]
    pub fn url(&self, queue: &str) -> String {
        format!("{}/{}/{queue}", self.endpoint, self.account)
    }

    /// A queue's ARN.
    #[must_use]
    pub fn arn(&self, queue: &str) -> String {
        format!("arn:aws:sqs:us-east-1:{}:{queue}", self.account)
    }

    /// Creates a queue.
    pub async fn create(&self, queue: &str, attributes: &[(QueueAttributeName, &str)]) {
        let mut call = self.client.create_queue().queue_name(queue);
        for (name, value) in attributes {
            call = call.attributes(name.clone(), *value);
        }
        call.send().await.unwrap();
    }

    /// Sends a message; gives its id.
    pub async fn send(&self, queue: &str, body: &str) -> String {
        let sent = self.client.send_message().queue_url(self.url(queue)).message_body(body).send().await;
        sent.unwrap().message_id.unwrap()
    }

    /// Sends up to ten messages in one call; gives their ids in order.
    pub async fn send_batch(&self, queue: &str, bodies: &[String]) -> Vec<String> {
        let sent = self.client.send_message_batch().queue_url(self.url(queue)).set_entries(Some(entries(bodies)));
        let sent = sent.send().await.unwrap();
        assert!(sent.failed().is_empty(), "{:?}", sent.failed());
        let mut ids = vec![String::new(); bodies.len()];
        for entry in sent.successful() {
            ids[entry.id().parse::<usize>().unwrap()] = entry.message_id().to_owned();
        }
        ids
    }

    /// Receives up to ten messages, with all their attributes.
    pub async fn receive(&self, queue: &str, wait_seconds: i32) -> Vec<Message> {
        let call = self.client.receive_message().queue_url(self.url(queue)).max_number_of_messages(10);
        let call = call.wait_time_seconds(wait_seconds).message_attribute_names("All");
        let call = call.message_system_attribute_names(MessageSystemAttributeName::All);
        call.send().await.unwrap().messages.unwrap_or_default()
    }

    /// Receives until it has `count` messages.
    pub async fn receive_all(&self, within: Duration, queue: &str, count: usize) -> Vec<Message> {
        let mut received = Vec::new();
        eventually(within, async || {
            received.append(&mut self.receive(queue, 1).await);
            holds(received.len() >= count, || format!("received {} of {count} from {queue}", received.len()))
        })
        .await;
        assert_eq!(received.len(), count, "{received:?}");
        received
    }

    /// A queue's counters, which the built-in queue keeps exactly.
    pub async fn counts(&self, queue: &str) -> Counts {
        let call = self.client.get_queue_attributes().queue_url(self.url(queue));
        let found = call.attribute_names(QueueAttributeName::All).send().await.unwrap().attributes.unwrap();
        let number = |name: QueueAttributeName| found[&name].parse().unwrap();
        Counts {
            visible: number(QueueAttributeName::ApproximateNumberOfMessages),
            in_flight: number(QueueAttributeName::ApproximateNumberOfMessagesNotVisible),
            delayed: number(QueueAttributeName::ApproximateNumberOfMessagesDelayed),
        }
    }

    /// Waits until a queue's counters are exactly these.
    pub async fn wait_for_counts(&self, within: Duration, queue: &str, expected: Counts) {
        eventually(within, async || {
            let found = self.counts(queue).await;
            holds(found == expected, || format!("{queue} has {found:?}, expected {expected:?}"))
        })
        .await;
    }
}

/// The entries of a batch send, their places as ids.
#[must_use]
pub fn entries(bodies: &[String]) -> Vec<SendMessageBatchRequestEntry> {
    let entry = |(place, body): (usize, &String)| {
        SendMessageBatchRequestEntry::builder().id(place.to_string()).message_body(body).build().unwrap()
    };
    bodies.iter().enumerate().map(entry).collect()
}

/// One of a received message's system attributes; empty if it is not there.
#[must_use]
pub fn system<'a>(message: &'a Message, name: &MessageSystemAttributeName) -> &'a str {
    message.attributes.as_ref().and_then(|attributes| attributes.get(name)).map_or("", String::as_str)
}

/// How often a received message was received, this time included.
#[must_use]
pub fn receive_count(message: &Message) -> &str {
    system(message, &MessageSystemAttributeName::ApproximateReceiveCount)
}
