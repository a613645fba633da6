//! Amazon SQS, or any service that speaks its API, behind the `Queue` trait; and the few management calls that the
//! command line needs. Only this module and its children know the AWS SDK.

mod convert;
mod dead_letter;
mod move_tasks;
mod queue;
mod verbs;

pub use move_tasks::RemoteMoveTask;
pub use queue::RemoteQueue;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::environment::{EnvironmentVariableCredentialsProvider, EnvironmentVariableRegionProvider};
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::Credentials;
use aws_sdk_sqs::types::QueueAttributeName;
use axum::http::Uri;
use wasmill_queue::{QueueArn, QueueError};

use crate::client::convert::call_error;
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
    config: SdkConfig,
    region: String,
    /// One client per region in use: queue and dead-letter queue share one, and with it their connections.
    clients: Mutex<BTreeMap<String, Client>>,
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
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).build());
        let mut local = false;
        if let Some(url) = &options.endpoint_url {
            let host = endpoint_host(url).ok_or_else(|| ConnectError::EndpointUrl(url.clone()))?;
            local = is_loopback(&host);
            loader = loader.endpoint_url(url);
        }
        if let Some(region) = &options.region {
            loader = loader.region(Region::new(region.clone()));
        } else if local {
            loader = loader.region(local_region());
        }
        if local && options.anonymous_local {
            loader = loader.credentials_provider(local_credentials());
        }
        let config = loader.load().await;
        let has_endpoint = config.endpoint_url().is_some();
        let region = match config.region() {
            Some(region) => region.to_string(),
            None if has_endpoint => DEFAULT_REGION.to_owned(),
            None => return Err(ConnectError::NoRegion),
        };
        Ok(Self { shared: Arc::new(Shared { config, region, clients: Mutex::default() }) })
    }

    /// The queue at a URL.
    ///
    /// # Errors
    /// `NoSuchQueue`, or the service could not be reached.
    pub async fn queue_by_url(&self, url: &str) -> Result<RemoteQueue, QueueError> {
        let region = amazon_region(url).filter(|_| self.shared.config.endpoint_url().is_none());
        let client = self.client(region.unwrap_or(&self.shared.region));
        RemoteQueue::open(self.clone(), client, url.to_owned()).await
    }

    /// The queue with a name, in the client's own region and account.
    ///
    /// # Errors
    /// `NoSuchQueue`, or the service could not be reached.
    pub async fn queue_by_name(&self, name: &str) -> Result<RemoteQueue, QueueError> {
        let client = self.client(&self.shared.region);
        let url = queue_url(&client, name, None).await?;
        RemoteQueue::open(self.clone(), client, url).await
    }

    /// The queue with an ARN, in that ARN's region and account.
    ///
    /// # Errors
    /// `NoSuchQueue`, or the service could not be reached.
    pub async fn queue_by_arn(&self, arn: &QueueArn) -> Result<RemoteQueue, QueueError> {
        let client = self.client(arn.region());
        let url = queue_url(&client, arn.name(), Some(arn.account())).await?;
        RemoteQueue::open(self.clone(), client, url).await
    }

    /// The queues whose names start so, by name; at most ten thousand.
    ///
    /// # Errors
    /// The service could not be reached or refused.
    pub async fn list_queues(&self, prefix: &str) -> Result<Vec<ListedQueue>, QueueError> {
        let client = self.client(&self.shared.region);
        let prefix = (!prefix.is_empty()).then(|| prefix.to_owned());
        let mut listed = Vec::new();
        let mut next_token = None;
        // Pages are counted too: a service may answer empty ones with a token for ever.
        for _ in 0..PAGES_MAX {
            let call = client.list_queues().set_queue_name_prefix(prefix.clone()).set_next_token(next_token);
            let call = call.max_results(PAGE_SIZE).customize().config_override(verbs::lookup());
            let page = call.send().await.map_err(|error| call_error(&error))?;
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

    fn client(&self, region: &str) -> Client {
        let mut clients = self.shared.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || {
            let config = aws_sdk_sqs::config::Builder::from(&self.shared.config).region(Region::new(region.to_owned()));
            Client::from_conf(config.build())
        };
        clients.entry(region.to_owned()).or_insert_with(make).clone()
    }
}

async fn queue_url(client: &Client, name: &str, account: Option<&str>) -> Result<String, QueueError> {
    let call = client.get_queue_url().queue_name(name).set_queue_owner_aws_account_id(account.map(str::to_owned));
    let found = call.customize().config_override(verbs::lookup()).send().await.map_err(|error| call_error(&error))?;
    found.queue_url.ok_or_else(|| convert::misunderstood("GetQueueUrl answered without a QueueUrl"))
}

/// All attributes of a queue, by AWS's name.
async fn all_attributes(client: &Client, url: &str) -> Result<BTreeMap<String, String>, QueueError> {
    let call = client.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::All);
    let found = call.customize().config_override(verbs::lookup()).send().await.map_err(|error| call_error(&error))?;
    let attributes = found.attributes.unwrap_or_default();
    Ok(attributes.into_iter().map(|(name, value)| (name.as_str().to_owned(), value)).collect())
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
