//! A listener that asks for signatures: who gets in, and what the others are told.

use std::time::{Duration, SystemTime};

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SignatureLocation, SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4::SigningParams;
use wasmill_sqs::{AccessKey, SqsOptions};

use crate::http::{Answer, Connection};
use crate::support::{Server, broker};
use crate::{code_and_text, create};

const KEY_ID: &str = "AKIAWASMILLTEST";
const SECRET: &str = "a secret/that+nobody=knows";
const TARGET: &str = "AmazonSQS.SendMessage";
const BODY: &str = r#"{"QueueUrl":"orders","MessageBody":"x"}"#;
const MISMATCH: &str = "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
                        Access Key and signing method. Consult the service documentation for details.";

fn secret() -> String {
    SECRET.replace(' ', "_")
}

async fn guarded() -> Server {
    let access_keys = vec![AccessKey::new("AKIAOTHER", "other").unwrap(), AccessKey::new(KEY_ID, &secret()).unwrap()];
    Server::start(broker(None).await, SqsOptions { access_keys, ..SqsOptions::default() }).await
}

fn client(server: &Server, key_id: &str, secret: &str, token: Option<&str>, region: &'static str) -> Client {
    let credentials = Credentials::new(key_id, secret, token.map(str::to_owned), None, "test");
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region))
        .credentials_provider(credentials)
        .endpoint_url(format!("http://{}", server.address));
    Client::from_conf(config.build())
}

#[tokio::test]
async fn the_sdk_gets_in_with_the_key_and_not_without() {
    let server = guarded().await;
    let ours = client(&server, KEY_ID, &secret(), None, "us-east-1");
    let url = create(&ours, "orders").await;
    ours.send_message().queue_url(&url).message_body("größe ✓").send().await.unwrap();
    let other = client(&server, "AKIAOTHER", "other", None, "us-east-1");
    let received = other.receive_message().queue_url(&url).send().await.unwrap();
    assert_eq!(received.messages()[0].body(), Some("größe ✓"));

    for (key_id, secret, token, region, code, text) in [
        (KEY_ID, "wrong", None, "us-east-1", "SignatureDoesNotMatch", MISMATCH),
        (KEY_ID, "other", None, "us-east-1", "SignatureDoesNotMatch", MISMATCH),
        (
            "AKIANOBODY",
            SECRET,
            None,
            "us-east-1",
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
        ),
        (
            KEY_ID,
            &secret(),
            Some("a-token"),
            "us-east-1",
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
        ),
        (
            KEY_ID,
            &secret(),
            None,
            "eu-west-1",
            "SignatureDoesNotMatch",
            "Credential should be scoped to a valid region, not 'eu-west-1': this endpoint's is 'us-east-1'.",
        ),
    ] {
        let refused = client(&server, key_id, secret, token, region).purge_queue().queue_url(&url).send().await;
        assert_eq!(code_and_text(refused), (code.to_owned(), text.to_owned()));
    }
    server.stop().await;
}

/// Names and values.
type Pairs = Vec<(String, String)>;

/// One request as a client would sign it, to be sent otherwise.
struct Signing<'a> {
    method: &'a str,
    path: &'a str,
    headers: Vec<(&'a str, &'a str)>,
    payload: SignableBody<'a>,
    time: SystemTime,
    /// Of a presigned URL.
    expires_in: Option<Duration>,
}

impl<'a> Signing<'a> {
    fn send(host: &'a str) -> Self {
        let headers = vec![("host", host), ("x-amz-target", TARGET), ("content-type", "application/x-amz-json-1.0")];
        let payload = SignableBody::Bytes(BODY.as_bytes());
        Self { method: "POST", path: "/", headers, payload, time: SystemTime::now(), expires_in: None }
    }

