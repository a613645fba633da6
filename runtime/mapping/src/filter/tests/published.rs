//! The examples that AWS publishes for event patterns, on bodies that carry the event: EventBridge's user guide,
//! "Content filtering" and "Comparison operators", and the README of `aws/event-ruler`. The patterns are theirs, most
//! events and all words ours.

use super::matches;

/// Event Ruler's sample event, with what its array example adds.
const SAMPLE: &str = r#"{
    "version": "0", "id": "ddddd4-aaaa-7777-4444-345dd43cc333", "detail-type": "EC2 Instance State-change Notification",
    "source": "aws.ec2", "account": "012345679012", "time": "2017-10-02T16:24:49Z", "region": "us-east-1",
    "resources": ["arn:aws:ec2:us-east-1:123456789012:instance/i-000000aaaaaa00000"],
    "detail": {"c-count": 5, "d-count": 3, "x-limit": 301.8, "source-ip": "10.0.0.33", "state": "running"},
    "employees": [
        {"firstName": "John", "lastName": "Doe"}, [{"firstName": "Anna", "lastName": "Smith"}],
        {"firstName": "Peter", "lastName": "Jones"}
    ]
}"#;

fn check(rows: &[(&str, &str, bool)]) {
    for (fields, event, expected) in rows {
        assert_eq!(matches(&format!(r#"{{"body":{fields}}}"#), event), *expected, "{fields} on {event}");
    }
}

#[test]
fn patterns_on_event_rulers_sample_event() {
    let rows = [
        (
            r#"{"detail-type":["EC2 Instance State-change Notification"],"detail":{"state":["initializing","running"]}}"#,
            true,
        ),
        (r#"{"resources":["arn:aws:ec2:us-east-1:123456789012:instance/i-000000aaaaaa00000"]}"#, true),
        (r#"{"time":[{"prefix":"2017-10-02"}]}"#, true),
        (r#"{"source":[{"suffix":"ec2"}]}"#, true),
        (r#"{"source":[{"equals-ignore-case":"AWS.EC2"}]}"#, true),
        (r#"{"source":[{"equals-ignore-case":"EC2"}]}"#, false),
        (r#"{"source":[{"wildcard":"Simple*Service"}]}"#, false),
        (r#"{"detail":{"state":[{"anything-but":"initializing"}]}}"#, true),
        (r#"{"detail":{"x-limit":[{"anything-but":123}]}}"#, true),
        (r#"{"detail":{"state":[{"anything-but":["stopped","overloaded"]}]}}"#, true),
        (r#"{"detail":{"x-limit":[{"anything-but":[100,200,300]}]}}"#, true),
        (r#"{"detail":{"state":[{"anything-but":{"prefix":"init"}}]}}"#, true),
        (r#"{"detail":{"state":[{"anything-but":{"prefix":"run"}}]}}"#, false),
        (
            r#"{"detail":{"c-count":[{"numeric":[">",0,"<=",5]}],"d-count":[{"numeric":["<",10]}],"x-limit":[{"numeric":["=",3.018e2]}]}}"#,
            true,
        ),
        (r#"{"detail":{"source-ip":[{"cidr":"10.0.0.0/24"}]}}"#, true),
        (r#"{"detail":{"c-count":[{"exists":true}]}}"#, true),
        (r#"{"detail":{"c-count":[{"exists":false}]}}"#, false),
        (r#"{"detail":{"e-count":[{"exists":false}]}}"#, true),
        (r#"{"detail":[{"exists":false}]}"#, true),
        (
            r#"{"time":[{"prefix":"2017-10-02"}],"detail":{"state":[{"anything-but":"initializing"}],
                "c-count":[{"numeric":[">",0,"<=",5]}],"d-count":[{"numeric":["<",10]}],
                "x-limit":[{"anything-but":[100,200,300]}],"source-ip":[{"cidr":"10.0.0.0/8"}]}}"#,
            true,
        ),
        (r#"{"employees":{"firstName":["Anna"]}}"#, true),
        (r#"{"employees":{"firstName":["Anna"],"lastName":["Smith"]}}"#, true),
        (r#"{"employees":{"firstName":["Anna"],"lastName":["Jones"]}}"#, false),
    ];
    check(&rows.map(|(fields, expected)| (fields, SAMPLE, expected)));
}

#[test]
fn the_table_of_comparison_operators() {
    check(&[
        (r#"{"Location":["New York"],"Day":["Monday"]}"#, r#"{"Location":"New York","Day":"Monday"}"#, true),
        (r#"{"Location":["New York"],"Day":["Monday"]}"#, r#"{"Location":"New York","Day":"Friday"}"#, false),
        (r#"{"state":[{"anything-but":"initializing"}]}"#, r#"{"state":"initializing"}"#, false),
        (r#"{"Region":[{"anything-but":{"prefix":"us-"}}]}"#, r#"{"Region":"eu-west-1"}"#, true),
        (r#"{"FileName":[{"anything-but":{"suffix":".png"}}]}"#, r#"{"FileName":"cat.png"}"#, false),
        (r#"{"state":[{"anything-but":{"equals-ignore-case":"initializing"}}]}"#, r#"{"state":"INITIALIZING"}"#, false),
        (r#"{"FilePath":[{"anything-but":{"wildcard":"*/lib/*"}}]}"#, r#"{"FilePath":"/usr/lib/x"}"#, false),
        (r#"{"Region":[{"prefix":"us-"}]}"#, r#"{"Region":"us-east-2"}"#, true),
        (r#"{"service":[{"prefix":{"equals-ignore-case":"eventb"}}]}"#, r#"{"service":"EventBridge"}"#, true),
        (r#"{"LastName":[""]}"#, r#"{"LastName":""}"#, true),
        (r#"{"LastName":[""]}"#, "{}", false),
        (r#"{"Name":["Alice"]}"#, r#"{"Name":"alice"}"#, false),
        (r#"{"Name":[{"equals-ignore-case":"alice"}]}"#, r#"{"Name":"Alice"}"#, true),
        (r#"{"FileName":[{"suffix":".png"}]}"#, r#"{"FileName":"cat.png"}"#, true),
        (r#"{"service":[{"suffix":{"equals-ignore-case":"tbridge"}}]}"#, r#"{"service":"eVENTBRIDGE"}"#, true),
        (r#"{"ProductName":[{"exists":true}]}"#, r#"{"ProductName":null}"#, true),
        (r#"{"ProductName":[{"exists":false}]}"#, r#"{"ProductName":null}"#, false),
        (r#"{"Weather":[{"anything-but":["Raining"]}]}"#, r#"{"Weather":"Sunny"}"#, true),
        (r#"{"UserID":[null]}"#, r#"{"UserID":null}"#, true),
        (r#"{"UserID":[null]}"#, "{}", false),
        (r#"{"Price":[{"numeric":["=",100]}]}"#, r#"{"Price":1e2}"#, true),
        (r#"{"Price":[{"numeric":[">",10,"<=",20]}]}"#, r#"{"Price":10}"#, false),
        (r#"{"PaymentType":["Credit","Debit"]}"#, r#"{"PaymentType":"Debit"}"#, true),
        (r#"{"$or":[{"Location":["New York"]},{"Day":["Monday"]}]}"#, r#"{"Location":"Boston","Day":"Monday"}"#, true),
        (r#"{"$or":[{"Location":["New York"]},{"Day":["Monday"]}]}"#, r#"{"Location":"Boston","Day":"Sunday"}"#, false),
        (r#"{"sourceIPAddress":[{"cidr":"10.0.0.0/24"}]}"#, r#"{"sourceIPAddress":"10.0.0.255"}"#, true),
        (
            r#"{"EventBusArn":[{"wildcard":"arn:*:event-bus/*"}]}"#,
            r#"{"EventBusArn":"arn:aws:events:x:1:event-bus/b"}"#,
            true,
        ),
    ]);
}

#[test]
fn or_across_fields() {
    let nested = r#"{"source":["aws.cloudwatch"],"$or":[{"metricName":["CPUUtilization","ReadLatency"]},
        {"metricType":["MetricType"],"namespace":["AWS/EC2","AWS/ES"],"$or":[{"metricId":[1234]},{"spaceId":[1000]}]},
        {"scope":["Service"]}]}"#;
    let parallel = r#"{"$or":[{"metricName":["CPUUtilization","ReadLatency"]},{"namespace":["AWS/EC2","AWS/ES"]}],
        "detail":{"$or":[{"source":["aws.cloudwatch"]},{"detail-type":["CloudWatch Alarm State Change"]}]}}"#;
    let counts = r#"{"detail":{"$or":[{"c-count":[{"numeric":[">",0,"<=",5]}]},{"d-count":[{"numeric":["<",10]}]},
        {"x-limit":[{"numeric":["=",3.018e2]}]}]}}"#;
    check(&[
        (nested, r#"{"source":"aws.cloudwatch","metricName":"ReadLatency"}"#, true),
        (nested, r#"{"source":"aws.ec2","metricName":"ReadLatency"}"#, false),
        (nested, r#"{"source":"aws.cloudwatch","metricType":"MetricType","namespace":"AWS/ES","spaceId":1000}"#, true),
        (nested, r#"{"source":"aws.cloudwatch","metricType":"MetricType","namespace":"AWS/ES","spaceId":1}"#, false),
        (nested, r#"{"source":"aws.cloudwatch","scope":"Service"}"#, true),
        (parallel, r#"{"namespace":"AWS/EC2","detail":{"source":"aws.cloudwatch"}}"#, true),
        (parallel, r#"{"namespace":"AWS/EC2","detail":{"source":"aws.ec2"}}"#, false),
        (parallel, r#"{"detail":{"source":"aws.cloudwatch"}}"#, false),
        (counts, SAMPLE, true),
        (counts, r#"{"detail":{"c-count":6,"d-count":10,"x-limit":301.9}}"#, false),
    ]);
}
