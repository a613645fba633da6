//! sqs-semantics §3, tags.

use serde_json::json;

use crate::client::each;
use crate::queue::Queue;

/// §3 Tags [A:test_tag_untag_queue, test_tags_case_sensitive, test_untag_queue_ignores_non_existing_tag,
/// test_tag_queue_overwrites_existing_tag].
#[tokio::test]
async fn tags_come_and_go() {
    each(async |api| {
        let queue = Queue::plain(&api, "tags").await;
        let steps = [
            (
                "an empty value is a value",
                "TagQueue",
                json!({"Tags": {"tag1": "value1", "tag2": "value2", "tag3": ""}}),
                json!({"Tags": {"tag1": "value1", "tag2": "value2", "tag3": ""}}),
            ),
            (
                "untag of an unknown key does nothing",
                "UntagQueue",
                json!({"TagKeys": ["tag1", "tag3", "unknown"]}),
                json!({"Tags": {"tag2": "value2"}}),
            ),
            (
                "a tag is overwritten",
                "TagQueue",
                json!({"Tags": {"tag2": "VALUE2"}}),
                json!({"Tags": {"tag2": "VALUE2"}}),
            ),
            (
                "keys are case-sensitive",
                "TagQueue",
                json!({"Tags": {"TAG2": "other"}}),
                json!({"Tags": {"tag2": "VALUE2", "TAG2": "other"}}),
            ),
            ("without tags there is no Tags", "UntagQueue", json!({"TagKeys": ["tag2", "TAG2"]}), json!({})),
        ];
        for (rule, action, members, expected) in steps {
            assert_eq!(queue.ok(action, &members).await, json!({}), "{rule}");
            assert_eq!(queue.ok("ListQueueTags", &json!({})).await, expected, "{rule}");
        }
    })
    .await;
}

/// §3 Tags: text of any language, as it was given.
#[tokio::test]
async fn tags_keep_their_characters() {
    each(async |api| {
        let queue = Queue::plain(&api, "tags").await;
        let tags = json!({"Größe & Maß": "<\"1\"> + 2 = 三", "a:b/c@d": " x "});
        queue.ok("TagQueue", &json!({"Tags": tags})).await;
        assert_eq!(queue.ok("ListQueueTags", &json!({})).await, json!({"Tags": tags}));
    })
    .await;
}
