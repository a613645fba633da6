//! Amazon SQS, or any service that speaks its API, behind the `Queue` trait; and the few management calls that the
//! command line needs. Only this module and its children know the AWS SDK.

mod convert;
mod dead_letter;
mod move_tasks;
mod queue;
mod session;
mod signer;
mod verbs;

pub use convert::NO_CONNECTION;
pub use move_tasks::RemoteMoveTask;
pub use queue::RemoteQueue;
pub use signer::Signer;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_config::Region;
use aws_config::environment::{EnvironmentVariableCredentialsProvider, EnvironmentVariableRegionProvider};
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::Credentials;
use aws_sdk_sqs::types::QueueAttributeName;
use axum::http::Uri;
use tokio::time::Instant;
use wasmill_queue::{QueueArn, QueueError};

use crate::client::convert::call_error;
use crate::client::session::Session;
use crate::urls;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const DEFAULT_REGION: &str = "us-east-1";
/// One page of `ListQueues`.
const PAGE_SIZE: i32 = 1000;
/// A listing stops after so many pages, ten thousand queues; an account may have a million.
const PAGES_MAX: usize = 10;

/// Which service to talk to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemoteOptions {
    /// The service's URL; none: what the AWS environment says (`AWS_ENDPOINT_URL`), else Amazon SQS in the region.
    pub endpoint_url: Option<String>,
    /// None: what the AWS environment says (`AWS_REGION`, profile, instance); with an endpoint URL `us-east-1` after that.
    pub region: Option<String>,
    /// For an endpoint on loopback only: credentials come from the environment or the profile, and when there are none
    /// made-up ones sign the requests, since a local queue checks none. Has no effect on any other endpoint.
    pub anonymous_local: bool,
}

/// A service cannot be addressed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// Neither the options nor the AWS environment name a region.
    #[error("no AWS region is configured: set AWS_REGION, a region in the AWS profile, or an endpoint URL")]
    NoRegion,
    /// Not `http://…` or `https://…`.
    #[error("{0:?} is not an endpoint URL: write http://HOST:PORT or https://HOST")]
    EndpointUrl(String),
}

/// A service with queues. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RemoteSqs {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: RemoteOptions,
    region: String,
    has_endpoint: bool,
    /// Held for a moment.
    session: Mutex<Session>,
    /// When newer credentials were last looked for; held while they are.
    looked_at: tokio::sync::Mutex<Option<Instant>>,
}

/// A queue in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedQueue {
    /// Its name.
    pub name: String,
    /// Its URL as the service gave it.
    pub url: String,
}

/// What a service tells of a queue. The counts are approximate on Amazon SQS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueStats {
    /// The queue's ARN.
    pub arn: QueueArn,
    /// Messages that a receive could get.
    pub visible: u64,
    /// Messages received and not settled.
    pub in_flight: u64,
    /// Messages whose delay is not over.
    pub delayed: u64,
    /// All attributes, by AWS's name.
    pub attributes: BTreeMap<String, String>,
}

impl RemoteSqs {
    /// Makes a client with the AWS standard chain for region and credentials. Nothing is sent yet: a service that is not
    /// there is found out by the first call.
    ///
    /// # Errors
    /// When the options do not say where the service is.
    pub async fn connect(options: RemoteOptions) -> Result<Self, ConnectError> {
        let config = session::load(&options).await?;
        let has_endpoint = config.endpoint_url().is_some();
        let region = match config.region() {
            Some(region) => region.to_string(),
            None if has_endpoint => DEFAULT_REGION.to_owned(),
            None => return Err(ConnectError::NoRegion),
        };
        let session = Mutex::new(Session::new(config));
        let shared = Shared { options, region, has_endpoint, session, looked_at: tokio::sync::Mutex::default() };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The queue at a URL.
    ///
    /// # Errors
    /// `NoSuchQueue`, or the service could not be reached.
    pub async fn queue_by_url(&self, url: &str) -> Result<RemoteQueue, QueueError> {
        let region = amazon_region(url).filter(|_| !self.shared.has_endpoint);
        let region = region.unwrap_or(&self.shared.region).to_owned();
        RemoteQueue::open(self.clone(), region, url.to_owned()).await
    }

    /// The queue with a name, in the client's own region and account.
    ///
    /// # Errors
    /// `NoSuchQueue`, or the service could not be reached.
    pub async fn queue_by_name(&self, name: &str) -> Result<RemoteQueue, QueueError> {
        let region = self.shared.region.clone();
        let url = self.queue_url(&region, name, None).await?;
        RemoteQueue::open(self.clone(), region, url).await
    }

    /// The queue with an ARN, in that ARN's region and account.
    ///
    /// # Errors
    /// `NoSuchQueue`, or the service could not be reached.
    pub async fn queue_by_arn(&self, arn: &QueueArn) -> Result<RemoteQueue, QueueError> {
        let url = self.queue_url(arn.region(), arn.name(), Some(arn.account())).await?;
        RemoteQueue::open(self.clone(), arn.region().to_owned(), url).await
    }

    /// The queues whose names start so, by name; at most ten thousand.
    ///
    /// # Errors
    /// The service could not be reached or refused.
    pub async fn list_queues(&self, prefix: &str) -> Result<Vec<ListedQueue>, QueueError> {
        let prefix = (!prefix.is_empty()).then(|| prefix.to_owned());
        let mut listed = Vec::new();
        let mut next_token = None;
        // Pages are counted too: a service may answer empty ones with a token for ever.
        for _ in 0..PAGES_MAX {
            let list = |client: Client| {
                let call = client.list_queues().set_queue_name_prefix(prefix.clone());
                let call = call.set_next_token(next_token.clone()).max_results(PAGE_SIZE);
                call.customize().config_override(verbs::lookup()).send()
            };
            let page = self.call(&self.shared.region, list).await.map_err(|error| call_error(&error))?;
            for url in page.queue_urls() {
                let name = urls::parse(url).map(|address| address.name.to_owned()).unwrap_or_default();
                listed.push(ListedQueue { name, url: url.clone() });
            }
            next_token = page.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
            if next_token.is_none() {
                break;
            }
        }
        listed.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(listed)
    }

    async fn queue_url(&self, region: &str, name: &str, account: Option<&str>) -> Result<String, QueueError> {
        let ask = |client: Client| {
            let call =
                client.get_queue_url().queue_name(name).set_queue_owner_aws_account_id(account.map(str::to_owned));
            call.customize().config_override(verbs::lookup()).send()
        };
        let found = self.call(region, ask).await.map_err(|error| call_error(&error))?;
        found.queue_url.ok_or_else(|| convert::misunderstood("GetQueueUrl answered without a QueueUrl"))
    }

    /// All attributes of a queue, by AWS's name.
    async fn all_attributes(&self, region: &str, url: &str) -> Result<BTreeMap<String, String>, QueueError> {
        let ask = |client: Client| {
            let call = client.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::All);
            call.customize().config_override(verbs::lookup()).send()
        };
        let found = self.call(region, ask).await.map_err(|error| call_error(&error))?;
        let attributes = found.attributes.unwrap_or_default();
        Ok(attributes.into_iter().map(|(name, value)| (name.as_str().to_owned(), value)).collect())
    }

