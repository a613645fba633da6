//! `queue peek`: looking through the admin listener changes nothing; receiving has to be asked for.

use serde_json::{Value, json};
use support::sqs::{ACCOUNT, receive_count};
use support::worker::lasting_port;
use support::{Counts, Finished, Home, Wasmill, wasmill};

async fn serve() -> Wasmill {
    Home::new().serve(&["--in-memory", "--listen", "127.0.0.1:0"]).await
}

fn peek(server: &Wasmill, arguments: &[&str]) -> Finished {
    let admin_url = server.admin_url();
    wasmill(["queue", "peek"].iter().chain(arguments).chain(&["--admin-url", admin_url.as_str()]))
}

fn bodies(shown: &Value) -> Vec<&str> {
    shown.as_array().unwrap().iter().map(|message| message["body"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peek_shows_messages_in_every_state_and_changes_nothing() {
    let server = serve().await;
    let sqs = server.sqs();
    sqs.create("orders", &[]).await;
    assert_eq!(peek(&server, &["orders"]).assert_succeeds(), "");
    let endpoint = server.endpoint();
    let held = sqs.send("orders", "held").await;
    sqs.receive("orders", 0).await;
    for arguments in [&["waiting 中文 🦀", "--attribute", "kind=a=b"] as &[&str], &["late", "--delay-seconds", "900"]]
    {
        let send = ["queue", "send", "orders", "--endpoint-url", endpoint.as_str()];
        wasmill(send.iter().chain(arguments)).assert_succeeds();
    }
    let counts = Counts { visible: 1, in_flight: 1, delayed: 1 };
    for _ in 0..2 {
        let shown = peek(&server, &["orders", "--json"]).json();
        assert_eq!(bodies(&shown), ["held", "waiting 中文 🦀", "late"], "the oldest first");
        assert_eq!(shown[0]["message_id"], json!(held));
        let states: Vec<&Value> = shown.as_array().unwrap().iter().map(|message| &message["state"]).collect();
        assert_eq!(states, [&json!("in_flight"), &json!("visible"), &json!("delayed")]);
        assert_eq!((&shown[0]["receive_count"], &shown[1]["receive_count"]), (&json!(1), &json!(0)));
        assert_eq!(shown[1]["attributes"]["kind"], json!({"data_type": "String", "text": "a=b"}));
        assert!(shown[2]["visible_in_ms"].as_u64().unwrap() > 800_000, "{shown}");
        assert_eq!(sqs.counts("orders").await, counts);
    }
    let url = format!("{endpoint}/{ACCOUNT}/orders");
    for (state, body) in [("visible", "waiting 中文 🦀"), ("in_flight", "held"), ("delayed", "late")] {
        assert_eq!(bodies(&peek(&server, &[url.as_str(), "--state", state, "--json"]).json()), [body]);
    }
    let text = peek(&server, &["orders", "--max", "2"]);
    let lines: Vec<&str> = text.assert_succeeds().lines().collect();
    assert!(lines[0].starts_with(&held) && lines[0].contains("in_flight for "), "{text}");
    assert_eq!(lines[1], "held");
    assert_eq!(lines[3..], ["  kind (String): a=b", "waiting 中文 🦀"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_queue_is_paged_through() {
    let server = serve().await;
    let sqs = server.sqs();
    sqs.create("orders", &[]).await;
    let expected: Vec<String> = (0..50).map(|number| format!("{number:02}")).collect();
    for chunk in expected.chunks(10) {
        sqs.send_batch("orders", chunk).await;
    }
    assert_eq!(bodies(&peek(&server, &["orders", "--max", "1000", "--json"]).json()), expected);
    assert_eq!(bodies(&peek(&server, &["orders", "--max", "12", "--json"]).json()), &expected[..12]);
    let page = server.get("/api/queues/orders/messages?max=25").await.unwrap();
    let page: Value = serde_json::from_str(&page.body).unwrap();
    assert_eq!(bodies(&page["messages"]), &expected[..25]);
    let rest = format!("/api/queues/orders/messages?after={}", page["next"]);
    let rest: Value = serde_json::from_str(&server.get(&rest).await.unwrap().body).unwrap();
    assert_eq!(
        (bodies(&rest["messages"]), &rest["next"]),
        (expected[25..].iter().map(String::as_str).collect(), &Value::Null)
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn receiving_has_to_be_asked_for_and_says_what_it_did() {
    let server = serve().await;
    let sqs = server.sqs();
    sqs.create("orders", &[]).await;
    let bodies_sent: Vec<String> = (0..10).map(|number| number.to_string()).collect();
    sqs.send_batch("orders", &bodies_sent).await;
    sqs.send("orders", "10").await;
    let endpoint = server.endpoint();
    let arguments =
        ["queue", "peek", "orders", "--receive", "--max", "1000", "--json", "--endpoint-url", endpoint.as_str()];
    let received = wasmill(arguments);
    assert_eq!(bodies(&received.json()).len(), 11);
    assert!(received.stderr.contains("the receive count of each went up by one"), "{received}");
    assert_eq!(sqs.counts("orders").await, Counts::visible(11));
    assert_eq!(receive_count(&sqs.receive("orders", 0).await[0]), "2");

    sqs.create("empty", &[]).await;
    let arguments = ["queue", "peek", "empty", "--receive", "--endpoint-url", endpoint.as_str()];
    let received = wasmill(arguments);
    assert_eq!((received.assert_succeeds(), received.stderr.as_str()), ("", ""));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_ends_with_4_and_what_to_do() {
    let server = serve().await;
    let place = format!("where: queue nowhere at {}", server.admin_url());
    peek(&server, &["nowhere"]).assert_fails(4, &["there is no queue \"nowhere\"", &place, "`wasmill queue ls`"]);
    // The other listener answers, too, but it is not the one to ask.
    let endpoint = server.endpoint();
    let wrong = wasmill(["queue", "peek", "orders", "--admin-url", endpoint.as_str()]);
    wrong.assert_fails(4, &["no admin listener of wasmill", "--admin-url"]);
    server.stop().await;
    let nobody = format!("http://127.0.0.1:{}", lasting_port());
    let refused = wasmill(["queue", "peek", "orders", "--admin-url", nobody.as_str()]);
    refused.assert_fails(4, &["does not answer", &nobody, "wasmill queue serve", "--receive"]);
}
