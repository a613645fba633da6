//! A request means the same in both protocols: each row is one request, as AWS JSON and as the form of the query model
//! (the flattened names of botocore 1.31's `service-2.json`).

#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::codec::json;
use crate::wire::ACTIONS;

fn from_form(form: &str) -> Result<Option<Request>, ActionError> {
    decode_form([form.as_bytes(), b""], false)
}

fn refusal(form: &str) -> String {
    from_form(form).unwrap_err().answer().text.into_owned()
}

#[test]
fn both_protocols_read_the_same_request() {
    let rows = [
        (
            "CreateQueue",
            r#"{"QueueName":"q","Attributes":{"DelaySeconds":"5","Policy":""},"tags":{"team":"a b","x":""}}"#,
            "QueueName=q&Attribute.1.Name=DelaySeconds&Attribute.1.Value=5&Attribute.2.Name=Policy&Attribute.2.Value=\
             &Tag.1.Key=team&Tag.1.Value=a+b&Tag.2.Key=x&Tag.2.Value=",
        ),
        ("DeleteQueue", r#"{"QueueUrl":"http://h/1/q"}"#, "QueueUrl=http%3A%2F%2Fh%2F1%2Fq"),
        (
            "GetQueueUrl",
            r#"{"QueueName":"q","QueueOwnerAWSAccountId":"000000000000"}"#,
            "QueueName=q&QueueOwnerAWSAccountId=000000000000",
        ),
        (
            "ListQueues",
            r#"{"QueueNamePrefix":"a","MaxResults":5,"NextToken":"cQ=="}"#,
            "QueueNamePrefix=a&MaxResults=5&NextToken=cQ%3D%3D",
        ),
        (
            "GetQueueAttributes",
            r#"{"QueueUrl":"q","AttributeNames":["QueueArn","Policy"]}"#,
            "QueueUrl=q&AttributeName.1=QueueArn&AttributeName.2=Policy",
        ),
        (
            "SetQueueAttributes",
            r#"{"QueueUrl":"q","Attributes":{"VisibilityTimeout":"7"}}"#,
            "QueueUrl=q&Attribute.1.Name=VisibilityTimeout&Attribute.1.Value=7",
        ),
        ("PurgeQueue", r#"{"QueueUrl":"q"}"#, "QueueUrl=q"),
        ("TagQueue", r#"{"QueueUrl":"q","Tags":{"k":"v"}}"#, "QueueUrl=q&Tag.1.Key=k&Tag.1.Value=v"),
        ("UntagQueue", r#"{"QueueUrl":"q","TagKeys":["k","l"]}"#, "QueueUrl=q&TagKey.1=k&TagKey.2=l"),
        ("ListQueueTags", r#"{"QueueUrl":"q"}"#, "QueueUrl=q"),
        (
            "AddPermission",
            r#"{"QueueUrl":"q","Label":"l","AWSAccountIds":["111111111111"],"Actions":["SendMessage","*"]}"#,
            "QueueUrl=q&Label=l&AWSAccountId.1=111111111111&ActionName.1=SendMessage&ActionName.2=*",
        ),
        ("RemovePermission", r#"{"QueueUrl":"q","Label":"l"}"#, "QueueUrl=q&Label=l"),
        (
            "ListDeadLetterSourceQueues",
            r#"{"QueueUrl":"q","MaxResults":2,"NextToken":"t"}"#,
            "QueueUrl=q&MaxResults=2&NextToken=t",
        ),
        (
            "SendMessage",
            r#"{"QueueUrl":"q","MessageBody":"h\u00e9 <&> \r\n 50%+","DelaySeconds":3,"MessageGroupId":"g",
                "MessageDeduplicationId":"d",
                "MessageAttributes":{"t":{"DataType":"String.x","StringValue":"v w"},
                                     "b":{"DataType":"Binary","BinaryValue":"AP8="}},
                "MessageSystemAttributes":{"AWSTraceHeader":{"DataType":"String","StringValue":"Root=1"}}}"#,
            "QueueUrl=q&MessageBody=h%C3%A9+%3C%26%3E%20%0D%0a%2050%25%2B&DelaySeconds=3&MessageGroupId=g\
             &MessageDeduplicationId=d&MessageAttribute.1.Name=t&MessageAttribute.1.Value.DataType=String.x\
             &MessageAttribute.1.Value.StringValue=v+w&MessageAttribute.2.Name=b\
             &MessageAttribute.2.Value.DataType=Binary&MessageAttribute.2.Value.BinaryValue=AP8%3D\
             &MessageSystemAttribute.1.Name=AWSTraceHeader&MessageSystemAttribute.1.Value.DataType=String\
             &MessageSystemAttribute.1.Value.StringValue=Root%3D1",
        ),
        (
            "SendMessageBatch",
            r#"{"QueueUrl":"q","Entries":[{"Id":"a","MessageBody":"x","MessageGroupId":"g"},
                {"Id":"b","MessageBody":"y","DelaySeconds":1,
                 "MessageAttributes":{"n":{"DataType":"Number","StringValue":"6"}}}]}"#,
            "QueueUrl=q&SendMessageBatchRequestEntry.1.Id=a&SendMessageBatchRequestEntry.1.MessageBody=x\
             &SendMessageBatchRequestEntry.1.MessageGroupId=g&SendMessageBatchRequestEntry.2.Id=b\
             &SendMessageBatchRequestEntry.2.MessageBody=y&SendMessageBatchRequestEntry.2.DelaySeconds=1\
             &SendMessageBatchRequestEntry.2.MessageAttribute.1.Name=n\
             &SendMessageBatchRequestEntry.2.MessageAttribute.1.Value.DataType=Number\
             &SendMessageBatchRequestEntry.2.MessageAttribute.1.Value.StringValue=6",
        ),
        (
            "ReceiveMessage",
            r#"{"QueueUrl":"q","MaxNumberOfMessages":10,"VisibilityTimeout":0,"WaitTimeSeconds":20,
                "AttributeNames":["All"],"MessageSystemAttributeNames":["SenderId"],
                "MessageAttributeNames":["a.*","b"],"ReceiveRequestAttemptId":"r"}"#,
            "QueueUrl=q&MaxNumberOfMessages=10&VisibilityTimeout=0&WaitTimeSeconds=20&AttributeName.1=All\
             &MessageSystemAttributeName.1=SenderId&MessageAttributeName.1=a.*&MessageAttributeName.2=b\
             &ReceiveRequestAttemptId=r",
        ),
        ("DeleteMessage", r#"{"QueueUrl":"q","ReceiptHandle":"a+b/="}"#, "QueueUrl=q&ReceiptHandle=a%2Bb/%3D"),
        (
            "DeleteMessageBatch",
            r#"{"Entries":[{"Id":"a","ReceiptHandle":"h"}]}"#,
            "DeleteMessageBatchRequestEntry.1.Id=a&DeleteMessageBatchRequestEntry.1.ReceiptHandle=h",
        ),
        (
            "ChangeMessageVisibility",
            r#"{"QueueUrl":"q","ReceiptHandle":"h","VisibilityTimeout":43200}"#,
            "QueueUrl=q&ReceiptHandle=h&VisibilityTimeout=43200",
        ),
        (
            "ChangeMessageVisibilityBatch",
            r#"{"Entries":[{"Id":"a","ReceiptHandle":"h","VisibilityTimeout":5}]}"#,
            "ChangeMessageVisibilityBatchRequestEntry.1.Id=a&ChangeMessageVisibilityBatchRequestEntry.1.ReceiptHandle=h\
             &ChangeMessageVisibilityBatchRequestEntry.1.VisibilityTimeout=5",
        ),
        (
            "StartMessageMoveTask",
            r#"{"SourceArn":"s","DestinationArn":"d","MaxNumberOfMessagesPerSecond":9}"#,
            "SourceArn=s&DestinationArn=d&MaxNumberOfMessagesPerSecond=9",
        ),
        ("CancelMessageMoveTask", r#"{"TaskHandle":"h"}"#, "TaskHandle=h"),
        ("ListMessageMoveTasks", r#"{"SourceArn":"s","MaxResults":10}"#, "SourceArn=s&MaxResults=10"),
    ];
    let mut covered: Vec<&str> = rows.iter().map(|(action, ..)| *action).collect();
    covered.sort_unstable();
    assert_eq!(covered, ACTIONS);
    for (action, json, form) in rows {
        let from_json = json::decode(action, json.as_bytes()).unwrap();
        let from_form = from_form(&format!("Version=2012-11-05&Action={action}&{form}")).unwrap().unwrap();
        assert_eq!(format!("{from_form:?}"), format!("{from_json:?}"));
        assert_eq!(from_form.action(), action);
        let bare = decode_form([b"", format!("Action={action}").as_bytes()], false).unwrap().unwrap();
        assert_eq!(format!("{bare:?}"), format!("{:?}", json::decode(action, b"{}").unwrap()), "without members");
    }
}

#[test]
fn older_and_odd_spellings_are_understood() {
    let attributes = |form: &str| {
        let Some(Request::SetQueueAttributes(request)) =
            from_form(&format!("Action=SetQueueAttributes&{form}")).unwrap()
        else {
            panic!("{form}")
        };
        let pairs = request.attributes.unwrap_or_default().0;
        pairs.into_iter().map(|(name, value)| format!("{name}={}", value.0)).collect::<Vec<_>>().join(" ")
    };
    for (form, expected, why) in [
        ("Attribute.Name=A&Attribute.Value=1", "A=1", "a single pair without an index"),
        ("Attribute.7.Value=1&Attribute.2.Name=B&Attribute.7.Name=A&Attribute.2.Value=2", "B=2 A=1", "gaps, any order"),
        ("Attribute.10.Name=J&Attribute.10.Value=10&Attribute.9.Name=I&Attribute.9.Value=9", "I=9 J=10", "by value"),
        ("Attribute.0.Name=A&Attribute.0.Value=1&&", "A=1", "an index of 0, and empty pairs"),
        ("Attribute.1.Name=A&Attribute.1.Value=1&Attribute.1.Value=2", "A=1", "the first of two counts"),
        ("Attribute=x&Attribute.1=y&Attribute.1.Name=A&Attribute.1.Value=1", "A=1", "values where structures are"),
        ("AttributeX.1.Name=A&Attributes.1.Name=B&Attribute=C&Unheard.1.x=1", "", "other names are ignored"),
    ] {
        assert_eq!(attributes(form), expected, "{why}: {form}");
    }
    let names = |form: &str| {
        let Some(Request::GetQueueAttributes(request)) =
            from_form(&format!("Action=GetQueueAttributes&{form}")).unwrap()
        else {
            panic!("{form}")
        };
        request.attribute_names.unwrap_or_default().0.join(" ")
    };
    assert_eq!(names("AttributeName=All"), "All", "a single name without an index");
    assert_eq!(names("AttributeName.30=C&AttributeName.4=B&AttributeName.1=A"), "A B C");
    assert_eq!(names("AttributeName="), "", "what old botocore sends for an empty list");
}

#[test]
fn what_cannot_be_read_is_named() {
    for (form, expected) in [
        ("Action=Frobnicate", "The action Frobnicate is not valid for this endpoint."),
        (
            "Action=ReceiveMessage&WaitTimeSeconds=soon",
            "Value soon for parameter WaitTimeSeconds is invalid. Reason: It must be an integer.",
        ),
        (
            "Action=SendMessage&MessageAttribute.1.Value.BinaryValue=*",
            "Value * for parameter BinaryValue is invalid. Reason: It must be base64 text.",
        ),
        ("Action=SendMessage&MessageBody=%zz", "The value of MessageBody is not UTF-8 text."),
        ("Action=SendMessage&MessageBody=%4", "The value of MessageBody is not UTF-8 text."),
        ("Action=SendMessage&MessageBody=%ff", "The value of MessageBody is not UTF-8 text."),
        ("Action=SendMessage&%ff=x", "The name of a parameter is not UTF-8 text."),
        ("Action=TagQueue&Tag.01.Key=a&Tag.01.Value=b", "The request must contain the parameter Tag.Key."),
        ("Action=TagQueue&Tag.1=a", "The request must contain the parameter Tag.Key."),
        ("Action=TagQueue&Tag.1.Key=a", "The request must contain the parameter Tag.Value."),
        ("Action=TagQueue&Tag.1.Value=a", "The request must contain the parameter Tag.Key."),
        ("Action=SetQueueAttributes&Attribute.1.Name=a", "The request must contain the parameter Attribute.Value."),
    ] {
        assert!(refusal(form).starts_with(expected), "{form}: {}", refusal(form));
    }
    for none in ["", "Version=2012-11-05", "Action=&Version=2012-11-05", "action=ListQueues"] {
        assert!(from_form(none).unwrap().is_none(), "{none:?}");
    }
}

#[test]
fn a_queues_url_has_no_queues_to_list_or_create() {
    for action in ["CreateQueue", "ListQueues"] {
        let form = format!("Action={action}&QueueName=q");
        let refused = decode_form([b"", form.as_bytes()], true).unwrap_err();
        assert_eq!(refused, ActionError::InvalidAction { action: action.into() });
    }
    assert!(decode_form([b"", b"Action=GetQueueUrl&QueueName=q"], true).unwrap().is_some());
}

#[test]
fn nothing_grows_without_a_limit() {
    let many = |count: usize, pair: &dyn Fn(usize) -> String| (0..count).map(pair).collect::<Vec<_>>().join("&");
    let parameters = many(5000, &|index| format!("x{index}=1"));
    assert_eq!(refusal(&format!("Action=ListQueues&{parameters}")), "The request has more than 4096 parameters.");
    let names = many(1001, &|index| format!("AttributeName.{index}=x"));
    let expected = "The value of AttributeName cannot be read: it has more than 1000 members.";
    assert_eq!(refusal(&format!("Action=ReceiveMessage&{names}")), expected);
    let entries = many(20, &|index| format!("DeleteMessageBatchRequestEntry.{index}.Id=a{index}"));
    let request = from_form(&format!("Action=DeleteMessageBatch&{entries}")).unwrap();
    let Some(Request::DeleteMessageBatch(request)) = request else { panic!() };
    let entries = request.entries.unwrap();
    assert_eq!((entries.sent, entries.first.len()), (20, 10), "all are counted, so that the error tells the number");
}
