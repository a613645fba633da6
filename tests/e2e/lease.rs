//! A handler may take longer than the visibility timeout: its messages are kept hidden, and handled once.

use support::config::{IN_MEMORY, function, mapping, queue};
use support::{Counts, PATIENCE, Wasmill};

#[tokio::test]
async fn a_handler_that_outlasts_the_visibility_timeout_runs_once() {
    let config = IN_MEMORY.to_owned()
        + &queue("one-second", "visibility_timeout = 1")
        + &queue("two-seconds", "visibility_timeout = 2")
        + &function("slow", "faulty", "timeout = 30")
        + &mapping("one-second", "slow", "")
        + &mapping("two-seconds", "slow", "");
    let mut worker = Wasmill::start(&config).await;
    let sqs = worker.sqs();
    let body = |queue: &str| format!(r#"[{{"do":"print","text":"begun {queue}\n"}},{{"do":"sleep_ms","ms":5000}}]"#);
    for queue in ["one-second", "two-seconds"] {
        sqs.send(queue, &body(queue)).await;
    }
    worker.wait_for_metric(PATIENCE, "wasmill_queue_deleted_total", &[], 2).await;
    for queue in ["one-second", "two-seconds"] {
        assert_eq!(sqs.counts(queue).await, Counts::EMPTY);
        assert_eq!(worker.log().said("slow", &format!("begun {queue}")).len(), 1, "{queue}: runs");
        let renewed = worker.metric("wasmill_mapping_leases_renewed_total", &[("queue", queue)]).await;
        assert!(renewed >= 2.0, "{queue}: {renewed} renewals in five seconds");
    }
    assert_eq!(worker.metric("wasmill_mapping_received_total", &[]).await as u32, 2);
    assert_eq!(worker.metric("wasmill_mapping_leases_lost_total", &[]).await as u32, 0);
    worker.assert_sound().await;
}

#[tokio::test]
async fn a_whole_batch_is_kept_while_its_records_are_worked_through() {
    let config = IN_MEMORY.to_owned()
        + &queue("batch", "visibility_timeout = 2")
        + &function("slow", "faulty", "timeout = 60")
        + &mapping("batch", "slow", "");
    let worker = Wasmill::start(&config).await;
    let sqs = worker.sqs();
    let body = |n| format!(r#"[{{"do":"print","text":"at {n}\n"}},{{"do":"sleep_ms","ms":400}}]"#);
    sqs.send_batch("batch", &(0..10).map(body).collect::<Vec<_>>()).await;
    worker.wait_for_metric(PATIENCE, "wasmill_queue_deleted_total", &[], 10).await;
    assert_eq!(sqs.counts("batch").await, Counts::EMPTY);
    for n in 0..10 {
        assert_eq!(worker.log().said("slow", &format!("at {n}")).len(), 1, "message {n}");
    }
}
