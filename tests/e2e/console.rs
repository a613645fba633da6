//! The console in a real browser: what is shown is what is, buttons do what they say after they have asked, all of it by keyboard,
//! in light and dark, on a desk and on a phone. And nobody else's page can press a button.

use std::time::Duration;

use serde_json::{Value, json};
use support::browser::Browser;
use support::config::{IN_MEMORY, function, mapping, queue, queue_with_dlq};
use support::http::exchange;
use support::wait::holds;
use support::{Counts, PATIENCE, Wasmill, eventually};

const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";

/// Lambda's API, which the console's buttons are, enables no mapping whose function may take longer than its queue hides a message.
async fn worker() -> Wasmill {
    let config = IN_MEMORY.to_owned()
        + &queue_with_dlq("orders", 1, 2)
        + &queue("a-queue-with-quite-a-long-name-as-they-are-in-real-life-0123456789", "")
        + &function("worker", "faulty", "timeout = 1\nreuse = true")
        + &mapping("orders", "worker", "batch_size = 1");
    Wasmill::start(&config).await
}

/// Sends a message that becomes a dead letter, with words to be found.
async fn bury(worker: &Wasmill) {
    let sqs = worker.sqs();
    let crash = json!([{"do": "print", "text": "charging <b>o-7</b>\n"}, {"do": "error", "text": "KeyError: 'price'"}]);
    sqs.send("orders", &crash.to_string()).await;
    sqs.wait_for_counts(PATIENCE, "orders-dlq", Counts::visible(1)).await;
}

/// Waits until the page shows a text.
async fn shows(browser: &Browser, text: &str) {
    eventually(PATIENCE, async || {
        let shown = browser.script("return document.body.innerText").await;
        let shown = shown.as_str().unwrap_or_default();
        holds(shown.contains(text), || format!("{text:?} is not shown:\n{shown}"))
    })
    .await;
}

