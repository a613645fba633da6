//! Fair standard queues in memory, under paused time: how many messages a quiet tenant's waits for (sqs-semantics §7).

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::advance;

use crate::contract::Queue;
use crate::fixtures::{bodies, counts, create, delete, in_memory, take, text};
use crate::local::LocalQueue;
use crate::message::{Message, OutgoingMessage};

fn of(tenant: &str, body: &str) -> OutgoingMessage {
    OutgoingMessage { group_id: Some(tenant.to_owned()), ..text(body) }
}

async fn send(queue: &LocalQueue, tenant: &str, count: usize) {
    for some in (0..count).map(|_| of(tenant, tenant)).collect::<Vec<_>>().chunks(1000) {
        assert!(queue.send(some.to_vec()).await.unwrap().iter().all(Result::is_ok));
    }
}

async fn take_one_of_many(queue: &LocalQueue) -> Message {
    take(queue, 1).await.remove(0)
}

#[tokio::test(start_paused = true)]
async fn a_quiet_tenants_message_is_among_the_next_two_however_deep_another_floods() {
    // So many messages of the flood are always worked on: none where its work is done at once.
    for busy in [0, 1, 4, 16] {
        let broker = in_memory().await;
        let queue = create(&broker, "q", &[]).await;
        send(&queue, "flood", 20_000).await;
        let mut held: VecDeque<Message> = take(&queue, 16).await.into();
        for round in 0..200 {
            send(&queue, "quiet", 1).await;
            let mut receives = 0;
            loop {
                receives += 1;
                let message = take_one_of_many(&queue).await;
                if message.body == "quiet" {
                    delete(&queue, &message.receipt).await.unwrap();
                    break;
                }
                held.push_back(message);
                while held.len() > busy {
                    delete(&queue, &held.pop_front().unwrap().receipt).await.unwrap();
                }
            }
            assert!(receives <= 2, "{receives} in round {round} with {busy} in flight");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_of_many_tenants_is_served_once_before_any_is_served_twice() {
    let broker = in_memory().await;
    let queue = create(&broker, "q", &[]).await;
    let tenants = ["a", "b", "c", "d", "e"];
    for tenant in tenants {
        send(&queue, tenant, 100).await;
    }
    for _ in 0..10 {
        let mut served: Vec<String> = take(&queue, 5).await.into_iter().map(|message| message.body).collect();
        served.sort();
        assert_eq!(served, tenants);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_tenant_is_passed_by_the_others_and_not_starved() {
    let broker = in_memory().await;
    let queue = create(&broker, "q", &[("VisibilityTimeout", "43200")]).await;
    send(&queue, "slow", 2000).await;
    send(&queue, "quick", 2000).await;
    let (mut slow, mut quick) = (0, 0);
    for _ in 0..1000 {
        let message = take_one_of_many(&queue).await;
        if message.body == "slow" {
            slow += 1;
        } else {
            quick += 1;
            delete(&queue, &message.receipt).await.unwrap();
        }
    }
    assert!(slow >= 20 && quick >= 900, "slow {slow}, quick {quick}");
}

#[tokio::test(start_paused = true)]
async fn a_backlog_is_served_beside_tenants_that_come_and_go() {
    let broker = in_memory().await;
    let queue = create(&broker, "q", &[]).await;
    send(&queue, "backlog", 100).await;
    let mut of_the_backlog = 0;
    for number in 0..100 {
        // A tenant of its own for each message, as where the group id is an order's number.
        send(&queue, &format!("order {number}").replace(' ', "-"), 1).await;
        let message = take_one_of_many(&queue).await;
        of_the_backlog += usize::from(message.body == "backlog");
        delete(&queue, &message.receipt).await.unwrap();
    }
    assert!(of_the_backlog > 0, "starved");
}

#[tokio::test(start_paused = true)]
async fn messages_of_one_tenant_run_in_parallel_and_what_has_no_tenant_is_one() {
    let broker = in_memory().await;
    let queue = create(&broker, "q", &[("VisibilityTimeout", "10")]).await;
    queue.send(vec![text("none"), text("none"), text("none")]).await.unwrap();
    send(&queue, "a", 2).await;
    assert_eq!(bodies(&take(&queue, 4).await), ["none", "a", "none", "a"]);
    assert_eq!(counts(&queue), (1, 4, 0), "no lock");
    advance(Duration::from_secs(10)).await;
    let messages = take(&queue, 10).await;
    let groups: Vec<Option<&str>> = messages.iter().map(|message| message.system.group_id.as_deref()).collect();
    assert_eq!((groups.iter().flatten().count(), groups.len()), (2, 5));
}
