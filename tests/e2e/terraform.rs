//! What Terraform's AWS provider (5.100) sends for a queue, a function, an alias, a permission and a mapping, in its order,
//! as recorded: create, read, plan without a difference, update, clear, delete. Its waits are for the states asserted here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use support::config::ON_DISK;
use support::http::exchange;
use support::wait::holds;
use support::{PATIENCE, Wasmill, eventually, places};

const FUNCTION: &str = "/2015-03-31/functions/orders";
const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:orders";
const QUEUE_ARN: &str = "arn:aws:sqs:us-east-1:000000000000:orders";
const PATTERN: &str = r#"{"body":{"kind":["order"]}}"#;

struct Terraform<'a> {
    worker: &'a Wasmill,
}

impl Terraform<'_> {
    async fn ask(&self, status: u16, method: &str, path: &str, body: Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = exchange(self.worker.sqs_address(), method, path, &[], body.as_bytes()).await.unwrap();
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        answer.json()
    }

    async fn get(&self, path: &str) -> Value {
        self.ask(200, "GET", path, Value::Null).await
    }

    async fn sqs(&self, action: &str, body: Value) -> Value {
        let target = format!("AmazonSQS.{action}");
        let headers = [("x-amz-target", target.as_str()), ("content-type", "application/x-amz-json-1.0")];
        let answer = exchange(self.worker.sqs_address(), "POST", "/", &headers, body.to_string().as_bytes()).await;
        let answer = answer.unwrap();
        assert_eq!(answer.status, 200, "{action}: {}", answer.body);
        answer.json()
    }

    async fn waits(&self, path: &str, pointer: &str, target: &str, pending: &[&str]) {
        eventually(PATIENCE, async || {
            let shown = self.get(path).await;
            let state = shown.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
            assert!(
                state == target || pending.contains(&state.as_str()),
                "{path}: unexpected state {state:?}: {shown}"
            );
            holds(state == target, || state.clone())
        })
        .await;
    }

    async fn updated(&self) {
        self.waits(FUNCTION, "/Configuration/LastUpdateStatus", "Successful", &["InProgress"]).await;
    }

    /// What a refresh reads, and a plan compares.
    async fn refresh(&self, mapping: &str) -> Value {
        let function = self.get(FUNCTION).await;
        assert!(function["Code"].is_object() && function["Configuration"].is_object(), "{function}");
        let versions = self.get(&format!("{FUNCTION}/versions?MaxItems=10000")).await;
        let signing = self.get("/2020-06-30/functions/orders/code-signing-config").await;
        assert_eq!(signing.get("CodeSigningConfigArn"), None);
        let arn = format!("arn:aws:lambda:us-east-1:000000000000:event-source-mapping:{mapping}");
        json!({
            "configuration": function["Configuration"], "concurrency": function["Concurrency"], "tags": function["Tags"],
            "versions": versions["Versions"].as_array().unwrap().len(),
            "policy": self.get(&format!("{FUNCTION}/policy")).await["Policy"],
            "alias": self.get(&format!("{FUNCTION}/aliases/live")).await,
            "mapping": self.get(&format!("/2015-03-31/event-source-mappings/{mapping}")).await,
            "mapping tags": self.get(&format!("/2017-03-31/tags/{}", arn.replace(':', "%3A"))).await["Tags"],
        })
    }
}

