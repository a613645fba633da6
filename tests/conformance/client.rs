//! One client for both protocols: an action and its members in JSON's shape go in, and the answer in JSON's shape, or
//! the refusal, comes out. Every answer's framing is checked on the way, so each rule that runs proves it again.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Value, json};
use support::http::{Answer, exchange};
use support::{Home, Wasmill};
use tokio::sync::Mutex;

use crate::errors::Kind;
use crate::{query, xml};

const JSON: &str = "application/x-amz-json-1.0";
const FORM: &str = "application/x-www-form-urlencoded";
const NAMESPACE: &str = "xmlns=\"http://queue.amazonaws.com/doc/2012-11-05/\"";

/// How a request is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Json,
    Query,
}

/// A server, spoken to in one protocol.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    pub(crate) protocol: Protocol,
    pub(crate) address: SocketAddr,
    /// Lives as long as a test uses it.
    _server: Option<Arc<Wasmill>>,
}

/// An action that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// JSON's `__type` after the namespace; the query protocol does not tell it.
    pub(crate) shape: Option<String>,
    pub(crate) code: String,
    pub(crate) status: u16,
    /// `Sender` or `Receiver`.
    pub(crate) fault: String,
    pub(crate) message: String,
}

impl Refused {
    /// What of `kind` it is not; none if it is of that kind, and the sender's fault as all of SQS's own errors are.
    pub(crate) fn differs_from(&self, kind: Kind) -> Option<String> {
        let same_shape = self.shape.as_deref().is_none_or(|shape| shape == kind.shape);
        let same = same_shape && self.code == kind.code && self.status == kind.status && self.fault == "Sender";
        (!same).then(|| format!("expected {kind:?}, came {self:?}"))
    }

    #[track_caller]
    pub(crate) fn assert_is(&self, kind: Kind, message: &str) {
        if let Some(difference) = self.differs_from(kind) {
            panic!("{difference}");
        }
        assert_eq!(self.message, message);
    }

    /// For errors whose text is ours to choose.
    #[track_caller]
    pub(crate) fn assert_kind(&self, kind: Kind) {
        if let Some(difference) = self.differs_from(kind) {
            panic!("{difference}");
        }
    }
}

impl Api {
    pub(crate) fn at(protocol: Protocol, address: SocketAddr) -> Self {
        Self { protocol, address, _server: None }
    }

    /// Does an action, posted to `/`.
    pub(crate) async fn call(&self, action: &str, members: &Value) -> Result<Value, Refused> {
        self.call_at("/", action, members).await
    }

    /// Does an action, posted to a path.
    pub(crate) async fn call_at(&self, path: &str, action: &str, members: &Value) -> Result<Value, Refused> {
        match self.protocol {
            Protocol::Json => {
                let target = format!("AmazonSQS.{action}");
                let headers = [("content-type", JSON), ("x-amz-target", &target), ("x-amzn-query-mode", "true")];
                let body = members.to_string();
                read_json(&exchange(self.address, "POST", path, &headers, body.as_bytes()).await.unwrap())
            }
            Protocol::Query => {
                let form = query::form(action, members);
                let headers = [("content-type", FORM)];
                read_query(action, &exchange(self.address, "POST", path, &headers, form.as_bytes()).await.unwrap())
            }
        }
    }

    /// Does an action that succeeds.
    pub(crate) async fn ok(&self, action: &str, members: &Value) -> Value {
        match self.call(action, members).await {
            Ok(result) => result,
            Err(refused) => panic!("{action} {} was refused: {refused:?}", shown(members)),
        }
    }

    /// Asks for an action that is refused.
    pub(crate) async fn refused(&self, action: &str, members: &Value) -> Refused {
        match self.call(action, members).await {
            Ok(result) => panic!("{action} {} was not refused: {result}", shown(members)),
            Err(refused) => refused,
        }
    }
}

/// The beginning of what was asked, for a failure.
pub(crate) fn shown(members: &Value) -> String {
    members.to_string().chars().take(300).collect()
}

