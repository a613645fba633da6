//! The connections to a service and the credentials that sign what goes over them; and newer credentials, once the service
//! does not take these any more.
//!
//! The SDK reads a profile's file once, and asks a process or a role again only when what they gave is about to expire by
//! its own word. So what was replaced before its time, by an owner or a rotation, would be used until a restart.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{Credentials, ProvideCredentials};
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use tokio::time::Instant;

use super::{
    CONNECT_TIMEOUT, ConnectError, RemoteOptions, RemoteSqs, endpoint_host, is_loopback, local_credentials,
    local_region,
};

/// What a service says of credentials that it does not take. Those of `AccessDenied` may be another's by now.
const REFUSALS: [&str; 12] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "InvalidAccessKeyId",
    "UnrecognizedClientException",
    "InvalidSecurity",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "SignatureDoesNotMatch",
    "InvalidSignatureException",
    "AccessDenied",
    "AccessDeniedException",
];
/// The chain is looked at so often at most, however many calls are refused.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
/// How long the chain may take: a role's service may be slow, and a process may hang.
const LOOK_MAX: Duration = Duration::from_secs(20);

/// What calls are made with.
#[derive(Debug)]
pub(super) struct Session {
    config: SdkConfig,
    /// One client per region in use: queue and dead-letter queue share one, and with it their connections.
    clients: BTreeMap<String, Client>,
    /// What the chain gave when it was last looked at for newer ones.
    credentials: Option<Credentials>,
    generation: u64,
}

impl Session {
    pub(super) fn new(config: SdkConfig) -> Self {
        Self { config, clients: BTreeMap::new(), credentials: None, generation: 0 }
    }

    fn client(&mut self, region: &str) -> Client {
        let make = || {
            let config = aws_sdk_sqs::config::Builder::from(&self.config).region(Region::new(region.to_owned()));
            Client::from_conf(config.build())
        };
        self.clients.entry(region.to_owned()).or_insert_with(make).clone()
    }
}

/// What the options and the AWS environment say now. Nothing is sent, unless the region has to be asked for.
pub(super) async fn load(options: &RemoteOptions) -> Result<SdkConfig, ConnectError> {
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
    Ok(loader.load().await)
}

impl RemoteSqs {
    /// Does a call with the credentials at hand; and once more with newer ones, if the service does not take these and the
    /// AWS chain has others by now. A call that was refused so has done nothing.
    pub(super) async fn call<T, E, F>(&self, region: &str, call: impl Fn(Client) -> F) -> Result<T, SdkError<E>>
    where
        F: Future<Output = Result<T, SdkError<E>>>,
        E: ProvideErrorMetadata,
    {
        let (client, generation) = self.client(region);
        let refused = match call(client).await {
            Err(error) if is_about_credentials(&error) => error,
            outcome => return outcome,
        };
        if !self.has_newer(generation).await {
            return Err(refused);
        }
        let (client, _) = self.client(region);
        call(client).await
    }

    fn client(&self, region: &str) -> (Client, u64) {
        let mut session = self.session();
        (session.client(region), session.generation)
    }

    /// Whether there are credentials now that those of this generation are not.
    async fn has_newer(&self, generation: u64) -> bool {
        // One looks; the others find what it found.
        let mut looked_at = self.shared.looked_at.lock().await;
        if self.session().generation != generation {
            return true;
        }
        if looked_at.is_some_and(|at: Instant| at.elapsed() < BETWEEN_LOOKS) {
            return false;
        }
        *looked_at = Some(Instant::now());
        let Some((config, found)) = self.look().await else { return false };
        let mut session = self.session();
        if session.credentials.as_ref().is_some_and(|known| is_same(known, &found)) {
            return false;
        }
        tracing::info!(access_key_id = found.access_key_id(), "credentials were refused and are read anew");
        *session = Session { credentials: Some(found), generation: generation + 1, ..Session::new(config) };
        true
    }

    /// What the chain gives now. None: nothing, and what is at hand stays.
    async fn look(&self) -> Option<(SdkConfig, Credentials)> {
        let look = async {
            let config = load(&self.shared.options).await.ok()?;
            let found = config.credentials_provider()?.provide_credentials().await.ok()?;
            Some((config, found))
        };
        tokio::time::timeout(LOOK_MAX, look).await.ok().flatten()
    }
}

/// The service does not take the credentials, or there were none to sign with.
fn is_about_credentials<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    match error {
        SdkError::ServiceError(refused) => refused.err().code().is_some_and(|code| REFUSALS.contains(&code)),
        SdkError::ConstructionFailure(_) => true,
        SdkError::DispatchFailure(failure) => !failure.is_io() && !failure.is_timeout(),
        _ => false,
    }
}

/// Apart from where they come from and when they expire.
fn is_same(one: &Credentials, other: &Credentials) -> bool {
    let parts = |of: &Credentials| (of.access_key_id().to_owned(), of.session_token().map(str::to_owned));
    parts(one) == parts(other) && one.secret_access_key() == other.secret_access_key()
}
