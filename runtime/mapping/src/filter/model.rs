//! The filters against a naive matcher: random patterns and bodies, and the rules in their most obvious words.
//!
//! The matcher multiplies the `$or`s out, lists the body's values with the array elements they lie in, and tries
//! every choice of one value per condition. No two values of a choice may lie in different elements of one array, and
//! a field counts as absent if no value of it fits the choice. It shares no code with what it judges, and is as slow
//! as it is short.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use super::Filters;
use super::tests::record;

/// So many cases in every run, and twenty times as many where `WASMILL_TEST_LONG` is set.
const CASES: u32 = 8_000;
const LONG: u32 = 20;

/// Of each array, by number: the element.
type Elements = BTreeMap<usize, usize>;
type Conditions<'a> = Vec<(Vec<&'a str>, &'a [Value])>;

/// A value of the event: its path without arrays, and the elements it lies in.
struct Field {
    path: Vec<String>,
    value: Value,
    within: Elements,
}

fn matches(pattern: &Value, body: &str) -> bool {
    let parsed: Option<Value> =
        serde_json::from_str(body).ok().filter(|value: &Value| value.is_object() || value.is_array());
    let is_json = parsed.is_some();
    let mut fields = Vec::new();
    list(&json!({"body": parsed.unwrap_or_else(|| body.into())}), &[], &Elements::new(), &mut 0, &mut fields);
    multiply(pattern, &[]).iter().any(|conditions| {
        let suits_the_body = conditions.iter().all(|(path, _)| (path.len() > 1) == is_json);
        suits_the_body && choose(conditions, &fields, &Elements::new(), &mut Vec::new())
    })
}

/// A pattern as a list of alternatives, each a list of conditions.
fn multiply<'a>(pattern: &'a Value, path: &[&'a str]) -> Vec<Conditions<'a>> {
    let mut alternatives = vec![Conditions::new()];
    for (key, value) in pattern.as_object().unwrap() {
        let deeper: Vec<&str> = path.iter().copied().chain([key.as_str()]).collect();
        let further = match value {
            Value::Array(branches) if key == "$or" => {
                branches.iter().flat_map(|branch| multiply(branch, path)).collect()
            }
            Value::Array(list) => vec![vec![(deeper, list.as_slice())]],
            _ => multiply(value, &deeper),
        };
        alternatives = alternatives.iter().flat_map(|one| further.iter().map(|two| [&one[..], two].concat())).collect();
    }
    alternatives
}

fn list(value: &Value, path: &[String], within: &Elements, arrays: &mut usize, fields: &mut Vec<Field>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                list(member, &[path, std::slice::from_ref(key)].concat(), within, arrays, fields);
            }
        }
        Value::Array(_) => {
            let array = *arrays;
            *arrays += 1;
            for (index, element) in flat(value).into_iter().enumerate() {
                let mut within = within.clone();
                if element.is_object() {
                    within.insert(array, index);
                }
                list(element, path, &within, arrays, fields);
            }
        }
        _ => fields.push(Field { path: path.to_vec(), value: value.clone(), within: within.clone() }),
    }
}

fn flat(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(elements) => elements.iter().flat_map(flat).collect(),
        other => vec![other],
    }
}

fn fits(chosen: &Elements, within: &Elements) -> bool {
    within.iter().all(|(array, element)| chosen.get(array).is_none_or(|other| other == element))
}