async fn go(browser: &Browser, place: &str) {
    browser.script(&format!("location.hash = '#/{place}'")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_messages_mappings_and_functions_are_shown_and_changed_by_keyboard() {
    let mut worker = worker().await;
    let test = "queues_messages_mappings_and_functions_are_shown_and_changed_by_keyboard";
    let Some(browser) = Browser::start(test).await else { return };
    bury(&worker).await;
    browser.look(1200, 900, "light").await;
    browser.open(&worker.admin_url()).await;
    shows(&browser, "dead letters of orders").await;
    shows(&browser, "ready").await;

    // Down to the third row, and in. The latest attempt tells why.
    browser.press("/").await;
    browser.press("dlq").await;
    eventually(PATIENCE, async || {
        let rows = browser.script("return document.querySelectorAll('[data-row]').length").await;
        holds(rows == 1, || format!("{rows} rows"))
    })
    .await;
    browser.press(ESCAPE).await;
    browser.press("j").await;
    browser.press(ENTER).await;
    shows(&browser, "Queues / orders-dlq").await;
    shows(&browser, "handler_error: KeyError: 'price'").await;
    browser.press("j").await;
    browser.press(ENTER).await;
    shows(&browser, "THE LAST 2 ATTEMPTS").await;
    shows(&browser, "charging <b>o-7</b>").await;
    shows(&browser, "received too often, received 2 times").await;
    assert_eq!(worker.sqs().counts("orders-dlq").await, Counts::visible(1), "nothing was received");

    // The purge wants the name; another one does nothing.
    let click =
        |name: &str| format!("[...document.querySelectorAll('button')].find(b => b.innerText === '{name}').click()");
    browser.script(&click("Purge…")).await;
    browser.press("orders").await;
    browser.press(ENTER).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(worker.sqs().counts("orders-dlq").await, Counts::visible(1));
    browser.press("-dlq").await;
    browser.press(ENTER).await;
    worker.sqs().wait_for_counts(PATIENCE, "orders-dlq", Counts::EMPTY).await;
    shows(&browser, "The queue is empty.").await;

    // What is redriven is handled, and fails again.
    bury(&worker).await;
    shows(&browser, "Redrive…").await;
    eventually(PATIENCE, async || {
        let is_off = browser.script("return document.querySelector('button.primary').disabled").await;
        holds(is_off == false, || "the page does not know of the message yet".to_owned())
    })
    .await;
    browser.script(&click("Redrive…")).await;
    browser.script(&click("Redrive")).await;
    worker.wait_for_metric(PATIENCE, "wasmill_queue_redriven_total", &[("queue", "orders-dlq")], 1).await;
    shows(&browser, "1 of 1 moved").await;

    browser.press("2").await;
    shows(&browser, "orders → worker").await;
    shows(&browser, "enabled").await;
    browser.script(&click("Disable…")).await;
    browser.script(&click("Disable")).await;
    let becomes = async |state: &str| {
        eventually(PATIENCE, async || {
            let mappings = worker.get("/api/mappings").await.unwrap().json();
            let shown = browser.script("return document.querySelector('.card').innerText").await;
            let is_there = mappings["mappings"][0]["state"] == state
                && shown.as_str().unwrap_or_default().contains(&state.to_lowercase());
            holds(is_there, || format!("{mappings}\n{shown}"))
        })
        .await;
    };
    becomes("Disabled").await;
    browser.script(&click("Enable")).await;
    becomes("Enabled").await;

    browser.press("3").await;
    shows(&browser, "$LATEST").await;
    go(&browser, "functions/worker").await;
    shows(&browser, "charging <b>o-7</b>").await;
    browser.press("?").await;
    shows(&browser, "next and previous row").await;
    browser.press(ESCAPE).await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    worker.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_sticks_out_at_any_width_in_light_and_dark() {
    let worker = worker().await;
    let Some(browser) = Browser::start("nothing_sticks_out_at_any_width_in_light_and_dark").await else { return };
    bury(&worker).await;
    browser.open(&worker.admin_url()).await;
    shows(&browser, "dead letters of orders").await;
    for (scheme, is_dark) in [("light", false), ("dark", true)] {
        for (width, height) in [(1200, 900), (768, 1024), (360, 740)] {
            browser.look(width, height, scheme).await;
            for (place, text) in [
                ("queues", "dead letters of orders"),
                ("queues/orders-dlq", "Look again"),
                ("mappings", "orders → worker"),
                ("functions", "$LATEST"),
                ("functions/worker", "Memory peak, p99"),
            ] {
                go(&browser, place).await;
                shows(&browser, text).await;
                browser.script("document.querySelectorAll('details').forEach(d => d.open = true)").await;
                let seen = browser
                    .script(
                        "const color = getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number);
                         return [document.documentElement.scrollWidth, innerWidth, color[0] < 128]",
                    )
                    .await;
                let (content, window) = (seen[0].as_u64().unwrap(), seen[1].as_u64().unwrap());
                assert!(content <= window, "{place} at {width}: {content} > {window}");
                assert_eq!(seen[2], is_dark, "{place} in {scheme}");
            }
        }
    }
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_button_is_for_the_consoles_own_page_alone() {
    let worker = worker().await;
    let page = worker.get("/").await.unwrap();
    let (_, token) = page.body.split_once("name=\"wasmill-token\" content=\"").unwrap();
    let token = token.split('"').next().unwrap();
    let url = worker.admin_url();
    let address = url.trim_start_matches("http://").parse().unwrap();
    let body = json!({"QueueUrl": worker.sqs().url("orders")}).to_string();
    let press = async |headers: &[(&str, &str)]| {
        exchange(address, "POST", "/api/actions/PurgeQueue", headers, body.as_bytes()).await.unwrap()
    };
    let (own, ours) = (("origin", url.as_str()), ("x-wasmill-token", token));
    for foreign in [
        &[ours][..],
        &[own],
        &[own, ("x-wasmill-token", "0123")],
        &[own, ours, ("sec-fetch-site", "cross-site")],
        &[("origin", "https://elsewhere.example"), ours],
        &[own, ours, ("host", "elsewhere.example")],
    ] {
        assert_eq!(press(foreign).await.status, 403, "{foreign:?}");
    }
    assert_eq!(press(&[own, ours, ("sec-fetch-site", "same-origin")]).await.status, 200);
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    for file in ["app.js", "console.css", "icon.svg", "messages.js"] {
        assert_eq!(worker.get(&format!("/console/{file}")).await.unwrap().status, 200, "{file}");
    }
    assert_eq!(worker.get("/console/..%2fmain.rs").await.unwrap().status, 404);
    let functions: Value = worker.get("/api/functions/nobody/logs").await.unwrap().json();
    assert_eq!(functions["error"], "there is no function \"nobody\"");
}
