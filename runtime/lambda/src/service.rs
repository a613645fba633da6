//! Lambda's HTTP API: a request in, a response out. The listener reads bodies, checks signatures and hands over what
//! [`claims`] says is Lambda's.

use std::collections::BTreeMap;

use bytes::Bytes;
use hyper::header::USER_AGENT;
use hyper::{HeaderMap, Method, Response, StatusCode};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::configuration::Configuration;
use crate::error::ApiError;
use crate::functions::{Functions, Request, downloads, invoke, upload};
use crate::mapping::Mapping;
use crate::members;
use crate::names::Identity;
use crate::operations::{self, Asked};
use crate::registry::{Registry, Wanted};
use crate::request;
use crate::response::{self, Detail, Reply};

/// Far above what a mapping or an alias can be set to: ten filters of 4 KiB, fifty tags.
const BODY_MAX_BYTES: usize = 1 << 20;
/// Room to read what is too large by a little, and to say by how much.
const EVENT_MAX_BYTES: usize = invoke::PAYLOAD_MAX_BYTES + (1 << 16);
const PAGE_DEFAULT: usize = 100;
const PAGE_MAX: u32 = 10_000;
const UUID_CHARACTERS: usize = 36;

/// Lambda's API over the mappings and functions of one registry.
#[derive(Debug, Clone)]
pub struct LambdaService {
    registry: Registry,
    identity: Identity,
}

/// Whether a path is Lambda's: `/20dd-dd-dd/…` (lambda-api §7).
#[must_use]
pub fn claims(path: &str) -> bool {
    let date = path.as_bytes().first_chunk::<12>();
    date.is_some_and(|date| {
        date.iter().zip(b"/20dd-dd-dd/").all(|(byte, form)| match form {
            b'd' => byte.is_ascii_digit(),
            other => byte == other,
        })
    })
}

type Answer = Result<Reply, ApiError>;

impl LambdaService {
    /// Puts the API over a registry; `identity` is what stands in its ARNs.
    #[must_use]
    pub fn new(registry: Registry, identity: Identity) -> Self {
        Self { registry, identity }
    }

    /// How long the body of a request may be: code comes in long ones, events in some that are shorter.
    #[must_use]
    pub fn body_max_bytes(&self, method: &Method, path: &str) -> usize {
        operations::find(method, path).map_or(BODY_MAX_BYTES, |asked| body_max_bytes(asked.operation))
    }

    /// The answer to a request whose body is longer than that.
    #[must_use]
    pub fn refuse_body(&self, method: &Method, path: &str) -> Response<Bytes> {
        let operation = operations::find(method, path).map_or("unknown", |asked| asked.operation);
        response::error(&body_too_large(operation), Uuid::new_v4())
    }

    /// Whether a request needs no signature: what it asks for is at an address that nobody can guess.
    #[must_use]
    pub fn is_open(&self, method: &Method, path: &str) -> bool {
        method == Method::GET && path.starts_with(downloads::PATH)
    }

    /// Who a caller is, as STS says it: tools ask that before they ask anything else.
    #[must_use]
    pub fn answer_form(&self, action: &str) -> Option<Response<Bytes>> {
        (action == "GetCallerIdentity").then(|| response::caller_identity(&self.identity, Uuid::new_v4()))
    }