    fn session(&self) -> MutexGuard<'_, Session> {
        self.shared.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Environment, then profile, then the default. For a service on this machine the standard chain's last step, asking
/// the network for an instance's metadata, would only mean seconds of waiting.
fn local_region() -> RegionProviderChain {
    RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(ProfileFileRegionProvider::new())
        .or_else(Region::new(DEFAULT_REGION))
}

/// Environment, then profile, then made-up ones; without asking the network, as above.
fn local_credentials() -> CredentialsProviderChain {
    CredentialsProviderChain::first_try("Environment", EnvironmentVariableCredentialsProvider::new())
        .or_else("Profile", ProfileFileCredentialsProvider::builder().build())
        .or_else("Local", Credentials::new("local", "local", None, None, "wasmill-local"))
}

/// The host of an endpoint URL, without brackets; none when it is not one.
fn endpoint_host(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    let scheme_fits = matches!(uri.scheme_str(), Some("http" | "https"));
    let host = uri.host().filter(|host| scheme_fits && !host.is_empty())?;
    Some(host.trim_start_matches('[').trim_end_matches(']').to_owned())
}

fn is_loopback(host: &str) -> bool {
    let name = host.to_ascii_lowercase();
    let by_name = name == "localhost" || name.ends_with(".localhost");
    by_name || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The region in a URL of Amazon's own, in its current and its legacy form.
fn amazon_region(url: &str) -> Option<&str> {
    let host = url.split_once("://")?.1.split('/').next()?;
    let labels: Vec<&str> = host.split('.').collect();
    match labels[..] {
        ["sqs", region, "amazonaws", "com"] | [region, "queue", "amazonaws", "com"] => Some(region),
        ["sqs", region, "amazonaws", "com", "cn"] => Some(region),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_endpoints() {
        for (url, expected) in [
            ("http://localhost:9324", true),
            ("http://LOCALHOST", true),
            ("http://sqs.localhost:4566/", true),
            ("http://127.0.0.1:9324", true),
            ("http://127.9.9.9", true),
            ("http://[::1]:9324", true),
            ("http://10.0.0.1:9324", false),
            ("http://localhost.example.com", false),
            ("https://sqs.eu-west-1.amazonaws.com", false),
        ] {
            assert_eq!(endpoint_host(url).map(|host| is_loopback(&host)), Some(expected), "{url}");
        }
    }

    #[test]
    fn what_is_not_an_endpoint() {
        for url in ["", "localhost:9324", "ftp://localhost", "http://", "/path", "not a url"] {
            assert_eq!(endpoint_host(url), None, "{url:?}");
        }
    }

    #[test]
    fn regions_in_amazons_urls() {
        for (url, expected) in [
            ("https://sqs.eu-west-1.amazonaws.com/123456789012/q", Some("eu-west-1")),
            ("https://eu-west-1.queue.amazonaws.com/123456789012/q", Some("eu-west-1")),
            ("https://sqs.cn-north-1.amazonaws.com.cn/123456789012/q", Some("cn-north-1")),
            ("http://localhost:9324/000000000000/q", None),
            ("q", None),
        ] {
            assert_eq!(amazon_region(url), expected, "{url}");
        }
    }
}