fn choose<'a>(
    conditions: &[(Vec<&'a str>, &[Value])],
    fields: &[Field],
    chosen: &Elements,
    absent: &mut Vec<Vec<&'a str>>,
) -> bool {
    let Some(((path, list), rest)) = conditions.split_first() else {
        return absent
            .iter()
            .all(|path| !fields.iter().any(|field| field.path == *path && fits(chosen, &field.within)));
    };
    for field in fields.iter().filter(|field| field.path == *path && fits(chosen, &field.within)) {
        if list.iter().any(|test| holds(test, &field.value)) {
            let mut chosen = chosen.clone();
            chosen.extend(&field.within);
            if choose(rest, fields, &chosen, absent) {
                return true;
            }
        }
    }
    if list.contains(&json!({"exists": false})) {
        absent.push(path.clone());
        let is_enough = choose(rest, fields, chosen, absent);
        absent.pop();
        return is_enough;
    }
    false
}

fn holds(test: &Value, value: &Value) -> bool {
    let Some((operator, operand)) = test.as_object().map(|object| object.iter().next().unwrap()) else {
        // Numbers of serde_json are equal only if both are spelled with a dot or both without.
        return test == value;
    };
    let operands: Vec<&Value> = operand.as_array().map_or_else(|| vec![operand], |list| list.iter().collect());
    match operator.as_str() {
        "exists" => operand == &json!(true),
        "anything-but" => match operand.as_object().map(|object| object.iter().next().unwrap()) {
            Some((inner, Value::Array(list))) => !list.iter().any(|one| holds(&json!({ inner: one }), value)),
            Some(_) => !holds(operand, value),
            None => !operands.contains(&value),
        },
        "numeric" => {
            value.is_number() && operands.chunks(2).all(|pair| compare(value, pair[0].as_str().unwrap(), pair[1]))
        }
        _ => value.as_str().is_some_and(|text| text_holds(operator, operand, text)),
    }
}

fn compare(value: &Value, operator: &str, bound: &Value) -> bool {
    let (value, bound) = (value.as_f64().unwrap(), bound.as_f64().unwrap());
    match operator {
        "=" => value == bound,
        "<" => value < bound,
        "<=" => value <= bound,
        ">" => value > bound,
        _ => value >= bound,
    }
}

fn text_holds(operator: &str, operand: &Value, text: &str) -> bool {
    if let Some(any_case) = operand.get("equals-ignore-case") {
        return text_holds(operator, &json!(any_case.as_str().unwrap().to_lowercase()), &text.to_lowercase());
    }
    let operand = operand.as_str().unwrap();
    match operator {
        "prefix" => text.starts_with(operand),
        "suffix" => text.ends_with(operand),
        "equals-ignore-case" => text.to_lowercase() == operand.to_lowercase(),
        "wildcard" => wild(operand.as_bytes(), text.as_bytes()),
        "cidr" => {
            let (network, bits) = operand.split_once('/').unwrap();
            let size = 1u64 << (32 - bits.parse::<u32>().unwrap());
            let number = |text: &str| text.parse::<Ipv4Addr>().ok().map(|address| u64::from(u32::from(address)) / size);
            number(text).is_some() && number(text) == number(network)
        }
        other => panic!("{other}"),
    }
}

fn wild(pattern: &[u8], text: &[u8]) -> bool {
    match pattern {
        [] => text.is_empty(),
        [b'*', rest @ ..] => (0..=text.len()).any(|skipped| wild(rest, &text[skipped..])),
        [letter, rest @ ..] => text.first() == Some(letter) && wild(rest, &text[1..]),
    }
}

fn some_text() -> impl Strategy<Value = String> {
    prop_oneof![6 => "[aA]{0,2}b?", 1 => "10\\.0\\.[01]\\.[0-9]"]
}

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![Just(json!(1)), Just(json!(1.0)), Just(json!(2)), Just(json!(-0.5))]
}

fn scalar() -> impl Strategy<Value = Value> {
    let text = some_text().prop_map(Value::from);
    prop_oneof![4 => text, 2 => number(), 1 => any::<bool>().prop_map(Value::from), 1 => Just(Value::Null)]
}

fn one_operator() -> impl Strategy<Value = Value> {
    let any_case = || some_text().prop_map(|text| json!({"equals-ignore-case": text}));
    let wildcard = || "[aAb]?(\\*[aAb]{1,2}){0,2}\\*?";
    let unlike = prop_oneof![
        "[aAb]{1,2}".prop_map(|text| json!({"prefix": text})),
        prop::collection::vec("[aAb]{1,2}", 1..3).prop_map(|texts| json!({"suffix": texts})),
        any_case(),
        wildcard().prop_map(|text| json!({"wildcard": text})),
    ];
    prop_oneof![
        some_text().prop_map(|text| json!({"prefix": text})),
        some_text().prop_map(|text| json!({"suffix": text})),
        any_case(),
        any_case().prop_map(|inner| json!({"prefix": inner})),
        any_case().prop_map(|inner| json!({"suffix": inner})),
        wildcard().prop_map(|text| json!({"wildcard": text})),
        (0u32..33).prop_map(|bits| json!({"cidr": format!("10.0.1.2/{bits}")})),
        some_text().prop_map(|text| json!({"anything-but": text})),
        prop::collection::vec(some_text(), 1..3).prop_map(|texts| json!({"anything-but": texts})),
        prop::collection::vec(number(), 1..3).prop_map(|numbers| json!({"anything-but": numbers})),
        unlike.prop_map(|inner| json!({"anything-but": inner})),
        ("<|<=|=|>|>=", number()).prop_map(|(operator, number)| json!({"numeric": [operator, number]})),
        ("<|<=", ">|>=").prop_map(|(upper, lower)| json!({"numeric": [lower, 1, upper, 2.0]})),
        any::<bool>().prop_map(|is_there| json!({"exists": is_there})),
        Just(json!({"exists": true})),
        Just(json!({"exists": false})),
    ]
}

