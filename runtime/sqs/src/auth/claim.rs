//! What a request says of its own signature, in the `Authorization` header or in the query of a presigned URL. Nothing
//! is believed here, only read.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

use crate::auth::Refusal;
use crate::auth::stamp::Stamp;

pub(super) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
pub(super) const TERMINATOR: &str = "aws4_request";
pub(super) const X_AMZ_DATE: &str = "x-amz-date";
/// A week: the longest that a presigned URL may be good for.
const EXPIRES_MAX_SECONDS: u64 = 7 * 24 * 60 * 60;

/// A signature, and what it is said to be made of.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    /// `KEYID/DATE/REGION/SERVICE/aws4_request`, not taken apart yet.
    pub(super) credential: Cow<'a, str>,
    signed_headers: Cow<'a, str>,
    pub(super) signature: Cow<'a, str>,
    pub(super) stamp: Stamp,
    /// Of a presigned URL.
    pub(super) valid_for: Option<Duration>,
    /// What a presigned URL says to be the payload's hash.
    pub(super) payload_hash: Option<Cow<'a, str>>,
    pub(super) has_session_token: bool,
    /// Path and query, without the signature.
    pub(super) uri: Cow<'a, str>,
}

impl<'a> Claim<'a> {
    /// The header wins where there are both.
    pub(super) fn read(parts: &'a Parts) -> Result<Self, Refusal> {
        if let Some(header) = parts.headers.get(header::AUTHORIZATION) {
            return Self::of_header(header.to_str().unwrap_or_default(), parts);
        }
        match parts.uri.query() {
            Some(query) => Self::of_query(query, parts.uri.path()),
            None => Err(Refusal::MissingToken),
        }
    }

    /// True for a header that the signature covers; `name` in lower case.
    pub(super) fn signs(&self, name: &str) -> bool {
        self.signed_names().any(|signed| signed == name)
    }

    /// The names of the headers that the signature covers; one that is not in lower case covers none.
    pub(super) fn signed_names(&self) -> impl Iterator<Item = &str> {
        self.signed_headers.split(';')
    }

    fn of_header(text: &'a str, parts: &'a Parts) -> Result<Self, Refusal> {
        if !text.starts_with("AWS4-") {
            return Err(Refusal::MissingToken);
        }
        let (algorithm, rest) = text.split_once(' ').unwrap_or((text, ""));
        let fields = || rest.split([',', ' ']).filter(|field| !field.is_empty());
        if let Some(field) = fields().find(|field| !field.contains('=')) {
            let what =
                format!("'{field}' not a valid key=value pair (missing equal-sign) in Authorization header: '{text}'.");
            return Err(Refusal::Incomplete(what));
        }
        let field = |name: &str| fields().filter_map(|field| field.split_once('=')).find(|(key, _)| *key == name);
        let value = |name: &str| field(name).map(|(_, value)| value).filter(|value| !value.is_empty());
        let found = (value("Credential"), value("Signature"), value("SignedHeaders"), date(&parts.headers));
        let (Some(credential), Some(signature), Some(signed_headers), Some(date)) = found else {
            let mut missing = String::new();
            for name in ["Credential", "Signature", "SignedHeaders"].iter().filter(|name| value(name).is_none()) {
                missing.push_str(&format!("Authorization header requires '{name}' parameter. "));
            }
            if date(&parts.headers).is_none() {
                missing
                    .push_str("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ");
            }
            return Err(Refusal::Incomplete(format!("{missing}Authorization={text}")));
        };
        let stamp = read_stamp(date)?;
        check_algorithm(algorithm)?;
        let path_and_query = parts.uri.path_and_query().map_or("/", |both| both.as_str());
        Ok(Self {
            credential: credential.into(),
            signed_headers: signed_headers.into(),
            signature: signature.into(),
            stamp,
            valid_for: None,
            payload_hash: None,
            has_session_token: false,
            uri: path_and_query.into(),
        })
    }

    fn of_query(query: &'a str, path: &str) -> Result<Self, Refusal> {
        let mut found = Presigned::default();
        let mut uri = format!("{path}?");
        for pair in query.split('&') {
            let Some((name, value)) = form_urlencoded::parse(pair.as_bytes()).next() else { continue };
            let is_signature = name == "X-Amz-Signature";
            if let Some(place) = found.place(&name) {
                // A second one stays in what is signed and has no other meaning.
                place.get_or_insert(value);
            }
            if !is_signature {
                let joint = if uri.ends_with('?') { "" } else { "&" };
                uri.push_str(joint);
                uri.push_str(pair);
            }
        }
        found.claim(uri)
    }
}

