//! sqs-semantics §2: lists and their pages. Paged only when `MaxResults` was given.

use serde_json::{Value, json};

use crate::client::{Api, each};
use crate::errors::INVALID_PARAMETER;
use crate::queue::{Queue, list, redrive_to, unique};

/// All pages of a list, and how long each was.
async fn pages(api: &Api, action: &str, members: &Value, name: &str) -> (Vec<Value>, Vec<usize>) {
    let (mut all, mut lengths) = (Vec::new(), Vec::new());
    let mut asked = members.clone();
    loop {
        let page = api.ok(action, &asked).await;
        lengths.push(list(&page, name).len());
        all.extend(list(&page, name));
        match page.get("NextToken") {
            Some(token) => asked["NextToken"] = token.clone(),
            None => return (all, lengths),
        }
        assert!(lengths.len() < 100, "the pages do not end");
    }
}

/// §2 Pagination [A:test_list_queues, test_list_queues_pagination].
#[tokio::test]
async fn queues_are_listed_by_prefix_and_in_pages() {
    each(async |api| {
        let prefix = unique("listed") + "-";
        let mut urls = Vec::new();
        for index in 0..5 {
            urls.push(json!(Queue::named(&api, format!("{prefix}{index}"), &json!({})).await.url));
        }
        let whole = api.ok("ListQueues", &json!({"QueueNamePrefix": prefix})).await;
        assert_eq!(whole, json!({"QueueUrls": urls}), "without MaxResults there is no token");
        for (max_results, expected) in [(2, vec![2, 2, 1]), (5, vec![5]), (1000, vec![5])] {
            let asked = json!({"QueueNamePrefix": prefix, "MaxResults": max_results});
            let (all, lengths) = pages(&api, "ListQueues", &asked, "QueueUrls").await;
            assert_eq!((&all, lengths), (&urls, expected), "{max_results}");
        }
        let everything = api.ok("ListQueues", &json!({})).await;
        assert!(urls.iter().all(|url| list(&everything, "QueueUrls").contains(url)), "{everything}");
        let bad = json!({"QueueNamePrefix": prefix, "MaxResults": 2, "NextToken": "no token of ours"});
        api.refused("ListQueues", &bad).await.assert_kind(INVALID_PARAMETER);
    })
    .await;
}

/// §2 ListDeadLetterSourceQueues: `queueUrls` with a lower-case q [A:test_dead_letter_queue_list_sources].
#[tokio::test]
async fn the_sources_of_a_dead_letter_queue_are_listed() {
    each(async |api| {
        let dlq = Queue::plain(&api, "sources-dlq").await;
        assert_eq!(list(&dlq.ok("ListDeadLetterSourceQueues", &json!({})).await, "queueUrls"), [json!(0); 0]);
        let mut urls = Vec::new();
        for index in 0..3 {
            let source = Queue::new(&api, &format!("source-{index}"), &redrive_to(&dlq, 50)).await;
            urls.push(json!(source.url));
        }
        Queue::plain(&api, "no-source").await;
        let sorted = |mut urls: Vec<Value>| {
            urls.sort_by_key(ToString::to_string);
            urls
        };
        urls = sorted(urls);
        let whole = dlq.ok("ListDeadLetterSourceQueues", &json!({})).await;
        assert_eq!((sorted(list(&whole, "queueUrls")), whole.get("NextToken")), (urls.clone(), None));
        let asked = json!({"QueueUrl": dlq.url, "MaxResults": 2});
        let (all, lengths) = pages(&api, "ListDeadLetterSourceQueues", &asked, "queueUrls").await;
        assert_eq!((sorted(all), lengths), (urls, vec![2, 1]));
    })
    .await;
}
