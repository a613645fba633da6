//! Signatures for requests to another AWS API at an endpoint, such as Lambda's beside the built-in queue: by the same
//! credentials as those to SQS.

use std::fmt;
use std::time::SystemTime;

use aws_sdk_sqs::config::{Credentials, ProvideCredentials};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;

use super::{ConnectError, DEFAULT_REGION, RemoteOptions, session};

/// Signs with the credentials of the AWS standard chain. Where there are none, for an endpoint on loopback, made-up ones
/// do; for another nothing is signed.
pub struct Signer {
    region: String,
    credentials: Option<Credentials>,
}

impl Signer {
    /// Looks for the credentials for an endpoint.
    ///
    /// # Errors
    /// When that is no endpoint.
    pub async fn new(endpoint_url: &str) -> Result<Self, ConnectError> {
        let options =
            RemoteOptions { endpoint_url: Some(endpoint_url.to_owned()), region: None, anonymous_local: true };
        let config = session::load(&options).await?;
        let region = config.region().map_or_else(|| DEFAULT_REGION.to_owned(), ToString::to_string);
        let credentials = match config.credentials_provider() {
            Some(provider) => provider.provide_credentials().await.ok(),
            None => None,
        };
        Ok(Self { region, credentials })
    }

    /// The headers to add to a request; none where nothing is signed. `path` is as it is sent, with its query; `host` is
    /// what the `Host` header says.
    ///
    /// # Errors
    /// When that cannot be a request.
    pub fn sign(
        &self,
        service: &str,
        method: &str,
        host: &str,
        path: &str,
        body: &[u8],
    ) -> Result<Vec<(String, String)>, String> {
        let Some(credentials) = &self.credentials else { return Ok(Vec::new()) };
        let identity = credentials.clone().into();
        let params = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(service)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| error.to_string())?;
        let uri = format!("http://{host}{path}");
        let headers = [("host", host)].into_iter();
        let request =
            SignableRequest::new(method, uri, headers, SignableBody::Bytes(body)).map_err(|error| error.to_string())?;
        let (instructions, _) = sign(request, &params.into()).map_err(|error| error.to_string())?.into_parts();
        let (headers, _) = instructions.into_parts();
        Ok(headers.iter().map(|header| (header.name().to_owned(), header.value().to_owned())).collect())
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("region", &self.region).finish_non_exhaustive()
    }
}