/// The parameters of a presigned URL.
#[derive(Debug, Default)]
struct Presigned<'a> {
    algorithm: Option<Cow<'a, str>>,
    credential: Option<Cow<'a, str>>,
    signature: Option<Cow<'a, str>>,
    signed_headers: Option<Cow<'a, str>>,
    date: Option<Cow<'a, str>>,
    expires: Option<Cow<'a, str>>,
    payload_hash: Option<Cow<'a, str>>,
    session_token: Option<Cow<'a, str>>,
}

impl<'a> Presigned<'a> {
    fn place(&mut self, name: &str) -> Option<&mut Option<Cow<'a, str>>> {
        Some(match name {
            "X-Amz-Algorithm" => &mut self.algorithm,
            "X-Amz-Credential" => &mut self.credential,
            "X-Amz-Signature" => &mut self.signature,
            "X-Amz-SignedHeaders" => &mut self.signed_headers,
            "X-Amz-Date" => &mut self.date,
            "X-Amz-Expires" => &mut self.expires,
            "X-Amz-Content-Sha256" => &mut self.payload_hash,
            "X-Amz-Security-Token" => &mut self.session_token,
            _ => return None,
        })
    }

    fn claim(self, uri: String) -> Result<Claim<'a>, Refusal> {
        let required = [
            ("X-Amz-Algorithm", &self.algorithm),
            ("X-Amz-Credential", &self.credential),
            ("X-Amz-Signature", &self.signature),
            ("X-Amz-SignedHeaders", &self.signed_headers),
            ("X-Amz-Date", &self.date),
            ("X-Amz-Expires", &self.expires),
        ];
        let required_len = required.len();
        let missing: Vec<&str> = required.iter().filter(|(_, value)| value.is_none()).map(|(name, _)| *name).collect();
        let all = (self.algorithm, self.credential, self.signature, self.signed_headers, self.date, self.expires);
        let (Some(algorithm), Some(credential), Some(signature), Some(signed_headers), Some(date), Some(expires)) = all
        else {
            // Without any of them it is no presigned URL.
            if missing.len() == required_len {
                return Err(Refusal::MissingToken);
            }
            let mut what = String::new();
            for name in missing {
                what.push_str(&format!("AWS query-string parameters must include '{name}'. "));
            }
            what.push_str("Re-examine the query-string parameters.");
            return Err(Refusal::Incomplete(what));
        };
        let stamp = read_stamp(&date)?;
        check_algorithm(&algorithm)?;
        Ok(Claim {
            credential,
            signed_headers,
            signature,
            stamp,
            valid_for: Some(read_expires(&expires)?),
            payload_hash: self.payload_hash,
            has_session_token: self.session_token.is_some(),
            uri: uri.into(),
        })
    }
}

fn date(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(X_AMZ_DATE).or_else(|| headers.get(header::DATE))?;
    Some(value.to_str().unwrap_or_default())
}

fn read_stamp(text: &str) -> Result<Stamp, Refusal> {
    Stamp::parse(text).ok_or_else(|| {
        Refusal::Incomplete(format!(
            "Date must be in ISO-8601 'basic format'. Got '{text}'. See http://en.wikipedia.org/wiki/ISO_8601"
        ))
    })
}

fn check_algorithm(algorithm: &str) -> Result<(), Refusal> {
    if algorithm == ALGORITHM {
        return Ok(());
    }
    Err(Refusal::Incomplete(format!("Unsupported AWS 'algorithm': '{algorithm}' (only {ALGORITHM} for now).")))
}

fn read_expires(text: &str) -> Result<Duration, Refusal> {
    match text.parse::<u64>() {
        Ok(seconds) if (1..=EXPIRES_MAX_SECONDS).contains(&seconds) => Ok(Duration::from_secs(seconds)),
        _ => Err(Refusal::Incomplete(format!(
            "X-Amz-Expires must be a number of seconds from 1 to {EXPIRES_MAX_SECONDS} (a week). Got '{text}'."
        ))),
    }
}
