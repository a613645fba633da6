//! Who may use the AWS listener: when access keys are configured, every request must carry an AWS Signature Version 4
//! made with one of them. Without keys none of this runs.
//!
//! `claim` reads what a request says of its signature, `stamp` its time; here the claim is judged, in AWS's order, so that
//! the first thing wrong is what AWS would name first. The signature itself comes from AWS's own signer (`aws-sigv4`), used
//! in reverse: what was received is signed again with the secret we know, and the results are compared. So what SDKs sign
//! and what is checked here cannot drift apart. Deliberately absent: session tokens (nothing here issues them) and
//! permissions (who holds a key may do everything).

mod claim;
mod stamp;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use aws_sdk_sqs::config::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use axum::http::request::Parts;
use axum::http::{HeaderName, header};
use subtle::ConstantTimeEq;

use crate::auth::claim::{Claim, TERMINATOR, X_AMZ_DATE};
use crate::auth::stamp::Stamp;
use crate::error::ActionError;

/// The service that a signature must be for.
const SERVICE: &str = "sqs";
/// How far a client's clock may be off, either way.
const SKEW_MAX: Duration = Duration::from_secs(15 * 60);
/// The longest path and query that is signed again. The signer takes 64 KiB of canonical text, in which each byte may
/// become three.
const URI_MAX_BYTES: usize = 16 << 10;
const X_AMZ_CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const X_AMZ_SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
const X_AMZ_TARGET: HeaderName = HeaderName::from_static("x-amz-target");
const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

const MISMATCH: &str = "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
                        Access Key and signing method. Consult the service documentation for details.";

/// An access key that clients may sign with. Its secret never prints.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKey {
    id: String,
    secret: String,
}

impl AccessKey {
    /// Puts the two halves together.
    ///
    /// # Errors
    /// When no client could sign with them.
    pub fn new(id: &str, secret: &str) -> Result<Self, NotAnAccessKey> {
        let fits_a_credential = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        if id.is_empty() || id.len() > ID_MAX_BYTES || !id.bytes().all(fits_a_credential) {
            return Err(NotAnAccessKey::Id);
        }
        if secret.is_empty() || secret.len() > SECRET_MAX_BYTES || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(NotAnAccessKey::Secret);
        }
        Ok(Self { id: id.to_owned(), secret: secret.to_owned() })
    }

    /// The public half.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKey").field("id", &self.id).finish_non_exhaustive()
    }
}

const ID_MAX_BYTES: usize = 128;
const SECRET_MAX_BYTES: usize = 256;

/// Which half of an access key can never work. The value is not repeated: it may be the secret in the wrong place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAnAccessKey {
    /// The public half.
    #[error("an access key id has 1–128 letters, digits, underscores, hyphens or periods")]
    Id,
    /// The secret half.
    #[error("a secret access key has 1–256 printable ASCII characters and no space")]
    Secret,
}

/// Why a request may not do what it asks: AWS's kinds, with AWS's texts where they are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is not signed.
    MissingToken,
    /// What it says of its signature cannot be read.
    Incomplete(String),
    /// Nobody here knows this access key.
    UnknownKey,
    /// Too old, too new, for something else, or not made with the secret of that key over this request.
    DoesNotMatch(Cow<'static, str>),
}

impl Refusal {
    /// What the client reads.
    pub(crate) fn text(&self) -> Cow<'static, str> {
        match self {
            Self::MissingToken => "Request is missing Authentication Token".into(),
            Self::Incomplete(text) => text.clone().into(),
            Self::UnknownKey => "The security token included in the request is invalid.".into(),
            Self::DoesNotMatch(text) => text.clone(),
        }
    }
}

impl From<Refusal> for ActionError {
    fn from(refusal: Refusal) -> Self {
        Self::NotSigned(refusal)
    }
}

/// The check that stands before every action.
#[derive(Debug)]
pub(crate) struct Guard {
    secrets: BTreeMap<String, Credentials>,
    region: String,
    service: &'static str,
}

impl Guard {
    /// None without keys: then nothing is asked.
    pub(crate) fn new(keys: &[AccessKey], region: &str) -> Option<Self> {
        let credentials = |key: &AccessKey| Credentials::new(&key.id, &key.secret, None, None, "wasmill");
        let secrets: BTreeMap<_, _> = keys.iter().map(|key| (key.id.clone(), credentials(key))).collect();
        (!secrets.is_empty()).then(|| Self { secrets, region: region.to_owned(), service: SERVICE })
    }

    /// Judges a request by the machine's own clock. The queues' clock never goes back, so it would keep refusing
    /// signatures after a clock that was ahead has been set right. Gives the id of the key that it was signed with.
    pub(crate) fn check(&self, parts: &Parts, body: &[u8]) -> Result<&str, Refusal> {
        self.check_at(SystemTime::now(), self.service, parts, body)
    }

    /// The same for another service on this listener.
    pub(crate) fn check_for(&self, service: &str, parts: &Parts, body: &[u8]) -> Result<&str, Refusal> {
        self.check_at(SystemTime::now(), service, parts, body)
    }

    fn check_at(&self, now: SystemTime, service: &str, parts: &Parts, body: &[u8]) -> Result<&str, Refusal> {
        let claim = Claim::read(parts)?;
        check_time(&claim, now)?;
        check_signed_headers(&claim, parts)?;
        let access_key_id = self.check_scope(service, &claim)?;
        let (id, credentials) = self.secrets.get_key_value(access_key_id).ok_or(Refusal::UnknownKey)?;
        // Keys here are long-term ones: AWS, too, knows no token that goes with such a key.
        if claim.has_session_token || parts.headers.contains_key(X_AMZ_SECURITY_TOKEN) {
            return Err(Refusal::UnknownKey);
        }
        let expected =
            self.sign(service, credentials, &claim, parts, body).ok_or(Refusal::DoesNotMatch(MISMATCH.into()))?;
        let is_equal: bool = expected.as_bytes().ct_eq(claim.signature.as_bytes()).into();
        if is_equal { Ok(id) } else { Err(Refusal::DoesNotMatch(MISMATCH.into())) }
    }

