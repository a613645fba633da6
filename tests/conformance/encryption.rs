//! sqs-semantics §3, server-side encryption: nothing is encrypted here, but the attributes behave as on SQS.

use serde_json::{Value, json};

use crate::client::each;
use crate::errors::{INVALID_ATTRIBUTE_NAME, INVALID_ATTRIBUTE_VALUE};
use crate::queue::Queue;

const NAMES: [&str; 3] = ["KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds", "SqsManagedSseEnabled"];

async fn shown(queue: &Queue) -> Value {
    queue.attributes(&NAMES).await
}

/// §3 Kms* [A:test_sse_queue_attributes, test_set_queue_attributes_default_values].
#[tokio::test]
async fn a_key_takes_the_place_of_managed_encryption() {
    each(async |api| {
        let queue = Queue::plain(&api, "kms").await;
        assert_eq!(shown(&queue).await, json!({"SqsManagedSseEnabled": "true"}));
        queue.set(&json!({"KmsMasterKeyId": "testKeyId", "KmsDataKeyReusePeriodSeconds": "6000"})).await;
        let with_key = json!({"KmsMasterKeyId": "testKeyId", "KmsDataKeyReusePeriodSeconds": "6000",
            "SqsManagedSseEnabled": "false"});
        assert_eq!(shown(&queue).await, with_key);
        // Without the key neither is shown, and managed encryption does not come back by itself.
        queue.set(&json!({"KmsMasterKeyId": "", "KmsDataKeyReusePeriodSeconds": "300"})).await;
        assert_eq!(shown(&queue).await, json!({"SqsManagedSseEnabled": "false"}));
        queue.set(&json!({"SqsManagedSseEnabled": "true"})).await;
        assert_eq!(shown(&queue).await, json!({"SqsManagedSseEnabled": "true"}));
        // Said in one breath that the other is off.
        queue.set(&with_key).await;
        assert_eq!(shown(&queue).await, with_key);
    })
    .await;
}

/// §3 Kms*: without a period the default of 300 s.
#[tokio::test]
async fn a_key_has_a_default_period() {
    each(async |api| {
        let queue = Queue::new(&api, "kms", &json!({"KmsMasterKeyId": "alias/aws/sqs"})).await;
        let found = shown(&queue).await;
        assert_eq!(
            (&found["KmsMasterKeyId"], &found["SqsManagedSseEnabled"]),
            (&json!("alias/aws/sqs"), &json!("false"))
        );
        assert_eq!(found["KmsDataKeyReusePeriodSeconds"], json!("300"));
    })
    .await;
}

/// §3 SqsManagedSseEnabled [A:test_sse_kms_and_sqs_are_mutually_exclusive]; the period's range.
#[tokio::test]
async fn both_kinds_of_encryption_at_once_are_refused() {
    each(async |api| {
        let queue = Queue::plain(&api, "kms").await;
        let both = json!({"Attributes": {"KmsMasterKeyId": "testKeyId", "SqsManagedSseEnabled": "true"}});
        queue.refused("SetQueueAttributes", &both).await.assert_is(
            INVALID_ATTRIBUTE_NAME,
            "You can use one type of server-side encryption (SSE) at one time. \
             You can either enable KMS SSE or SQS SSE.",
        );
        for bad in ["59", "86401"] {
            let attributes = json!({"Attributes": {"KmsMasterKeyId": "k", "KmsDataKeyReusePeriodSeconds": bad}});
            queue.refused("SetQueueAttributes", &attributes).await.assert_kind(INVALID_ATTRIBUTE_VALUE);
        }
        assert_eq!(shown(&queue).await, json!({"SqsManagedSseEnabled": "true"}));
        for good in ["60", "86400"] {
            queue.set(&json!({"KmsMasterKeyId": "k", "KmsDataKeyReusePeriodSeconds": good})).await;
            assert_eq!(shown(&queue).await["KmsDataKeyReusePeriodSeconds"], json!(good));
        }
    })
    .await;
}
