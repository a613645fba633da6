//! The rules of esm-semantics §5, row by row. `published.rs` has EventBridge's examples, `bounds.rs` what must not
//! take long.

#![expect(clippy::unwrap_used, reason = "tests")]

mod bounds;
mod published;

use wasmill_event::{AttributeValue, MessageAttribute, Record, SystemValue};

use super::{FilterError, Filters};

pub(super) fn record(body: &str) -> Record {
    Record {
        message_id: "059f36b4-87a3-44ab-83d2-661975830a7d".into(),
        receipt_handle: "AQEB".into(),
        body: body.into(),
        attributes: vec![
            ("ApproximateReceiveCount", SystemValue::Number(1)),
            ("SenderId", SystemValue::Text("AIDA".into())),
        ],
        message_attributes: Vec::new(),
        md5_of_message_attributes: None,
        md5_of_body: "e4e68fb7bd0e697a0ae8f1bb342846b3".into(),
        event_source_arn: "arn:aws:sqs:eu-west-1:000000000000:orders".into(),
        aws_region: "eu-west-1".into(),
    }
}

fn matches(pattern: &str, body: &str) -> bool {
    match Filters::parse(&[pattern]) {
        Ok(filters) => filters.first_match(&record(body)).is_some(),
        Err(error) => panic!("{pattern}: {error}"),
    }
}

