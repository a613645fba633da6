//! Batching windows and filters through the real binary: how large batches are, and what becomes of the rest.

use serde_json::json;
use support::config::{IN_MEMORY, function, mapping, queue};
use support::{Counts, PATIENCE, Wasmill};

const WANTED: &str = r#"filter_criteria = { filters = [ { pattern = '{"body":{"kind":["order"]}}' } ] }"#;

fn of_kind(kind: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| json!({"kind": kind, "n": n}).to_string()).collect()
}

async fn send(worker: &Wasmill, queue: &str, bodies: &[String]) {
    for ten in bodies.chunks(10) {
        worker.sqs().send_batch(queue, ten).await;
    }
}

#[tokio::test]
async fn a_window_gathers_more_than_one_receive_brings_and_closes_when_the_batch_is_full() {
    let config = IN_MEMORY.to_owned()
        + &queue("orders", "")
        + &function("orders", "faulty", "")
        + &mapping("orders", "orders", "batch_size = 60\nmaximum_batching_window_in_seconds = 2");
    let worker = Wasmill::start(&config).await;
    send(&worker, "orders", &of_kind("order", 150)).await;
    worker.sqs().wait_for_counts(PATIENCE, "orders", Counts::EMPTY).await;
    worker.wait_for_metric(PATIENCE, "wasmill_mapping_batch_records_sum", &[], 150).await;
    assert_eq!(worker.metric("wasmill_mapping_windows_closed_total", &[("reason", "size")]).await as u32, 2);
    assert_eq!(worker.metric("wasmill_mapping_windows_closed_total", &[("reason", "window")]).await as u32, 1);
    worker.stop().await;
}

#[tokio::test]
async fn what_no_filter_matches_is_deleted_kept_or_forwarded_as_the_mapping_says() {
    for (on_filtered, left, forwarded) in [("delete", 0, 0), ("keep", 7, 0), ("forward:rest", 0, 7)] {
        let keys = format!("{WANTED}\non_filtered = \"{on_filtered}\"");
        let config = IN_MEMORY.to_owned()
            + &queue("orders", "visibility_timeout = 600")
            + &queue("rest", "")
            + &function("orders", "faulty", "")
            + &mapping("orders", "orders", &keys);
        let worker = Wasmill::start(&config).await;
        let mut bodies = of_kind("order", 10);
        bodies.extend(of_kind("refund", 6));
        bodies.push("no JSON".to_owned());
        send(&worker, "orders", &bodies).await;
        worker.wait_for_metric(PATIENCE, "wasmill_mapping_verdicts_total", &[("verdict", "done")], 10).await;
        worker.sqs().wait_for_counts(PATIENCE, "rest", Counts::visible(forwarded)).await;
        worker.sqs().wait_for_counts(PATIENCE, "orders", Counts::in_flight(left)).await;
        let matches = |filter| [("filter", filter)];
        assert_eq!(worker.metric("wasmill_mapping_filter_matches_total", &matches("0")).await as u32, 10);
        assert_eq!(worker.metric("wasmill_mapping_filter_matches_total", &matches("none")).await as u32, 7);
        worker.stop().await;
    }
}
