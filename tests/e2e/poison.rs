//! One message that crashes its handler: it is found, and the others of its batch are handled on their first delivery.

use support::config::{IN_MEMORY, function, mapping, queue_with_dlq};
use support::{Counts, PATIENCE, Wasmill};

#[tokio::test]
async fn nine_of_ten_succeed_at_once_and_the_poison_is_dead_after_its_receives() {
    let keys = "batch_size = 10\nmaximum_batching_window_in_seconds = 1";
    let config = IN_MEMORY.to_owned()
        + &queue_with_dlq("orders", 1, 2)
        + &function("orders", "faulty", "")
        + &mapping("orders", "orders", keys);
    let worker = Wasmill::start(&config).await;
    let sqs = worker.sqs();
    let mut bodies: Vec<String> = (0..10).map(|n| format!("plain {n}")).collect();
    bodies[6] = r#"{"do":"trap"}"#.to_owned();
    let ids = sqs.send_batch("orders", &bodies).await;
    let dead = sqs.receive_all(PATIENCE, "orders-dlq", 1).await;
    assert_eq!(dead[0].message_id(), Some(ids[6].as_str()));
    sqs.wait_for_counts(PATIENCE, "orders", Counts::EMPTY).await;
    let verdicts = |verdict| [("verdict", verdict)];
    assert_eq!(worker.metric("wasmill_mapping_verdicts_total", &verdicts("done")).await as u32, 9);
    assert_eq!(worker.metric("wasmill_mapping_verdicts_total", &verdicts("retry")).await as u32, 2);
    assert_eq!(worker.metric("wasmill_mapping_poison_messages_total", &[]).await as u32, 1);
    let extra = worker.metric("wasmill_mapping_bisect_invocations_total", &[]).await;
    assert!(extra <= 5.0, "{extra} further invocations for one culprit in ten");
    worker.stop().await;
}