#[tokio::test]
async fn terraform_creates_reads_updates_clears_and_deletes() {
    let worker = Wasmill::start(ON_DISK).await;
    let terraform = Terraform { worker: &worker };
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let who = b"Action=GetCallerIdentity&Version=2011-06-15";
    let identity = exchange(worker.sqs_address(), "POST", "/", &form, who).await.unwrap();
    assert!(identity.body.contains("<Account>000000000000</Account>"), "{}", identity.body);

    let attributes = json!({"DelaySeconds": "0", "VisibilityTimeout": "30"});
    let queue = json!({"QueueName": "orders", "Attributes": attributes, "tags": {"team": "a"}});
    let url = terraform.sqs("CreateQueue", queue).await["QueueUrl"].clone();
    let read = terraform.sqs("GetQueueAttributes", json!({"QueueUrl": url, "AttributeNames": ["All"]})).await;
    assert_eq!(
        (&read["Attributes"]["QueueArn"], &read["Attributes"]["VisibilityTimeout"]),
        (&json!(QUEUE_ARN), &json!("30"))
    );
    assert_eq!(terraform.sqs("ListQueueTags", json!({"QueueUrl": url})).await["Tags"], json!({"team": "a"}));

    // Create.
    let code = |guest: &str| STANDARD.encode(std::fs::read(places::guest(guest)).unwrap());
    let function = json!({
        "Code": {"ZipFile": code("faulty")}, "Description": "", "Environment": {"Variables": {"COLOUR": "blue"}},
        "FunctionName": "orders", "Handler": "handler.wasm", "MemorySize": 128, "PackageType": "Zip", "Publish": true,
        "Role": "arn:aws:iam::000000000000:role/any", "Runtime": "provided.al2023", "Tags": {"team": "a"}, "Timeout": 5,
    });
    let made = terraform.ask(201, "POST", "/2015-03-31/functions", function).await;
    assert_eq!(made["Version"], "1");
    terraform.waits(FUNCTION, "/Configuration/State", "Active", &["Pending"]).await;
    let reserved = json!({"ReservedConcurrentExecutions": 4});
    terraform.ask(200, "PUT", "/2017-10-31/functions/orders/concurrency", reserved).await;
    let permission = json!({"Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com", "StatementId": "s"});
    terraform.ask(201, "POST", &format!("{FUNCTION}/policy"), permission).await;
    let alias = json!({"Description": "", "FunctionVersion": "1", "Name": "live", "RoutingConfig": {}});
    terraform.ask(201, "POST", &format!("{FUNCTION}/aliases"), alias).await;
    let mapping = json!({
        "BatchSize": 5, "Enabled": true, "EventSourceArn": QUEUE_ARN, "FilterCriteria": {"Filters": [{"Pattern": PATTERN}]},
        "FunctionName": format!("{ARN}:live"), "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "ScalingConfig": {"MaximumConcurrency": 3}, "Tags": {"team": "a"},
    });
    let mapping = terraform.ask(202, "POST", "/2015-03-31/event-source-mappings", mapping).await;
    assert_eq!(mapping["State"], "Creating");
    let uuid = mapping["UUID"].as_str().unwrap().to_owned();
    let path = format!("/2015-03-31/event-source-mappings/{uuid}");
    terraform.waits(&path, "/State", "Enabled", &["Creating", "Enabling"]).await;

    // What was set is read back, and reading it again makes no difference.
    let read = terraform.refresh(&uuid).await;
    let shown = &read["configuration"];
    assert_eq!(shown["Environment"], json!({"Variables": {"COLOUR": "blue"}}));
    assert_eq!(
        (&shown["Timeout"], &shown["Handler"], &shown["Version"]),
        (&json!(5), &json!("handler.wasm"), &json!("$LATEST"))
    );
    assert_eq!(
        (&read["concurrency"]["ReservedConcurrentExecutions"], &read["tags"]),
        (&json!(4), &json!({"team": "a"}))
    );
    assert_eq!((&read["versions"], &read["alias"]["FunctionVersion"]), (&json!(2), &json!("1")));
    assert_eq!(read["alias"].get("RoutingConfig"), None);
    assert_eq!(read["mapping"]["FunctionArn"], format!("{ARN}:live"));
    assert_eq!(read["mapping"]["FilterCriteria"], json!({"Filters": [{"Pattern": PATTERN}]}));
    assert_eq!(read["mapping"]["ScalingConfig"], json!({"MaximumConcurrency": 3}));
    assert_eq!(read["mapping tags"], json!({"team": "a"}));
    assert_eq!(terraform.refresh(&uuid).await, read);

    // Update: settings, code, no permits of its own any more, a version of it, the alias, the mapping without its blocks.
    terraform.ask(200, "PUT", &format!("{FUNCTION}/configuration"), json!({"Timeout": 7})).await;
    terraform.updated().await;
    terraform.ask(200, "PUT", &format!("{FUNCTION}/code"), json!({"ZipFile": code("orders")})).await;
    terraform.updated().await;
    terraform.ask(204, "DELETE", "/2017-10-31/functions/orders/concurrency", Value::Null).await;
    assert_eq!(terraform.ask(201, "POST", &format!("{FUNCTION}/versions"), json!({})).await["Version"], "2");
    let version = format!("/2015-03-31/functions/{}%3A2/configuration?Qualifier=2", ARN.replace(':', "%3A"));
    terraform.waits(&version, "/State", "Active", &["Pending"]).await;
    let alias =
        json!({"Description": "", "FunctionVersion": "2", "RoutingConfig": {"AdditionalVersionWeights": {"1": 0.2}}});
    terraform.ask(200, "PUT", &format!("{FUNCTION}/aliases/live"), alias).await;
    let cleared = terraform.ask(202, "PUT", &path, json!({"FilterCriteria": {}, "ScalingConfig": {}})).await;
    assert_eq!(cleared["State"], "Updating");
    terraform.waits(&path, "/State", "Enabled", &["Updating"]).await;
    let read = terraform.refresh(&uuid).await;
    assert_eq!(
        (&read["configuration"]["Timeout"], &read["concurrency"], &read["versions"]),
        (&json!(7), &Value::Null, &json!(3))
    );
    assert_eq!(read["alias"]["RoutingConfig"], json!({"AdditionalVersionWeights": {"1": 0.2}}));
    assert_eq!((read["mapping"].get("FilterCriteria"), read["mapping"].get("ScalingConfig")), (None, None));
    assert_eq!(terraform.refresh(&uuid).await, read);
    terraform.ask(202, "PUT", &path, json!({"Enabled": false})).await;
    terraform.waits(&path, "/State", "Disabled", &["Disabling"]).await;

    // Code that cannot run ends an apply with the reason; the next one begins where it was.
    let broken = json!({"ZipFile": STANDARD.encode(b"\0asm\x0d\0\x01\0broken")});
    terraform.ask(200, "PUT", &format!("{FUNCTION}/code"), broken).await;
    terraform.waits(FUNCTION, "/Configuration/LastUpdateStatus", "Failed", &["InProgress"]).await;
    let failed = terraform.get(FUNCTION).await["Configuration"].clone();
    assert!(failed["LastUpdateStatusReason"].as_str().is_some_and(|reason| !reason.is_empty()), "{failed}");
    assert_eq!(failed["CodeSha256"], read["configuration"]["CodeSha256"]);

    // Delete.
    terraform.ask(202, "DELETE", &path, Value::Null).await;
    eventually(PATIENCE, async || {
        let gone = exchange(worker.sqs_address(), "GET", &path, &[], b"").await.unwrap();
        holds(gone.status == 404, || gone.body.clone())
    })
    .await;
    terraform.ask(204, "DELETE", &format!("{FUNCTION}/policy/s"), Value::Null).await;
    terraform.ask(404, "GET", &format!("{FUNCTION}/policy"), Value::Null).await;
    terraform.ask(204, "DELETE", &format!("{FUNCTION}/aliases/live"), Value::Null).await;
    terraform.ask(204, "DELETE", FUNCTION, Value::Null).await;
    terraform.ask(404, "GET", FUNCTION, Value::Null).await;
    terraform.sqs("DeleteQueue", json!({"QueueUrl": url})).await;
    worker.stop().await;
}