/// Rows of a pattern for `{"body":{"a":…}}`, and the values of `a` that it matches and does not. No value: `a` is not
/// there.
fn check_field(rows: &[(&str, &[&str], &[&str])]) {
    for (list, matching, other) in rows {
        let pattern = format!(r#"{{"body":{{"a":{list}}}}}"#);
        for (values, expected) in [(matching, true), (other, false)] {
            for value in *values {
                let body = if value.is_empty() { r#"{"z":1}"#.to_owned() } else { format!(r#"{{"a":{value}}}"#) };
                assert_eq!(matches(&pattern, &body), expected, "{pattern} on {body}");
            }
        }
    }
}

fn refused(pattern: &str) -> String {
    let error = Filters::parse(&[pattern]).err().unwrap_or_else(|| panic!("{pattern} was taken"));
    assert_eq!(error.index, 0);
    assert_eq!(error.to_string(), format!("Invalid filter pattern definition. Filters[0]: {}", error.detail));
    error.detail
}

#[test]
fn the_body_rule() {
    // esm-semantics §5.2 in its order, then the open rows as decided there: only objects and arrays are JSON.
    let text = r#"{"body":["hello",{"prefix":"4"},"\"x\"","true","{\"a\":"]}"#;
    let metadata = r#"{"messageId":[{"prefix":"059f"}]}"#;
    let object = r#"{"body":{"a":[1]}}"#;
    let rows = [
        ("hello", text, true),
        ("goodbye", text, false),
        ("hello", metadata, true),
        ("hello", object, false),
        (r#"{"a":1}"#, text, false),
        (r#"{"a":1}"#, r#"{"body":[{"exists":true}]}"#, false),
        (r#"{"a":1}"#, r#"{"body":[{"exists":false}]}"#, false),
        (r#"{"a":1}"#, metadata, true),
        (r#"{"a":1}"#, object, true),
        (r#"{"a":2}"#, object, false),
        (" [{\"b\":0},{\"a\":1}]\n", object, true),
        (r#"["hello"]"#, text, false),
        ("42", text, true),
        ("42", object, false),
        ("\"x\"", text, true),
        ("true", text, true),
        ("", r#"{"body":[""]}"#, true),
        // Almost JSON is plain text, whatever an operator would say of its fields.
        (r#"{"a":"#, text, true),
        (r#"{"a":1}}"#, object, false),
        (r#"{"a":1,}"#, object, false),
        ("{'a':1}", object, false),
        ("hello", r#"{"body":{"a":[{"exists":false}]}}"#, false),
        ("[]", r#"{"body":{"a":[{"exists":false}]}}"#, true),
    ];
    for (body, pattern, expected) in rows {
        assert_eq!(matches(pattern, body), expected, "{pattern} on {body}");
    }
}

#[test]
fn values_are_compared_byte_for_byte_and_numbers_by_their_spelling() {
    check_field(&[
        (r#"["x",""]"#, &["\"x\"", "\"\"", r#""\u0078""#], &["\"X\"", "\" x\"", "null", "{}", "[]", ""]),
        (r#"["é"]"#, &[r#""\u00e9""#], &[r#""e\u0301""#]),
        ("[300]", &["300", "[300]"], &["300.0", "3.0e2", "\"300\"", "3e2", "0300.", ""]),
        ("[3.0e2]", &["3.0e2"], &["300", "3.0E2", "3e2"]),
        ("[null]", &["null", "[1,null]"], &["\"null\"", "0", "false", "\"\"", "{}", ""]),
        ("[true]", &["true"], &["false", "\"true\"", "1"]),
        (r#"["x",1,null]"#, &["\"x\"", "1", "null"], &["\"1\"", "2"]),
    ]);
}

#[test]
fn operators_on_texts() {
    check_field(&[
        (r#"[{"prefix":"ab"}]"#, &["\"ab\"", "\"abc\""], &["\"a\"", "\"Abc\"", "\"cab\"", "12", "null", ""]),
        (r#"[{"suffix":"ab"}]"#, &["\"ab\"", "\"cab\""], &["\"abc\"", "\"AB\"", "{\"ab\":\"ab\"}"]),
        (r#"[{"prefix":""}]"#, &["\"\"", "\"x\""], &["1", "null", ""]),
        (r#"[{"prefix":{"equals-ignore-case":"éA"}}]"#, &["\"ÉAx\"", "\"éa\""], &["\"é\"", "\"xéa\"", "7"]),
        (r#"[{"suffix":{"equals-ignore-case":".PNG"}}]"#, &["\"a.png\"", "\".Png\""], &["\"png\"", "\"a.png \""]),
        (r#"[{"equals-ignore-case":"aLiCe"}]"#, &["\"Alice\"", "\"ALICE\""], &["\"Alic\"", "\"Alices\"", "1", ""]),
        (r#"[{"equals-ignore-case":"STRASSE Σ"}]"#, &["\"strasse ς\"", "\"ſtrasse σ\""], &["\"straße σ\""]),
        (r#"[{"exactly":"x"}]"#, &["\"x\""], &["\"X\"", "1"]),
        (
            r#"[{"wildcard":"a*b"}]"#,
            &["\"ab\"", "\"a*b\"", "\"abab\"", "\"axxb\""],
            &["\"a\"", "\"abc\"", "\"xab\"", "1"],
        ),
        (r#"[{"wildcard":"*"}]"#, &["\"\"", "\"x\""], &["1", "null", ""]),
        (r#"[{"wildcard":"ab*ba"}]"#, &["\"abba\"", "\"abxba\""], &["\"aba\""]),
        (r#"[{"wildcard":"*x*y*"}]"#, &["\"xy\"", "\"1x2y3\"", "\"yxy\""], &["\"yx\"", "\"x\""]),
        (r#"[{"wildcard":"a\\*\\\\*"}]"#, &[r#""a*\\""#, r#""a*\\z""#], &[r#""ab\\""#, r#""a*""#]),
        (r#"[{"wildcard":"plain"}]"#, &["\"plain\""], &["\"plainly\""]),
    ]);
}

#[test]
fn anything_but_needs_a_value_and_none_of_its_own() {
    check_field(&[
        (
            r#"[{"anything-but":"x"}]"#,
            &["\"y\"", "1", "null", "\"X\"", "[\"x\",\"y\"]"],
            &["\"x\"", "", "{}", "[]", "[\"x\"]"],
        ),
        (r#"[{"anything-but":["x","y"]}]"#, &["\"z\""], &["\"x\"", "\"y\""]),
        (r#"[{"anything-but":100}]"#, &["200", "\"100\"", "100.0"], &["100"]),
        (r#"[{"anything-but":[100,200]}]"#, &["300"], &["100", "200"]),
        (r#"[{"anything-but":{"prefix":"us-"}}]"#, &["\"eu-1\"", "\"US-1\"", "5", "null"], &["\"us-1\"", "", "{}"]),
        (r#"[{"anything-but":{"prefix":["us-","eu-"]}}]"#, &["\"ap-1\""], &["\"us-1\"", "\"eu-1\""]),
        (r#"[{"anything-but":{"suffix":".png"}}]"#, &["\"a.jpg\""], &["\"a.png\""]),
        (r#"[{"anything-but":{"suffix":[".png",".jpg"]}}]"#, &["\"a.gif\""], &["\"a.png\"", "\"a.jpg\""]),
        (r#"[{"anything-but":{"equals-ignore-case":"new"}}]"#, &["\"news\""], &["\"NEW\"", "\"new\""]),
        (r#"[{"anything-but":{"equals-ignore-case":["new","old"]}}]"#, &["\"mid\""], &["\"NEW\"", "\"Old\""]),
        (r#"[{"anything-but":{"wildcard":"*/lib/*"}}]"#, &["\"/bin/x\""], &["\"/usr/lib/x\""]),
        (r#"[{"anything-but":{"wildcard":["*/lib/*","*.o"]}}]"#, &["\"x.c\""], &["\"/lib/\"", "\"x.o\""]),
    ]);
}

#[test]
fn numeric_looks_at_json_numbers_only_and_by_value() {
    check_field(&[
        (r#"[{"numeric":["=",300]}]"#, &["300", "300.0", "3.0e2", "3E+2"], &["301", "\"300\"", "null", "true", ""]),
        (r#"[{"numeric":["<",10]}]"#, &["9.99", "-1e300", "-0"], &["10", "1e999", "\"1\""]),
        (r#"[{"numeric":["<=",10]}]"#, &["10", "1e1"], &["10.1"]),
        (r#"[{"numeric":[">",10]}]"#, &["10.1", "1e999"], &["10", "-11"]),
        (r#"[{"numeric":[">=",-10]}]"#, &["-10", "0"], &["-10.5"]),
        (r#"[{"numeric":[">",0,"<=",5]}]"#, &["5", "0.1", "[9,3]"], &["0", "5.1", "[0,9]"]),
        (r#"[{"numeric":["=",1e-400]}]"#, &["0"], &["1e-300"]),
    ]);
}

#[test]
fn existence_is_that_of_a_leaf() {
    check_field(&[
        (
            r#"[{"exists":true}]"#,
            &["1", "null", "\"\"", "false", "[0]", "[[],[1]]"],
            &["", "{}", "{\"b\":1}", "[]", "[{\"b\":1}]"],
        ),
        (
            r#"[{"exists":false}]"#,
            &["", "{}", "{\"b\":1}", "[]", "[[{\"b\":1}]]"],
            &["1", "null", "\"\"", "[0]", "[{},0]"],
        ),
        (r#"[{"exists":false},"x"]"#, &["", "\"x\"", "{}"], &["\"y\"", "null"]),
        (
            r#"{"b":[{"exists":false}]}"#,
            &["", "1", "{}", "{\"c\":1}", "[]", "[{\"c\":1},{}]"],
            &["{\"b\":1}", "[{\"c\":1},{\"b\":1}]", "[{\"b\":{}},{\"b\":1}]"],
        ),
        // Of the element that is meant, not of any other.
        (r#"{"b":[{"exists":false}],"c":[2]}"#, &["[{\"b\":1},{\"c\":2}]"], &["[{\"b\":1,\"c\":2},{\"b\":0}]", "[{}]"]),
    ]);
}

#[test]
fn cidr_holds_addresses_of_its_own_kind() {
    check_field(&[
        (
            r#"[{"cidr":"10.0.0.0/24"}]"#,
            &["\"10.0.0.0\"", "\"10.0.0.255\""],
            &["\"10.0.1.0\"", "\"x\"", "\"::ffff:10.0.0.1\"", "10"],
        ),
        (r#"[{"cidr":"10.9.9.9/8"}]"#, &["\"10.0.0.0\""], &["\"11.0.0.0\"", "\"010.0.0.0\"", "\"10.0.0\""]),
        (r#"[{"cidr":"0.0.0.0/0"}]"#, &["\"255.255.255.255\""], &["\"::\"", "null"]),
        (r#"[{"cidr":"1.2.3.4/32"}]"#, &["\"1.2.3.4\""], &["\"1.2.3.5\""]),
        (
            r#"[{"cidr":"2001:db8::/32"}]"#,
            &["\"2001:db8::1\"", "\"2001:0DB8:ffff::\""],
            &["\"2001:db9::\"", "\"1.2.3.4\""],
        ),
        (r#"[{"cidr":"::/0"}]"#, &["\"::1\""], &["\"0.0.0.0\""]),
    ]);
}

#[test]
fn fields_of_an_arrays_elements_must_hold_in_one_element() {
    let one = r#"{"a":[{"x":1,"y":2},{"x":3,"y":4}]}"#;
    let rows = [
        (r#"{"a":{"x":[1],"y":[2]}}"#, one, true),
        (r#"{"a":{"x":[1],"y":[4]}}"#, one, false),
        (r#"{"a":{"x":[1]},"$or":[{"a":{"y":[4]}},{"b":[0]}]}"#, one, false),
        (r#"{"a":{"x":[1]},"$or":[{"a":{"y":[2]}},{"b":[0]}]}"#, one, true),
        (r#"{"$or":[{"a":{"x":[3]}},{"b":[0]}],"a":{"$or":[{"y":[9]},{"y":[4]}]}}"#, one, true),
        // Arrays in arrays are one array; an array inside an element is of that element.
        (r#"{"a":{"x":[1],"y":[4]}}"#, r#"{"a":[[{"x":1},{"y":4}],[[{"y":4,"x":1}]]]}"#, true),
        (r#"{"a":{"x":[1],"b":{"y":[4]}}}"#, r#"{"a":[{"x":1,"b":[{"y":2}]},{"x":2,"b":[{"y":4}]}]}"#, false),
        (r#"{"a":{"x":[1],"b":{"y":[4]}}}"#, r#"{"a":[{"x":1,"b":[{"y":2},{"y":4}]}]}"#, true),
        // Two arrays are free of each other.
        (r#"{"a":{"x":[1]},"b":{"x":[2]}}"#, r#"{"a":[{"x":1},{"x":0}],"b":[{"x":0},{"x":2}]}"#, true),
        // Values of an array that are no objects, beside ones that are.
        (r#"{"a":[7]}"#, r#"{"a":[{"x":1},7]}"#, true),
        (r#"{"a":[7],"$or":[{"a":{"x":[1]}},{"b":[0]}]}"#, r#"{"a":[{"x":1},7]}"#, true),
    ];
    for (fields, body, expected) in rows {
        assert_eq!(matches(&format!(r#"{{"body":{fields}}}"#), body), expected, "{fields} on {body}");
    }
}

#[test]
fn or_joins_objects_and_is_a_field_where_it_cannot() {
    let rows = [
        (r#"{"$or":[{"a":[1]},{"b":[2]}]}"#, r#"{"b":2}"#, true),
        (r#"{"$or":[{"a":[1]},{"b":[2]}]}"#, r#"{"b":1}"#, false),
        (r#"{"c":[0],"$or":[{"a":[1]},{"b":[2]}]}"#, r#"{"a":1,"b":2}"#, false),
        (r#"{"$or":[{"a":[1]},{"b":[2],"$or":[{"c":[3]},{"d":[4]}]}]}"#, r#"{"b":2,"d":4}"#, true),
        (r#"{"$or":[{"a":[1]},{"b":[2],"$or":[{"c":[3]},{"d":[4]}]}]}"#, r#"{"d":4}"#, false),
        // Several at different levels all count.
        (r#"{"$or":[{"a":[1]},{"b":[2]}],"c":{"$or":[{"d":[3]},{"e":[4]}]}}"#, r#"{"a":1,"c":{"e":4}}"#, true),
        (r#"{"$or":[{"a":[1]},{"b":[2]}],"c":{"$or":[{"d":[3]},{"e":[4]}]}}"#, r#"{"a":1,"c":{"e":0}}"#, false),
        // Ordinary fields of that name.
        (r#"{"$or":["x"]}"#, r#"{"$or":"x"}"#, true),
        (r#"{"$or":{"a":[1]}}"#, r#"{"$or":{"a":1}}"#, true),
        (r#"{"$or":[{"prefix":"x"},{"numeric":["=",1]}]}"#, r#"{"$or":"xyz"}"#, true),
        (r#"{"$or":[{"prefix":"x"},{"numeric":["=",1]}]}"#, r#"{"prefix":"x"}"#, false),
    ];
    for (fields, body, expected) in rows {
        assert_eq!(matches(&format!(r#"{{"body":{fields}}}"#), body), expected, "{fields} on {body}");
    }
    assert!(matches(r#"{"$or":[{"body":["x"]},{"body":{"a":[1]}}]}"#, "x"));
    assert!(matches(r#"{"$or":[{"body":["x"]},{"body":{"a":[1]}}]}"#, r#"{"a":1}"#));
}

#[test]
fn the_last_of_equal_keys_counts_in_patterns_and_in_bodies() {
    assert!(matches(r#"{"body":{"a":[1],"a":[2]}}"#, r#"{"a":2}"#));
    assert!(!matches(r#"{"body":{"a":[1],"a":[2]}}"#, r#"{"a":1}"#));
    assert!(matches(r#"{"body":{"a":[2]}}"#, r#"{"a":1,"\u0061":2}"#));
    assert!(!matches(r#"{"body":{"a":[1]}}"#, r#"{"a":1,"a":2}"#));
    assert!(!matches(r#"{"body":{"a":{"b":[1],"c":[2]}}}"#, r#"{"a":{"b":1},"a":{"c":2}}"#));
}

#[test]
fn every_member_of_a_record_can_be_asked_about() {
    let mut message = record("x");
    let attribute =
        |name: &str, data_type: &str, value| MessageAttribute { name: name.into(), data_type: data_type.into(), value };
    message.message_attributes = vec![
        attribute("kind", "String", AttributeValue::Text("gold".into())),
        attribute("raw", "Binary.png", AttributeValue::Binary(vec![0, 255])),
    ];
    message.md5_of_message_attributes = Some("c8b6".into());
    let rows = [
        (r#"{"messageId":["059f36b4-87a3-44ab-83d2-661975830a7d"],"receiptHandle":["AQEB"]}"#, true),
        (r#"{"md5OfBody":[{"prefix":"e4e6"}],"md5OfMessageAttributes":["c8b6"]}"#, true),
        (r#"{"eventSource":["aws:sqs"],"awsRegion":[{"prefix":"eu-"}],"eventSourceARN":[{"suffix":":orders"}]}"#, true),
        (r#"{"attributes":{"ApproximateReceiveCount":["1"],"SenderId":[{"prefix":"AI"}]}}"#, true),
        (r#"{"attributes":{"ApproximateReceiveCount":[{"numeric":["=",1]}]}}"#, false),
        (r#"{"attributes":{"MessageGroupId":[{"exists":false}]}}"#, true),
        (r#"{"attributes":{"MessageGroupId":[{"exists":true}]}}"#, false),
        (r#"{"messageAttributes":{"kind":{"stringValue":["gold"],"dataType":["String"]}}}"#, true),
        (r#"{"messageAttributes":{"kind":{"StringValue":["gold"]}}}"#, false),
        (r#"{"messageAttributes":{"raw":{"binaryValue":["AP8="],"stringValue":[{"exists":false}]}}}"#, true),
        (r#"{"messageAttributes":{"kind":{"stringListValues":[{"exists":false}]}}}"#, true),
        (r#"{"messageAttributes":{"none":{"stringValue":[{"anything-but":"gold"}]}}}"#, false),
        (r#"{"messageAttributes":[{"exists":false}],"attributes":[{"exists":true}]}"#, false),
        (r#"{"messageAttributes":{"kind":{"stringValue":["gold"]}},"body":["y"]}"#, false),
        (r#"{"nothing":["x"]}"#, false),
        (r#"{"nothing":[{"exists":false}]}"#, true),
    ];
    for (pattern, expected) in rows {
        let filters = Filters::parse(&[pattern]).unwrap();
        assert_eq!(filters.first_match(&message).is_some(), expected, "{pattern}");
    }
}

#[test]
fn the_first_filter_that_matches_is_named_and_without_filters_everything_matches() {
    let filters = Filters::parse(&[
        r#"{"body":["x"]}"#,
        r#"{"$or":[{"body":{"a":[1]}},{"body":{"a":[2]}}]}"#,
        r#"{"body":{"b":[1]}}"#,
    ]);
    let filters = filters.unwrap();
    assert_eq!((filters.len(), filters.is_empty()), (3, false));
    let first = |body: &str| filters.first_match(&record(body));
    let bodies = ["x", r#"{"a":2}"#, r#"{"b":1,"a":9}"#, r#"{"b":1,"a":1}"#, "y", "{}"];
    assert_eq!(bodies.map(first), [Some(0), Some(1), Some(2), Some(1), None, None]);
    let none = Filters::parse(&[""; 0]).unwrap();
    assert_eq!((none.len(), none.is_empty(), none.first_match(&record("x"))), (0, true, Some(0)));
}

#[test]
fn what_aws_refuses_is_refused_in_its_words() {
    // esm-semantics §5.4, in its order; then what EventBridge's engine refuses.
    let rows = [
        ("", "it is empty"),
        ("null", "not null"),
        ("\"eventSource\"", "not a text"),
        ("eventSource", "it is not JSON: 'e' at byte 0"),
        (r#"{"body":"#, "it ends too early"),
        ("[]", "not a list"),
        (r#"{"eventSource":"aws:sqs"}"#, "eventSource: a text stands alone: put the values to match in a list"),
        (r#"{"body":{"a":{"b c":null}}}"#, "body.a[\"b c\"]: null stands alone"),
        (r#"{"eventSource":[]}"#, "eventSource: the list is empty"),
        ("{}", "an empty object"),
        (r#"{"body":{}}"#, "body: an empty object"),
        (r#"{"body":[["x"]]}"#, "body[0]: a list inside a list"),
        (r#"{"body":["x",{}]}"#, "body[1]: an operator is an object with one key, not 0"),
        (r#"{"body":[{"prefix":"x","suffix":"y"}]}"#, "one key, not 2"),
        (r#"{"body":[{"begins":"x"}]}"#, "there is no operator \"begins\"; there are: prefix, suffix,"),
        (r#"{"body":[{"prefix":1}]}"#, "\"prefix\" takes a text"),
        (r#"{"body":[{"suffix":{"prefix":"x"}}]}"#, "\"suffix\" takes a text, or {\"equals-ignore-case\""),
        (r#"{"body":[{"equals-ignore-case":["x"]}]}"#, "takes a text"),
        (r#"{"body":[{"exists":"true"}]}"#, "takes true or false"),
        (r#"{"body":[{"anything-but":["x",1]}]}"#, "not both"),
        (r#"{"body":[{"anything-but":[]}]}"#, "an empty list"),
        (r#"{"body":[{"anything-but":null}]}"#, "takes texts or numbers"),
        (r#"{"body":[{"anything-but":[true]}]}"#, "takes texts or numbers"),
        (r#"{"body":[{"anything-but":{"prefix":""}}]}"#, "every text has the prefix"),
        (r#"{"body":[{"anything-but":{"prefix":[]}}]}"#, "an empty list"),
        (r#"{"body":[{"anything-but":{"suffix":1}}]}"#, "takes a text"),
        (r#"{"body":[{"anything-but":{"numeric":["=",1]}}]}"#, "can hold prefix, suffix"),
        (r#"{"body":[{"anything-but":{"prefix":"x","suffix":"y"}}]}"#, "one operator"),
        (r#"{"body":[{"numeric":5}]}"#, "\"numeric\" takes"),
        (r#"{"body":[{"numeric":["=","5"]}]}"#, "\"numeric\" takes"),
        (r#"{"body":[{"numeric":["!=",5]}]}"#, "\"numeric\" takes"),
        (r#"{"body":[{"numeric":["<",5,">",0]}]}"#, "\"numeric\" takes"),
        (r#"{"body":[{"numeric":["=",5,"<",9]}]}"#, "\"numeric\" takes"),
        (r#"{"body":[{"numeric":[">",5,"<"]}]}"#, "\"numeric\" takes"),
        (r#"{"body":[{"numeric":[">",5,"<",5]}]}"#, "the range is empty"),
        (r#"{"body":[{"numeric":["<",1e999]}]}"#, "too large"),
        (r#"{"body":[{"wildcard":"a**b"}]}"#, "\"**\" is not allowed"),
        (r#"{"body":[{"wildcard":"a\\b"}]}"#, "a backslash may only stand before"),
        (r#"{"body":[{"wildcard":"a\\"}]}"#, "a backslash may only stand before"),
        (r#"{"body":[{"cidr":"10.0.0.0"}]}"#, "it has no slash"),
        (r#"{"body":[{"cidr":"10.0.0/8"}]}"#, "\"10.0.0\" is not an IPv4 or IPv6 address"),
        (r#"{"body":[{"cidr":"10.0.0.0/33"}]}"#, "from 0 to 32"),
        (r#"{"body":[{"cidr":"::/+8"}]}"#, "from 0 to 128"),
        (r#"{"$or":[{"body":["x"]}]}"#, "$or[0]: there is no operator \"body\""),
        (r#"{"$or":[{"body":["x"]},{"prefix":["x"]}]}"#, "(\"$or\" is read as a field here"),
        (r#"{"$or":[{"body":["x"]},{}]}"#, "$or[1]: an empty object"),
        (r#"{"$or":[{"body":["x"]},{"a":{"b":1}}]}"#, "$or[1].a.b: a number stands alone"),
    ];
    for (pattern, expected) in rows {
        let detail = refused(pattern);
        assert!(detail.contains(expected), "{pattern}: {detail}");
    }
}

#[test]
fn an_error_names_the_filter_and_too_many_are_refused() {
    let good = r#"{"body":["x"]}"#;
    assert_eq!(Filters::parse(&[good, good, "{"]).err().map(|error| error.index), Some(2));
    assert!(Filters::parse(&[good; 10]).is_ok());
    let detail = "a mapping has at most 10 filters: join some with \"$or\"".to_owned();
    assert_eq!(Filters::parse(&[good; 11]).err(), Some(FilterError { index: 10, detail }));
}

#[test]
fn lints_name_what_lambda_may_refuse_and_what_can_never_be() {
    let patterns = [
        r#"{"body":{"a":["x",{"wildcard":"x*"}],"b":[{"anything-but":{"prefix":"x"}}],"c":[{"cidr":"::/0"}]}}"#,
        r#"{"Body":["x"],"messageAttributes":{"kind":{"StringValue":["x"]}},"attributes":{"a":[{"exactly":"x"}]}}"#,
        r#"{"data":[{"exists":false}],"body":[{"prefix":{"equals-ignore-case":"x"}}]}"#,
    ];
    let expected = [
        "Filters[0] body.a[1]: AWS Lambda may refuse wildcard, which its documentation does not list",
        "Filters[0] body.b[0]: AWS Lambda may refuse anything-but with prefix, which its documentation does not list",
        "Filters[0] body.c[0]: AWS Lambda may refuse cidr, which its documentation does not list",
        "Filters[1] attributes.a[0]: AWS Lambda may refuse exactly, which its documentation does not list",
        "Filters[1] Body: no record has a member of that name and kind: this is never so",
        "Filters[1] messageAttributes.kind.StringValue: no record has a member of that name and kind: this is never so",
        "Filters[2] body[0]: AWS Lambda may refuse prefix with equals-ignore-case, which its documentation does not list",
        "Filters[2] data: no record has a member of that name and kind: this is always so",
    ];
    assert_eq!(Filters::parse(&patterns).unwrap().lints(), expected);
    let plain = r#"{"body":{"a":["x",null,{"prefix":"x"},{"suffix":"x"},{"equals-ignore-case":"x"},{"anything-but":["x"]},
        {"numeric":["<",1]},{"exists":true}],"$or":[{"b":[1]},{"c":[2]}]},"messageAttributes":{"a":{"dataType":["String"]}}}"#;
    assert!(Filters::parse(&[plain]).unwrap().lints().is_empty());
}