    /// Answers one request. It may be dropped: a change that has begun is made all the same.
    pub async fn handle(
        &self,
        method: &Method,
        path_and_query: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Response<Bytes> {
        let request_id = Uuid::new_v4();
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        let asked = operations::find(method, path);
        let answer = match &asked {
            Some(asked) => self.answer(asked, query, headers, body, request_id).await,
            None if self.is_open(method, path) => self.download(path).await,
            None => Err(ApiError::UnknownOperation(format!("Lambda has no operation {method} {path}."))),
        };
        match answer {
            Ok(reply) => response::success(reply, request_id),
            Err(error) => {
                let operation = asked.as_ref().map_or("unknown", |asked| asked.operation);
                report(&error, operation, path, headers, request_id);
                response::error(&error, request_id)
            }
        }
    }

    async fn download(&self, path: &str) -> Answer {
        match self.registry.functions() {
            Some(functions) => functions.download(path).await,
            None => Err(ApiError::NothingThere),
        }
    }

    async fn answer(&self, asked: &Asked, query: &str, headers: &HeaderMap, body: Bytes, request_id: Uuid) -> Answer {
        let operation = asked.operation;
        if body.len() > body_max_bytes(operation) {
            return Err(body_too_large(operation));
        }
        match operation {
            "CreateEventSourceMapping" => self.create(&body).await,
            "ListEventSourceMappings" => self.list(query),
            "GetEventSourceMapping" => {
                let mapping = self.registry.get(mapping_uuid(asked.resource())?).ok_or(ApiError::NoSuchMapping)?;
                Ok(self.shown(StatusCode::OK, &mapping))
            }
            "UpdateEventSourceMapping" => {
                let uuid = mapping_uuid(asked.resource())?;
                let changes = request::update(&members::body(&body)?, &self.identity)?;
                let mapping = self.registry.update(uuid, changes).await?;
                Ok(self.shown(StatusCode::ACCEPTED, &mapping))
            }
            "DeleteEventSourceMapping" => {
                let mapping = self.registry.delete(mapping_uuid(asked.resource())?).await?;
                Ok(self.shown(StatusCode::ACCEPTED, &mapping))
            }
            "ListTags" => {
                let tags = match self.tagged(asked)? {
                    Tagged::Mapping(uuid) => self.registry.get(uuid).ok_or(ApiError::NoSuchMapping)?.configuration.tags,
                    Tagged::Function(functions, name) => functions.tags(&name)?,
                };
                Ok(Reply::json(StatusCode::OK, json!({"Tags": tags})))
            }
            "TagResource" => {
                let tagged = self.tagged(asked)?;
                let tags = request::tag_resource(&members::body(&body)?)?;
                self.tag(tagged, tags, Vec::new()).await
            }
            "UntagResource" => {
                let tagged = self.tagged(asked)?;
                self.tag(tagged, BTreeMap::new(), tag_keys(query)?).await
            }
            _ => {
                let functions = self.registry.functions().ok_or_else(|| not_yet(operation))?;
                let id = request_id.to_string();
                let request = Request { asked, query, headers, request_id: &id };
                functions.answer(&request, body).await.unwrap_or_else(|| Err(not_yet(operation)))
            }
        }
    }

    fn shown(&self, status: StatusCode, mapping: &Mapping) -> Reply {
        Reply::json(status, response::mapping(mapping, &self.identity, Detail::Whole))
    }

    async fn tag(&self, tagged: Tagged<'_>, add: BTreeMap<String, String>, remove: Vec<String>) -> Answer {
        match tagged {
            Tagged::Mapping(uuid) => self.registry.tag(uuid, add, remove).await?,
            Tagged::Function(functions, name) => functions.tag(name, add, remove).await?,
        }
        Ok(Reply::empty(StatusCode::NO_CONTENT))
    }

    async fn create(&self, body: &[u8]) -> Answer {
        let create = request::create(&members::body(body)?, &self.identity)?;
        let defaults = Configuration::new(create.event_source_arn, create.function);
        let mut configuration = create.changes.apply(&defaults);
        configuration.tags = create.tags;
        let mapping = self.registry.create(configuration).await?;
        Ok(self.shown(StatusCode::ACCEPTED, &mapping))
    }

    fn list(&self, query: &str) -> Answer {
        let mut wanted = Wanted { max: PAGE_DEFAULT, ..Wanted::default() };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "EventSourceArn" => {
                    request::listed_source(&value)?;
                    wanted.event_source_arn = Some(value.into_owned());
                }
                "FunctionName" => wanted.function = Some(request::named_function(&value, &self.identity)?),
                "Marker" => {
                    let marker = Uuid::try_parse(&value);
                    let invalid = |_| ApiError::InvalidParameter(format!("Invalid Marker: {value}"));
                    wanted.after = Some(marker.map_err(invalid)?);
                }
                "MaxItems" => wanted.max = max_items(&value)?.min(PAGE_DEFAULT),
                _ => {}
            }
        }
        let (mappings, more) = self.registry.list(&wanted);
        let shown: Vec<Value> =
            mappings.iter().map(|mapping| response::mapping(mapping, &self.identity, Detail::Listed)).collect();
        let mut body = Map::new();
        body.insert("EventSourceMappings".to_owned(), shown.into());
        if let Some(last) = mappings.last().filter(|_| more) {
            body.insert("NextMarker".to_owned(), json!(last.uuid.to_string()));
        }
        Ok(Reply::json(StatusCode::OK, Value::Object(body)))
    }

    /// Whose tags are meant.
    fn tagged(&self, asked: &Asked) -> Result<Tagged<'_>, ApiError> {
        let arn = asked.resource();
        let parts: Vec<&str> = arn.split(':').collect();
        match parts[..] {
            ["arn", _, "lambda", region, account, "event-source-mapping", uuid] => {
                let uuid = mapping_uuid(uuid)?;
                let ours = region == self.identity.region && account == self.identity.account;
                if ours { Ok(Tagged::Mapping(uuid)) } else { Err(ApiError::NoSuchMapping) }
            }
            ["arn", _, "lambda", _, _, "function", _, _] => Err(ApiError::QualifiedTags),
            ["arn", _, "lambda", _, _, "function", _] => {
                let functions = self.registry.functions().ok_or_else(|| not_yet(asked.operation))?;
                Ok(Tagged::Function(functions, request::named_function(arn, &self.identity)?.name))
            }
            _ => {
                let constraint = "Member must be the ARN of a function or an event source mapping";
                let problem = format!("Value '{arn}' at 'resource' failed to satisfy constraint: {constraint}");
                Err(ApiError::Validation(vec![problem]))
            }
        }
    }
}

