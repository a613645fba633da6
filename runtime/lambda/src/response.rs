//! Frames what the API answers: a mapping as Lambda shows it, and errors as its clients read them (lambda-api §1).

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::error::ApiError;
use crate::mapping::Mapping;
use crate::names::Identity;
use crate::request::{EVENT_COUNT, REPORT_BATCH_ITEM_FAILURES};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const XML: HeaderValue = HeaderValue::from_static("text/xml");
/// Seconds.
const SOON: HeaderValue = HeaderValue::from_static("1");
/// What AWS says of every transition of a mapping for SQS.
const TRANSITION_REASON: &str = "USER_INITIATED";

/// Whether filters are shown of a mapping that has a key for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    /// As `Get`, `Create`, `Update` and `Delete` show it.
    Whole,
    /// As `List` shows it: it decrypts nothing (esm-semantics §1).
    Listed,
}

/// A mapping: what AWS always shows, and what is set beyond it (esm-semantics §2). A member that is shown though nobody
/// set it is a difference to Terraform, for ever.
pub(crate) fn mapping(mapping: &Mapping, identity: &Identity, detail: Detail) -> Value {
    let settings = &mapping.configuration;
    let uuid = mapping.uuid.to_string();
    let response_types: &[&str] = match settings.report_batch_item_failures {
        true => &[REPORT_BATCH_ITEM_FAILURES],
        false => &[],
    };
    let mut shown = Map::new();
    let mut show = |name: &str, value: Value| {
        shown.insert(name.to_owned(), value);
    };
    show("UUID", json!(uuid));
    show("BatchSize", json!(settings.batch_size));
    show("MaximumBatchingWindowInSeconds", json!(settings.maximum_batching_window_in_seconds));
    show("EventSourceArn", json!(settings.event_source_arn));
    show("FunctionArn", json!(identity.function_arn(&settings.function)));
    // A number of seconds with a fraction; the ISO text that functions have breaks the Go and Java SDKs here.
    show("LastModified", json!(mapping.last_modified_ms as f64 / 1000.0));
    show("State", json!(mapping.state.as_str()));
    show("StateTransitionReason", json!(TRANSITION_REASON));
    show("FunctionResponseTypes", json!(response_types));
    show("EventSourceMappingArn", json!(identity.mapping_arn(&uuid)));
    let encrypted = settings.kms_key_arn.is_some() && detail == Detail::Listed;
    if !settings.filter_patterns.is_empty() && !encrypted {
        let filters: Vec<Value> = settings.filter_patterns.iter().map(|text| json!({"Pattern": text})).collect();
        show("FilterCriteria", json!({"Filters": filters}));
    }
    if let Some(maximum) = settings.maximum_concurrency {
        show("ScalingConfig", json!({"MaximumConcurrency": maximum}));
    }
    if let Some(pollers) = settings.provisioned_pollers {
        let (minimum, maximum) = (pollers.minimum, pollers.maximum);
        show("ProvisionedPollerConfig", json!({"MinimumPollers": minimum, "MaximumPollers": maximum}));
    }
    if let Some(key) = &settings.kms_key_arn {
        show("KMSKeyArn", json!(key));
    }
    if settings.count_events {
        show("MetricsConfig", json!({"Metrics": [EVENT_COUNT]}));
    }
    if let Some(problem) = &mapping.problem {
        show("LastProcessingResult", json!(format!("PROBLEM: {problem}")));
    }
    Value::Object(shown)
}

/// What an operation answers when it did what it was asked.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) body: Option<Bytes>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Reply {
    /// Without a body.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self { status, body: None, headers: Vec::new() }
    }

    #[expect(clippy::needless_pass_by_value, reason = "it is made for this")]
    pub(crate) fn json(status: StatusCode, body: Value) -> Self {
        Self::json_text(status, body.to_string().into())
    }

    /// With JSON that is written already.
    pub(crate) fn json_text(status: StatusCode, body: Bytes) -> Self {
        Self { status, body: Some(body), headers: vec![(CONTENT_TYPE, JSON)] }
    }
}

/// A successful answer.
pub(crate) fn success(reply: Reply, request_id: Uuid) -> Response<Bytes> {
    let mut response = Response::new(reply.body.unwrap_or_default());
    *response.status_mut() = reply.status;
    response.headers_mut().extend(reply.headers);
    stamp(&mut response, request_id);
    response
}

/// STS's answer: whoever asks is the account itself.
pub(crate) fn caller_identity(identity: &Identity, request_id: Uuid) -> Response<Bytes> {
    let account = &identity.account;
    let body = format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
         <Arn>arn:aws:iam::{account}:root</Arn><UserId>{account}</UserId><Account>{account}</Account>\
         </GetCallerIdentityResult><ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>\
         </GetCallerIdentityResponse>"
    );
    let headers = vec![(CONTENT_TYPE, XML)];
    success(Reply { status: StatusCode::OK, body: Some(body.into()), headers }, request_id)
}

/// An error.
pub(crate) fn error(error: &ApiError, request_id: Uuid) -> Response<Bytes> {
    let shape = error.shape();
    let mut body = Map::new();
    if let Some(kind) = shape.kind {
        body.insert("Type".to_owned(), json!(kind));
    }
    body.insert(shape.message_key.to_owned(), json!(error.to_string()));
    if let ApiError::Throttled { reason } = error {
        body.insert("Reason".to_owned(), json!(reason));
    }
    let mut response = Response::new(Value::Object(body).to_string().into());
    *response.status_mut() = shape.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, JSON);
    headers.insert(ERROR_TYPE, HeaderValue::from_static(shape.name));
    if matches!(error, ApiError::Throttled { .. }) {
        headers.insert(RETRY_AFTER, SOON);
    }
    stamp(&mut response, request_id);
    response
}

fn stamp(response: &mut Response<Bytes>, request_id: Uuid) {
    if let Ok(value) = HeaderValue::from_str(&request_id.to_string()) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
}