fn read_json(answer: &Answer) -> Result<Value, Refused> {
    assert_eq!(answer.header("content-type"), JSON, "{}", answer.body);
    assert_ne!(answer.header("x-amzn-requestid"), "", "every answer has a request id");
    if answer.status == 200 {
        assert_eq!(answer.header("x-amzn-query-error"), "");
        return Ok(if answer.body.is_empty() { json!({}) } else { serde_json::from_str(&answer.body).unwrap() });
    }
    let body = answer.json();
    let shape = body["__type"].as_str().unwrap_or_default().strip_prefix("com.amazonaws.sqs#");
    let shape = shape.unwrap_or_else(|| panic!("no shape of SQS's: {}", answer.body)).to_owned();
    // botocore takes the code from here only if there are exactly two parts (sqs-semantics §1.1).
    let parts: Vec<&str> = answer.header("x-amzn-query-error").split(';').collect();
    let [code, fault] = parts[..] else { panic!("x-amzn-query-error: {parts:?}") };
    Err(Refused {
        shape: Some(shape),
        code: code.to_owned(),
        status: answer.status,
        fault: fault.to_owned(),
        message: body["message"].as_str().unwrap_or_default().to_owned(),
    })
}

fn read_query(action: &str, answer: &Answer) -> Result<Value, Refused> {
    assert!(answer.header("content-type").starts_with("text/xml"), "{answer:?}");
    assert_ne!(answer.header("x-amzn-requestid"), "", "every answer has a request id");
    let root = xml::parse(&answer.body).unwrap_or_else(|problem| panic!("{problem} in {}", answer.body));
    assert_eq!(root.attributes, NAMESPACE, "{}", answer.body);
    if answer.status == 200 {
        assert_eq!(root.name, format!("{action}Response"));
        let metadata = root.child("ResponseMetadata").unwrap_or_else(|| panic!("no metadata: {}", answer.body));
        assert_ne!(metadata.text_of("RequestId"), "");
        return Ok(root.child(&format!("{action}Result")).map_or_else(|| json!({}), query::result));
    }
    assert_eq!(root.name, "ErrorResponse");
    assert_ne!(root.text_of("RequestId"), "");
    let error = root.child("Error").unwrap_or_else(|| panic!("no error: {}", answer.body));
    // botocore shows it as `Detail: null` (sqs-semantics §1.2).
    assert!(error.child("Detail").is_some_and(|detail| detail.text.is_empty()), "{}", answer.body);
    Err(Refused {
        shape: None,
        code: error.text_of("Code").to_owned(),
        status: answer.status,
        fault: error.text_of("Type").to_owned(),
        message: error.text_of("Message").to_owned(),
    })
}

/// Runs a test over both protocols at once, against the server that all tests of this binary share.
pub(crate) async fn each(test: impl AsyncFn(Api)) {
    let server = shared().await;
    let api = |protocol| Api { protocol, address: server.sqs_address(), _server: Some(Arc::clone(&server)) };
    tokio::join!(named(Protocol::Json, test(api(Protocol::Json))), named(Protocol::Query, test(api(Protocol::Query))),);
}

/// A test of what only one protocol has.
pub(crate) async fn only(protocol: Protocol, test: impl AsyncFnOnce(Api)) {
    let server = shared().await;
    let api = Api { protocol, address: server.sqs_address(), _server: Some(Arc::clone(&server)) };
    named(protocol, test(api)).await;
}

/// The queue in memory, started by the first test that wants it and gone with the last that has it.
async fn shared() -> Arc<Wasmill> {
    static SERVER: Mutex<std::sync::Weak<Wasmill>> = Mutex::const_new(std::sync::Weak::new());
    let mut server = SERVER.lock().await;
    if let Some(running) = server.upgrade() {
        return running;
    }
    let started = Arc::new(Home::new().serve(&["--in-memory", "--listen", "127.0.0.1:0"]).await);
    *server = Arc::downgrade(&started);
    started
}

/// Says with a failure in which protocol it was.
async fn named<T>(protocol: Protocol, test: impl Future<Output = T>) -> T {
    struct Name(Protocol);
    impl Drop for Name {
        fn drop(&mut self) {
            if std::thread::panicking() {
                #[expect(clippy::print_stderr, reason = "shown with the failed test")]
                {
                    eprintln!("this was over {:?}", self.0);
                }
            }
        }
    }
    let mut test = Box::pin(test);
    std::future::poll_fn(move |context| {
        let _name = Name(protocol);
        test.as_mut().poll(context)
    })
    .await
}
