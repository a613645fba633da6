//! sqs-semantics §1.3: queue URLs, of which clients have many forms, and of which one is given out.

use serde_json::json;
use support::http::exchange;

use crate::client::{Protocol, each, only};
use crate::errors::{MISSING_PARAMETER, NO_SUCH_QUEUE};
use crate::queue::{Queue, unique};
use crate::rows::{assert_refused, refusal};

/// §1.3: account and name are the last two segments, the host counts for nothing, a bare name will do.
fn forms(name: &str) -> Vec<String> {
    [
        "https://sqs.us-east-1.amazonaws.com/000000000000/",
        "https://sqs.eu-west-1.amazonaws.com/000000000000/",
        "https://us-east-1.queue.amazonaws.com/000000000000/",
        "https://queue.amazonaws.com/000000000000/",
        "http://localhost:4566/000000000000/",
        "http://localhost:4566/queue/us-east-1/000000000000/",
        "http://sqs.us-east-1.localhost.localstack.cloud:4566/000000000000/",
        "http://localhost:9324/queue/",
        "http://[::1]:9324/000000000000/",
        "http://127.0.0.1/000000000000/",
        "",
    ]
    .map(|before| format!("{before}{name}"))
    .into()
}

#[tokio::test]
async fn every_form_of_a_queue_url_is_understood() {
    each(async |api| {
        for queue in [Queue::plain(&api, "forms").await, Queue::fifo(&api, "forms", &json!({})).await] {
            for form in forms(&queue.name) {
                let answer =
                    api.ok("GetQueueAttributes", &json!({"QueueUrl": form, "AttributeNames": ["QueueArn"]})).await;
                assert_eq!(answer["Attributes"]["QueueArn"], json!(queue.arn()), "{form}");
            }
        }
    })
    .await;
}

/// §1.3: the same forms as the path that a request is posted to.
#[tokio::test]
async fn every_form_of_a_queue_path_is_understood() {
    each(async |api| {
        let queue = Queue::plain(&api, "paths").await;
        for before in ["/000000000000/", "/queue/us-east-1/000000000000/", "/queue/"] {
            let path = format!("{before}{}", queue.name);
            let asked = json!({"AttributeNames": ["QueueArn"]});
            let answer = api.call_at(&path, "GetQueueAttributes", &asked).await.unwrap();
            assert_eq!(answer["Attributes"]["QueueArn"], json!(queue.arn()), "{path}");
        }
    })
    .await;
}

/// §1.3: the request's own `Host`, so that a URL works from where it was asked for.
#[tokio::test]
async fn urls_are_given_out_with_the_host_that_was_asked() {
    only(Protocol::Json, async |api| {
        let name = Queue::plain(&api, "host").await.name;
        for host in ["localhost:9324", "sqs.us-east-1.amazonaws.com", "queue.internal", "[::1]:9324"] {
            let headers = [
                ("host", host),
                ("content-type", "application/x-amz-json-1.0"),
                ("x-amz-target", "AmazonSQS.GetQueueUrl"),
            ];
            let body = json!({"QueueName": name}).to_string();
            let answer = exchange(api.address, "POST", "/", &headers, body.as_bytes()).await.unwrap();
            assert_eq!(answer.json()["QueueUrl"], json!(format!("http://{host}/000000000000/{name}")));
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_no_queue_url_is_refused() {
    each(async |api| {
        let name = Queue::plain(&api, "foreign").await.name;
        let at = |url: &str| json!({"QueueUrl": url, "MessageBody": "x"});
        let no_queue = match api.protocol {
            Protocol::Json => "The specified queue does not exist.",
            Protocol::Query => "The specified queue does not exist for this wsdl version.",
        };
        let missing = "The request must contain the parameter QueueUrl.";
        let other_account = format!("http://localhost:9324/111111111111/{name}");
        let unknown = format!("http://localhost:9324/000000000000/{}", unique("unknown"));
        let rows = [
            // moto's test_get_queue_url_error_not_exists, verified on AWS.
            refusal("§1.3 no name", "SendMessage", at("http://localhost:9324/"), NO_SUCH_QUEUE, no_queue),
            refusal("§1.3 no name", "SendMessage", at("http://no-such-address"), NO_SUCH_QUEUE, no_queue),
            refusal("§1.3 another account", "SendMessage", at(&other_account), NO_SUCH_QUEUE, no_queue),
            refusal("§1.3 unknown name", "SendMessage", at(&unknown), NO_SUCH_QUEUE, no_queue),
            refusal("§2 required", "SendMessage", json!({"MessageBody": "x"}), MISSING_PARAMETER, missing),
        ];
        assert_refused(&api, &rows).await;
    })
    .await;
}
