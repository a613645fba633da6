//! Crafted patterns and bodies: nothing overflows the stack, nothing takes long, and what would is refused at load.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::{Duration, Instant};

use super::{matches, record, refused};
use crate::filter::Filters;

/// Far above what any of these takes on a slow machine, far below what going back and forth would.
const LONG: Duration = Duration::from_secs(3);
const MIB: usize = 1 << 20;

fn in_time<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    let took = start.elapsed();
    assert!(took < LONG, "{what} took {took:?}");
    result
}

fn decides(what: &str, pattern: &str, body: &str, expected: bool) {
    in_time(what, || assert_eq!(matches(pattern, body), expected, "{what}"));
}

#[test]
fn deep_and_large_bodies_cost_what_their_length_costs() {
    let deep = 100_000;
    let (open, close) = ("[".repeat(deep), "]".repeat(deep));
    let a = r#"{"body":{"a":[1]}}"#;
    decides("arrays in the field", a, &format!(r#"{{"a":{open}1{close}}}"#), true);
    decides("arrays beside the field", a, &format!(r#"{{"b":{open}{close},"a":1}}"#), true);
    decides("arrays around the object", a, &format!(r#"{open}{{"a":1}}{close}"#), true);
    decides("arrays that never close", a, &open, false);
    decides("objects in the field", a, &format!("{}1{}", r#"{"a":"#.repeat(deep), "}".repeat(deep)), false);
    decides("objects beside the field", a, &format!("{}1{}", r#"{"b":"#.repeat(deep), "}".repeat(deep)), false);
    decides("a long text in the way", a, &format!(r#"{{"b":"{}","a":1}}"#, "\\n".repeat(MIB / 2)), true);
    decides("many values", a, &format!(r#"{{"a":[{}1]}}"#, "0,".repeat(MIB / 2)), true);
    decides("many objects", a, &format!("[{}0]", r#"{"a":0},"#.repeat(MIB / 8)), false);
    decides("equal keys", a, &format!("{{{}\"a\":1}}", r#""a":0,"#.repeat(MIB / 6)), true);
    decides("an escaped key", a, &format!(r#"{{"{}":1}}"#, "\\u0061".repeat(MIB / 6)), false);
}

#[test]
fn wildcards_do_not_go_back() {
    let stars = format!(r#"{{"body":[{{"wildcard":"{}b"}}]}}"#, "*a".repeat(1900));
    decides("a wildcard of 1900 stars", &stars, &"a".repeat(MIB), false);
    decides("a wildcard that matches", &stars, &format!("{}b", "a".repeat(MIB)), true);
    let long = format!(r#"{{"body":[{{"wildcard":"*{}b*"}}]}}"#, "a".repeat(3900));
    decides("a wildcard with a long part", &long, &"a".repeat(MIB), false);
}

#[test]
fn array_consistency_needs_no_search() {
    // Twenty fields, and forty elements that each lack one: a choice per field would be 40^20.
    let names: Vec<String> = (0..20).map(|name| format!("k{name}")).collect();
    let fields: Vec<String> = names.iter().map(|name| format!(r#""{name}":[1]"#)).collect();
    let pattern = format!(r#"{{"body":{{"a":{{{}}}}}}}"#, fields.join(","));
    let element = |lacks: usize| {
        let members: Vec<String> = names
            .iter()
            .enumerate()
            .filter(|(index, _)| *index != lacks % 20)
            .map(|(_, name)| format!(r#""{name}":1"#))
            .collect();
        format!("{{{}}}", members.join(","))
    };
    let elements: Vec<String> = (0..4000).map(element).collect();
    decides("elements that each lack a field", &pattern, &format!(r#"{{"a":[{}]}}"#, elements.join(",")), false);
    // Arrays in elements of arrays, twelve levels down.
    let levels = 12;
    let pattern = format!(r#"{{"body":{}{{"x":[1],"y":[1]}}{}}}"#, r#"{"a":"#.repeat(levels), "}".repeat(levels));
    let mut body = r#"[{"x":1},{"y":1}]"#.to_owned();
    for _ in 0..levels {
        body = format!(r#"[{{"a":{body}}},{{"a":{body}}}]"#);
    }
    decides("elements in elements", &pattern, &body, false);
}

#[test]
fn alternatives_multiply_up_to_a_thousand_and_are_refused_beyond() {
    let or = |name: char, ways: usize| {
        let branches: Vec<String> = (0..ways).map(|way| format!(r#"{{"{name}":[{way}]}}"#)).collect();
        format!(r#""$or":[{}]"#, branches.join(","))
    };
    let nest = |ways: [usize; 3]| {
        format!(r#"{{"body":{{{},"n":{{{},"n":{{{}}}}}}}}}"#, or('a', ways[0]), or('b', ways[1]), or('c', ways[2]))
    };
    let thousand = nest([10, 10, 10]);
    assert!(matches(&thousand, r#"{"a":9,"n":{"b":9,"n":{"c":9}}}"#));
    assert!(!matches(&thousand, r#"{"a":9,"n":{"b":9,"n":{"c":10}}}"#));
    let elements = format!(r#"{{"n":[{}{{"b":9,"n":{{"c":9}}}}],"a":9}}"#, r#"{"b":1,"n":{}},"#.repeat(MIB / 16));
    decides("a thousand alternatives, many elements", &thousand, &elements, true);
    assert!(refused(&nest([10, 10, 11])).contains("multiply to more than 1000 ways"));
    let doubled = format!("{}[1]{}", r#"{"$or":[{"a":[1]},{"a":[2]}],"n":"#.repeat(90), "}".repeat(90));
    in_time("ninety doublings", || assert!(refused(&doubled).contains("multiply to more than 1000 ways")));
}

#[test]
fn patterns_beyond_the_bounds_are_refused() {
    let text = |letters: usize| format!(r#"{{"body":["{}"]}}"#, "é".repeat(letters));
    assert!(matches(&text(4083), &"é".repeat(4083)), "4096 characters");
    assert_eq!(refused(&text(4084)), "the pattern is longer than 4096 characters");
    let nested = |levels: usize| format!("{}[1]{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
    assert!(Filters::parse(&[nested(99)]).is_ok());
    assert_eq!(refused(&nested(100)), "it is nested deeper than 100 levels");
    assert_eq!(refused(&"[".repeat(4000)), "it is not JSON: it ends too early");
    assert_eq!(refused(&format!("{}{}", "[".repeat(2000), "]".repeat(2000))), "it is nested deeper than 100 levels");
}

#[test]
fn many_conditions_times_many_alternatives_are_refused_over_all_filters() {
    let fields: Vec<String> = (0..200).map(|name| format!(r#""k{name}":[1]"#)).collect();
    let branches: Vec<String> = (0..100).map(|way| format!(r#"{{"z":[{way}]}}"#)).collect();
    let pattern = format!(r#"{{"body":{{{},"$or":[{}]}}}}"#, fields.join(","), branches.join(","));
    let filters = Filters::parse(&[&pattern; 2]).unwrap();
    let body = format!("[{}0]", r#"{"k1":1},"#.repeat(MIB / 9));
    in_time("many conditions, alternatives and objects", || assert_eq!(filters.first_match(&record(&body)), None));
    let error = Filters::parse(&[&pattern; 3]).err().unwrap();
    assert_eq!(error.index, 2);
    assert!(error.detail.contains("more than 250000"), "{error}");
}

#[test]
fn many_operators_on_many_values_stay_within_their_product() {
    let tests: Vec<String> = (0..170).map(|number| format!(r#"{{"numeric":["<",-{number}]}}"#)).collect();
    let pattern = format!(r#"{{"body":{{"a":[{}]}}}}"#, tests.join(","));
    decides("many numeric tests", &pattern, &format!(r#"{{"a":[{}1]}}"#, "7,".repeat(MIB / 2)), false);
    let exact: Vec<String> = (0..800).map(|number| number.to_string()).collect();
    let pattern = format!(r#"{{"body":{{"a":[{}]}}}}"#, exact.join(","));
    decides("many values to be equal to", &pattern, &format!(r#"{{"a":[{}-1]}}"#, "-7,".repeat(MIB / 3)), false);
    let wildcards = [r#"{"wildcard":"*ab*c"}"#; 190].join(",");
    decides("many wildcards", &format!(r#"{{"body":[{wildcards}]}}"#), &"a".repeat(MIB), false);
}

#[test]
fn damaged_patterns_and_bodies_are_judged_without_a_panic() {
    let pattern = r#"{"body":{"a":["\u00e9\\",-1.5e3,null,{"wildcard":"*\\*x"},{"anything-but":{"prefix":["é"]}}],
        "$or":[{"b":[{"numeric":[">",0,"<=",5]}]},{"c":{"d":[{"cidr":"10.0.0.0/8"},{"exists":false}]}}]}}"#;
    let body = r#"{"a":[["\ud83d\ude00é",{"z":[{}]}],-1.5e3],"b":[1,{"b":2}],"c":[{"d":"10.1.1.1"},[],{}]}"#;
    let whole = Filters::parse(&[pattern]).unwrap();
    assert_eq!(whole.first_match(&record(body)), Some(0));
    let damaged = |text: &str| -> Vec<String> {
        let cut = text.char_indices().map(|(at, _)| text[..at].to_owned());
        let without = text.char_indices().map(|(at, letter)| [&text[..at], &text[at + letter.len_utf8()..]].concat());
        let instead =
            text.char_indices().map(|(at, letter)| [&text[..at], "{", &text[at + letter.len_utf8()..]].concat());
        cut.chain(without).chain(instead).collect()
    };
    for body in damaged(body) {
        let _ = whole.first_match(&record(&body));
    }
    for filters in damaged(pattern).iter().filter_map(|pattern| Filters::parse(&[pattern]).ok()) {
        let _ = filters.first_match(&record(body));
    }
}