    /// The headers to add, and the parameters.
    fn sign(&self) -> (Pairs, Pairs) {
        let mut settings = SigningSettings::default();
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Enabled;
        if self.expires_in.is_some() {
            settings.signature_location = SignatureLocation::QueryParams;
            settings.expires_in = self.expires_in;
        }
        let identity = Credentials::new(KEY_ID, secret(), None, None, "test").into();
        let params = SigningParams::builder().identity(&identity).region("us-east-1").name("sqs").time(self.time);
        let params = params.settings(settings).build().unwrap().into();
        let headers = self.headers.iter().copied();
        let request = SignableRequest::new(self.method, self.path, headers, self.payload.clone()).unwrap();
        let (instructions, _) = sign(request, &params).unwrap().into_parts();
        let (headers, parameters) = instructions.into_parts();
        let headers = headers.iter().map(|header| (header.name().to_owned(), header.value().to_owned())).collect();
        let parameters = parameters.into_iter().map(|(name, value)| (name.to_owned(), value.into_owned())).collect();
        (headers, parameters)
    }
}

/// Sends a signed request with a body of its own and headers that were added or, by the same name, changed.
async fn exchange(server: &Server, signing: &Signing<'_>, changed: &[(&str, &str)], body: &str) -> Answer {
    let (added, _) = signing.sign();
    let own = signing.headers.iter().copied().chain(added.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let own = own.filter(|(name, _)| !changed.iter().any(|(other, _)| other == name));
    let headers: Vec<(&str, &str)> = own.chain(changed.iter().copied()).collect();
    Connection::open(server).await.exchange(signing.method, signing.path, &headers, body).await
}

#[tokio::test]
async fn what_was_changed_under_way_is_refused() {
    let server = guarded().await;
    create(&client(&server, KEY_ID, &secret(), None, "us-east-1"), "orders").await;
    let signing = Signing::send(&server.address);
    assert_eq!(exchange(&server, &signing, &[], BODY).await.status, 200);
    let through_a_proxy = [("user-agent", "proxy"), ("x-forwarded-for", "10.0.0.9"), ("x-amzn-trace-id", "Root=1")];
    assert_eq!(exchange(&server, &signing, &through_a_proxy, BODY).await.status, 200);

    let other_body = BODY.replace('x', "y");
    for (changed, body) in [
        (&[][..], other_body.as_str()),
        (&[], ""),
        (&[("x-amz-target", "AmazonSQS.PurgeQueue")], BODY),
        (&[("host", "queues.internal:9324")], BODY),
        (&[("content-type", "application/json")], BODY),
        (&[("x-amz-content-sha256", "UNSIGNED-PAYLOAD")], &other_body),
    ] {
        let answer = exchange(&server, &signing, changed, body).await;
        assert_eq!((answer.status, answer.header("x-amzn-query-error")), (403, "SignatureDoesNotMatch;Sender"));
        assert_eq!(answer.json()["message"], MISMATCH, "{changed:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn an_unsigned_payload_is_taken_where_that_is_signed() {
    let server = guarded().await;
    create(&client(&server, KEY_ID, &secret(), None, "us-east-1"), "orders").await;
    let mut signing = Signing::send(&server.address);
    signing.payload = SignableBody::UnsignedPayload;
    signing.headers.push(("x-amz-content-sha256", "UNSIGNED-PAYLOAD"));
    assert_eq!(exchange(&server, &signing, &[], BODY).await.status, 200);
    assert_eq!(exchange(&server, &signing, &[("x-amz-content-sha256", "0")], BODY).await.status, 403);
    server.stop().await;
}

#[tokio::test]
async fn clocks_may_differ_by_a_quarter_of_an_hour() {
    let server = guarded().await;
    create(&client(&server, KEY_ID, &secret(), None, "us-east-1"), "orders").await;
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    let now = SystemTime::now();
    for (time, status, text) in [
        (now - minutes(14), 200, ""),
        (now + minutes(14), 200, ""),
        (now - minutes(16), 403, "Signature expired: "),
        (now + minutes(16), 403, "Signature not yet current: "),
    ] {
        let answer = exchange(&server, &Signing { time, ..Signing::send(&server.address) }, &[], BODY).await;
        assert_eq!(answer.status, status, "{}", answer.body);
        assert!(answer.json()["message"].as_str().unwrap_or_default().starts_with(text), "{}", answer.body);
    }
    server.stop().await;
}

#[tokio::test]
async fn an_unsigned_request_is_told_so_in_its_own_protocol() {
    let server = guarded().await;
    let mut connection = Connection::open(&server).await;
    let json = connection.action("/", "ListQueues", "{}").await;
    assert_eq!((json.status, json.header("x-amzn-query-error")), (403, "MissingAuthenticationToken;Sender"));
    assert_eq!(json.json()["message"], "Request is missing Authentication Token");
    assert!(json.json()["__type"].as_str().unwrap().ends_with("#MissingAuthenticationTokenException"));

    let form = [("content-type", "application/x-www-form-urlencoded")];
    let query = connection.exchange("POST", "/", &form, "Action=ListQueues&Version=2012-11-05").await;
    assert_eq!(query.status, 403);
    assert!(query.body.contains("<Code>MissingAuthenticationToken</Code>"), "{}", query.body);

    let broken = [("x-amz-target", "AmazonSQS.ListQueues"), ("authorization", "AWS4-HMAC-SHA256 Credential=a")];
    let incomplete = connection.exchange("POST", "/", &broken, "{}").await;
    assert_eq!((incomplete.status, incomplete.header("x-amzn-query-error")), (400, "IncompleteSignature;Sender"));
    server.stop().await;
}

fn url_with(path: &str, parameters: &[(String, String)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in parameters {
        query.append_pair(name, value);
    }
    format!("{path}{}{}", if path.contains('?') { '&' } else { '?' }, query.finish())
}

#[tokio::test]
async fn a_presigned_url_is_enough() {
    let server = guarded().await;
    create(&client(&server, KEY_ID, &secret(), None, "us-east-1"), "orders").await;
    let signing = Signing {
        method: "GET",
        path: "/000000000000/orders?Action=GetQueueAttributes&AttributeName.1=All",
        headers: vec![("host", &server.address)],
        payload: SignableBody::Bytes(b""),
        time: SystemTime::now(),
        expires_in: Some(Duration::from_secs(60)),
    };
    let mut connection = Connection::open(&server).await;
    let (_, parameters) = signing.sign();
    let url = url_with(signing.path, &parameters);
    let let_in = connection.exchange("GET", &url, &[], "").await;
    assert_eq!(let_in.status, 200, "{}", let_in.body);
    assert!(let_in.body.contains("<Name>VisibilityTimeout</Name>"), "{}", let_in.body);

    let late = Signing { time: SystemTime::now() - Duration::from_secs(61), ..signing };
    let (_, of_the_late) = late.sign();
    for (url, status, text) in [
        (url.replace("GetQueueAttributes", "PurgeQueue"), 403, "does not match the signature you provided"),
        (url.replace("X-Amz-Expires=60", "X-Amz-Expires=600"), 403, "does not match the signature you provided"),
        (url.replace("X-Amz-Expires=60", "X-Amz-Expires=604801"), 400, "X-Amz-Expires must be"),
        (url.replace("X-Amz-Date=", "X-Amz-Dat="), 400, "must include &apos;X-Amz-Date&apos;"),
        (url_with(late.path, &of_the_late), 403, "Signature expired: "),
    ] {
        let refused = connection.exchange("GET", &url, &[], "").await;
        let body = refused.body.replace('\'', "&apos;");
        assert!(refused.status == status && body.contains(text), "{status} {text}: {} {body}", refused.status);
    }
    server.stop().await;
}

#[tokio::test]
async fn without_keys_a_signature_is_not_looked_at() {
    let server = Server::start(broker(None).await, SqsOptions::default()).await;
    let anyone = client(&server, "any", "thing", Some("token"), "mars-north-1");
    create(&anyone, "orders").await;
    let unsigned = Connection::open(&server).await.action("/", "SendMessage", BODY).await;
    assert_eq!(unsigned.status, 200);
    server.stop().await;
}