/// The list at a field.
fn asked() -> impl Strategy<Value = Value> {
    let list = prop::collection::vec(prop_oneof![1 => scalar(), 2 => one_operator()], 1..4).prop_map(Value::from);
    prop_oneof![4 => list, 1 => Just(json!([{"exists": false}]))]
}

fn fields() -> impl Strategy<Value = Value> {
    let object = |inner: BoxedStrategy<Value>| {
        prop::collection::btree_map("[ab]", inner, 1..3).prop_map(|members| json!(members))
    };
    let leaf = object(asked().boxed());
    leaf.prop_recursive(3, 10, 2, move |inner| {
        let with_or = (inner.clone(), prop::collection::vec(inner.clone(), 2..4)).prop_map(|(mut fields, branches)| {
            fields.as_object_mut().unwrap().insert("$or".to_owned(), branches.into());
            fields
        });
        prop_oneof![2 => object(prop_oneof![asked(), inner].boxed()), 1 => with_or]
    })
}

fn pattern() -> impl Strategy<Value = Value> {
    let of_body = || fields().prop_map(|fields| json!({"body": fields}));
    let either = (of_body(), of_body()).prop_map(|(one, two)| json!({"$or": [one, two]}));
    let mixed = (of_body(), asked()).prop_map(|(one, list)| json!({"$or": [one, {"body": list}]}));
    prop_oneof![5 => of_body(), 1 => either, 1 => mixed, 1 => asked().prop_map(|list| json!({"body": list}))]
}

fn body() -> impl Strategy<Value = String> {
    let object = |inner: BoxedStrategy<Value>| {
        prop::collection::btree_map("[abc]", inner, 0..4).prop_map(|members| json!(members)).boxed()
    };
    let value = scalar().prop_recursive(3, 24, 4, move |inner| {
        let objects = prop::collection::vec(object(inner.clone().boxed()), 0..4).prop_map(Value::from);
        let list = prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from);
        prop_oneof![2 => object(inner.boxed()), 2 => objects, 1 => list]
    });
    let value = prop_oneof![5 => object(value.clone().boxed()), 1 => value];
    prop_oneof![12 => value.prop_map(|value| value.to_string()), 1 => some_text(), 1 => Just("{\"a\":1".to_owned())]
}

#[test]
fn filters_decide_as_the_naive_matcher_does() {
    let cases = if std::env::var_os("WASMILL_TEST_LONG").is_some() { LONG * CASES } else { CASES };
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let (matched, missed) = (Cell::new(0), Cell::new(0));
    let strategy = (prop::collection::vec(pattern(), 1..4), body());
    let outcome = TestRunner::new(config).run(&strategy, |(patterns, body)| {
        let texts: Vec<String> = patterns.iter().map(Value::to_string).collect();
        // The naive matcher has no bounds, but patience.
        prop_assume!(patterns.iter().all(|pattern| multiply(pattern, &[]).len() <= 100));
        let filters = Filters::parse(&texts).unwrap();
        let expected = patterns.iter().position(|pattern| matches(pattern, &body));
        let count = if expected.is_some() { &matched } else { &missed };
        count.set(count.get() + 1);
        prop_assert_eq!(filters.first_match(&record(&body)), expected, "{} on {}", texts.join(" or "), body);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    // Both answers are common, or the cases prove less than they seem to.
    assert!(matched.get() > cases / 10 && missed.get() > cases / 10, "{} and {}", matched.get(), missed.get());
}