    /// The credential must be for this service and region, and for the day of the stamp. Gives its access key id.
    fn check_scope<'c>(&self, wanted: &str, claim: &'c Claim<'_>) -> Result<&'c str, Refusal> {
        let parts: Vec<&str> = claim.credential.split('/').collect();
        let [access_key_id, date, region, service, terminator] = parts[..] else {
            return Err(Refusal::Incomplete(format!(
                "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '{}'",
                claim.credential
            )));
        };
        let mut wrong = Vec::new();
        if region != self.region {
            wrong.push(format!(
                "Credential should be scoped to a valid region, not '{region}': this endpoint's is '{}'.",
                self.region
            ));
        }
        if service != wanted {
            wrong.push(format!("Credential should be scoped to correct service: '{wanted}'."));
        }
        if terminator != TERMINATOR {
            wrong.push(format!(
                "Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{terminator}'."
            ));
        }
        if date != claim.stamp.day() {
            wrong.push(format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{date}' != \
                 '{}', from '{}'.",
                claim.stamp.day(),
                claim.stamp
            ));
        }
        if wrong.is_empty() { Ok(access_key_id) } else { Err(Refusal::DoesNotMatch(wrong.join(" ").into())) }
    }

    /// The signature that this request should have. None when it has something that nobody can have signed.
    fn sign(
        &self,
        service: &str,
        credentials: &Credentials,
        claim: &Claim<'_>,
        parts: &Parts,
        body: &[u8],
    ) -> Option<String> {
        let uri = claim.uri.as_ref();
        if uri.len() > URI_MAX_BYTES {
            return None;
        }
        let mut headers = Vec::with_capacity(parts.headers.len());
        for (name, value) in &parts.headers {
            if claim.signs(name.as_str()) {
                headers.push((name.as_str(), value.to_str().ok()?));
            }
        }
        if !parts.headers.contains_key(header::HOST) {
            headers.push((header::HOST.as_str(), parts.uri.authority()?.as_str()));
        }
        // The signer leaves out what is not there; who signed it had it.
        if claim.signed_names().any(|name| headers.iter().all(|(found, _)| *found != name)) {
            return None;
        }
        let is_unsigned = claim.payload_hash.as_deref() == Some(UNSIGNED_PAYLOAD)
            || parts.headers.get(X_AMZ_CONTENT_SHA256).is_some_and(|value| value == UNSIGNED_PAYLOAD);
        let payload = if is_unsigned { SignableBody::UnsignedPayload } else { SignableBody::Bytes(body) };
        let request = SignableRequest::new(parts.method.as_str(), uri, headers.into_iter(), payload).ok()?;

        // A presigned URL is signed as if it were a plain one: its parameters are in the query already. What the signer
        // adds of its own, the date's header, counts only where the client signed it, too.
        let mut settings = SigningSettings::default();
        let unsigned = (!claim.signs(X_AMZ_DATE)).then_some(Cow::Borrowed(X_AMZ_DATE));
        settings.excluded_headers = Some(unsigned.into_iter().collect());
        let identity = credentials.clone().into();
        let params = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(service)
            .time(claim.stamp.time())
            .settings(settings)
            .build()
            .ok()?;
        let (_, signature) = sign(request, &params.into()).ok()?.into_parts();
        Some(signature)
    }
}

/// A signature counts for the skew around its stamp; a presigned URL from its stamp (less the skew) until it expires.
fn check_time(claim: &Claim<'_>, now: SystemTime) -> Result<(), Refusal> {
    let (stamp, allowed) = (&claim.stamp, claim.valid_for.unwrap_or(SKEW_MAX));
    let minutes = |duration: Duration| duration.as_secs() / 60;
    let (earliest, latest) = (now.checked_sub(allowed), now.checked_add(SKEW_MAX));
    if earliest.is_some_and(|earliest| stamp.time() < earliest) {
        let (earliest, now) = (Stamp::of(now - allowed), Stamp::of(now));
        let text =
            format!("Signature expired: {stamp} is now earlier than {earliest} ({now} - {} min.)", minutes(allowed));
        return Err(Refusal::DoesNotMatch(text.into()));
    }
    if latest.is_none_or(|latest| stamp.time() > latest) {
        let (latest, now) = (Stamp::of(now + SKEW_MAX), Stamp::of(now));
        let text = format!(
            "Signature not yet current: {stamp} is still later than {latest} ({now} + {} min.)",
            minutes(SKEW_MAX)
        );
        return Err(Refusal::DoesNotMatch(text.into()));
    }
    Ok(())
}

/// The host must be signed, and so must the header that says what to do: else who sees one request pass could have the
/// queue deleted with its signature.
fn check_signed_headers(claim: &Claim<'_>, parts: &Parts) -> Result<(), Refusal> {
    if !claim.signs(header::HOST.as_str()) {
        return Err(Refusal::DoesNotMatch("'Host' must be a 'SignedHeader' in the AWS Authorization.".into()));
    }
    if parts.headers.contains_key(X_AMZ_TARGET) && !claim.signs(X_AMZ_TARGET.as_str()) {
        return Err(Refusal::DoesNotMatch("'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization.".into()));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