/// Whose tags they are.
enum Tagged<'a> {
    Mapping(Uuid),
    Function(&'a Functions, String),
}

fn body_max_bytes(operation: &str) -> usize {
    match operation {
        "CreateFunction" | "UpdateFunctionCode" => upload::REQUEST_MAX_BYTES,
        "Invoke" => EVENT_MAX_BYTES,
        _ => BODY_MAX_BYTES,
    }
}

fn body_too_large(operation: &'static str) -> ApiError {
    match operation {
        "Invoke" => ApiError::PayloadTooLarge { text: invoke::TOO_LARGE.to_owned() },
        operation => ApiError::BodyTooLarge { max_bytes: body_max_bytes(operation), operation },
    }
}

fn not_yet(operation: &str) -> ApiError {
    let text = "is not available: functions, versions, aliases, their tags, permits and policies, Invoke and event \
                source mappings are.";
    ApiError::UnknownOperation(format!("Lambda's operation {operation} {text}"))
}

/// The UUID in a path or an ARN.
fn mapping_uuid(text: &str) -> Result<Uuid, ApiError> {
    let length = text.chars().count();
    if length != UUID_CHARACTERS {
        let (bound, order) = if length < UUID_CHARACTERS { ("greater", "than") } else { ("less", "than") };
        let constraint = format!("Member must have length {bound} {order} or equal to {UUID_CHARACTERS}");
        let problem = format!("Value '{text}' at 'uUID' failed to satisfy constraint: {constraint}");
        return Err(ApiError::Validation(vec![problem]));
    }
    Uuid::try_parse(text).map_err(|_| ApiError::NoSuchMapping)
}

fn max_items(text: &str) -> Result<usize, ApiError> {
    let mut given = Map::new();
    let number: Result<i64, _> = text.parse();
    given.insert("MaxItems".to_owned(), number.map_or_else(|_| json!(text), |number| json!(number)));
    let mut members = members::Members::new(&given);
    let max = members.integer("MaxItems", 1, PAGE_MAX)?;
    members.finish()?;
    Ok(max.map_or(PAGE_DEFAULT, |max| max as usize))
}

fn tag_keys(query: &str) -> Result<Vec<String>, ApiError> {
    let pairs = form_urlencoded::parse(query.as_bytes());
    let keys: Vec<String> = pairs.filter(|(name, _)| name == "tagKeys").map(|(_, key)| key.into_owned()).collect();
    if keys.is_empty() {
        let problem = "Value null at 'tagKeys' failed to satisfy constraint: Member must not be null";
        return Err(ApiError::Validation(vec![problem.to_owned()]));
    }
    Ok(keys)
}

/// An operation that is not there is worth a line that people see: it says which tool wants what.
fn report(error: &ApiError, operation: &str, path: &str, headers: &HeaderMap, request_id: Uuid) {
    let reason = error.to_string();
    match error {
        ApiError::UnknownOperation(_) => {
            let client = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or("an unnamed client");
            tracing::warn!(operation, path, client, "a Lambda operation was asked for that is not available");
        }
        ApiError::NotPersisted(_) | ApiError::Internal => {
            tracing::error!(operation, path, %request_id, reason, "Lambda request failed");
        }
        _ => tracing::debug!(operation, path, %request_id, reason, "Lambda request refused"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_that_begin_with_a_date_are_lambdas() {
        for path in ["/2015-03-31/functions", "/2017-03-31/tags/x", "/2031-01-01/"] {
            assert!(claims(path), "{path}");
        }
        for path in ["/", "", "/000000000000/orders", "/2015-03-31", "/2015-3-31/x", "/1999-03-31/x", "/2015_03_31/x"] {
            assert!(!claims(path), "{path}");
        }
    }
}
