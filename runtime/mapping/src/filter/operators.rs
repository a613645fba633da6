//! Reads a field's list of values and operators, and says where it is wrong (esm-semantics §5.3, §5.4).

use super::condition::{Condition, Exact, Range, Test};
use super::json::{Json, Scalar};
use super::text::{Cidr, Folded, TextTest, Wildcard};

const OPERATORS: &str = "prefix, suffix, equals-ignore-case, anything-but, numeric, exists, wildcard, cidr, exactly";

/// What is wrong with a pattern, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    /// Such as `body.price[0]`.
    pub(super) at: String,
    /// For people: what it is and how to mend it.
    pub(super) what: String,
}

/// An operator that Lambda may refuse, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Doubt {
    pub(super) at: String,
    pub(super) operator: String,
}

fn wrong<T>(at: &str, what: impl Into<String>) -> Result<T, Problem> {
    Err(Problem { at: at.to_owned(), what: what.into() })
}

/// The condition of the list that stands at `at`.
pub(super) fn condition(list: &[Json<'_>], at: &str, doubts: &mut Vec<Doubt>) -> Result<Condition, Problem> {
    if list.is_empty() {
        return wrong(at, "the list is empty, so nothing could match: name values, or [null] for null");
    }
    let mut condition = Condition::default();
    for (index, member) in list.iter().enumerate() {
        let at = format!("{at}[{index}]");
        match member {
            Json::Scalar(value) => condition.exact.insert(value),
            Json::Array(_) => return wrong(&at, "a list inside a list: take its members out"),
            Json::Object(members) => {
                let [(operator, operand)] = members.as_slice() else {
                    let what = format!("an operator is an object with one key, not {}", members.len());
                    return wrong(&at, what);
                };
                operate(&mut condition, operator, operand, &at, doubts)?;
            }
        }
    }
    Ok(condition)
}

fn operate(
    condition: &mut Condition,
    operator: &str,
    operand: &Json<'_>,
    at: &str,
    doubts: &mut Vec<Doubt>,
) -> Result<(), Problem> {
    let mut doubt = |operator: &str| doubts.push(Doubt { at: at.to_owned(), operator: operator.to_owned() });
    let test = match operator {
        "exists" => match operand {
            Json::Scalar(Scalar::Bool(true)) => Test::Present,
            Json::Scalar(Scalar::Bool(false)) => {
                condition.may_be_absent = true;
                return Ok(());
            }
            _ => return wrong(at, "\"exists\" takes true or false"),
        },
        "exactly" => {
            doubt(operator);
            condition.exact.insert(&Scalar::Text(text(operator, operand, at)?.into()));
            return Ok(());
        }
        "numeric" => Test::Numeric(range(operand, at)?),
        "anything-but" => match operand {
            Json::Object(members) => {
                let [(inner, operand)] = members.as_slice() else {
                    return wrong(at, "\"anything-but\" takes one operator, in an object with one key");
                };
                doubt(&format!("{operator} with {inner}"));
                Test::AnythingButLike(unlike(inner, operand, at)?)
            }
            _ => Test::AnythingBut(anything_but(operand, at)?),
        },
        _ => {
            let test = text_test(operator, operand, at)?;
            match &test {
                TextTest::Wildcard(_) | TextTest::Cidr(_) => doubt(operator),
                TextTest::PrefixIgnoreCase(_) | TextTest::SuffixIgnoreCase(_) => {
                    doubt(&format!("{operator} with equals-ignore-case"));
                }
                TextTest::Prefix(_) | TextTest::Suffix(_) | TextTest::EqualsIgnoreCase(_) => {}
            }
            Test::Text(test)
        }
    };
    condition.tests.push(test);
    Ok(())
}

fn text<'a>(operator: &str, operand: &'a Json<'_>, at: &str) -> Result<&'a str, Problem> {
    match operand {
        Json::Scalar(Scalar::Text(text)) => Ok(text),
        _ => wrong(at, format!("{operator:?} takes a text")),
    }
}

/// An operator that asks a text. What `anything-but` may hold, and `cidr`, which it may not.
fn text_test(operator: &str, operand: &Json<'_>, at: &str) -> Result<TextTest, Problem> {
    let ignoring_case = || match operand {
        Json::Object(members) => match members.as_slice() {
            [(key, Json::Scalar(Scalar::Text(text)))] if key == "equals-ignore-case" => Ok(Some(Folded::new(text))),
            _ => wrong(at, format!("{operator:?} takes a text, or {{\"equals-ignore-case\": a text}}")),
        },
        _ => Ok(None),
    };
    let problem = |what: String| Problem { at: at.to_owned(), what: format!("{operator:?}: {what}") };
    match operator {
        "prefix" => match ignoring_case()? {
            Some(folded) => Ok(TextTest::PrefixIgnoreCase(folded)),
            None => text(operator, operand, at).map(|text| TextTest::Prefix(text.to_owned())),
        },
        "suffix" => match ignoring_case()? {
            Some(folded) => Ok(TextTest::SuffixIgnoreCase(folded)),
            None => text(operator, operand, at).map(|text| TextTest::Suffix(text.to_owned())),
        },
        "equals-ignore-case" => text(operator, operand, at).map(|text| TextTest::EqualsIgnoreCase(Folded::new(text))),
        "wildcard" => {
            let wildcard = Wildcard::parse(text(operator, operand, at)?);
            wildcard.map(TextTest::Wildcard).map_err(|what| problem(what.to_owned()))
        }
        "cidr" => Cidr::parse(text(operator, operand, at)?).map(TextTest::Cidr).map_err(problem),
        _ => wrong(at, format!("there is no operator {operator:?}; there are: {OPERATORS}")),
    }
}

/// A text, a number, or a list of only texts or only numbers.
fn anything_but(operand: &Json<'_>, at: &str) -> Result<Exact, Problem> {
    let members = match operand {
        Json::Array(members) => members.as_slice(),
        single => std::slice::from_ref(single),
    };
    let mut exact = Exact::default();
    let (mut texts, mut numbers) = (0, 0);
    for member in members {
        match member {
            Json::Scalar(value @ Scalar::Text(_)) => {
                texts += 1;
                exact.insert(value);
            }
            Json::Scalar(value @ Scalar::Number(_)) => {
                numbers += 1;
                exact.insert(value);
            }
            _ => return wrong(at, "\"anything-but\" takes texts or numbers; it has no true, false or null"),
        }
    }
    match (texts, numbers) {
        (0, 0) => wrong(at, "\"anything-but\" has an empty list: name what is not to match"),
        (1.., 1..) => wrong(at, "\"anything-but\" takes only texts or only numbers, not both: write two of them"),
        _ => Ok(exact),
    }
}

/// What stands inside `{"anything-but": {…}}`: one operator with a text or a list of texts.
fn unlike(operator: &str, operand: &Json<'_>, at: &str) -> Result<Vec<TextTest>, Problem> {
    if !matches!(operator, "prefix" | "suffix" | "equals-ignore-case" | "wildcard") {
        let what =
            format!("\"anything-but\" can hold prefix, suffix, equals-ignore-case or wildcard, not {operator:?}");
        return wrong(at, what);
    }
    let members = match operand {
        Json::Array(members) if members.is_empty() => return wrong(at, format!("{operator:?} has an empty list")),
        Json::Array(members) => members.as_slice(),
        single => std::slice::from_ref(single),
    };
    let read = |member: &Json<'_>| {
        let text = text(operator, member, at)?;
        if text.is_empty() && matches!(operator, "prefix" | "suffix") {
            return wrong(at, format!("every text has the {operator} \"\", so no text could match"));
        }
        text_test(operator, member, at)
    };
    members.iter().map(read).collect()
}

/// `[op, number]`, or a lower bound and then an upper one.
fn range(operand: &Json<'_>, at: &str) -> Result<Range, Problem> {
    const FORM: &str =
        "\"numeric\" takes [\"=\", n], one of < <= > >= with a number, or a range such as [\">\", 0, \"<=\", 5]";
    let Json::Array(terms) = operand else { return wrong(at, FORM) };
    let bound = |operator: &Json<'_>, number: &Json<'_>| {
        let (Json::Scalar(Scalar::Text(operator)), Json::Scalar(Scalar::Number(spelled))) = (operator, number) else {
            return wrong(at, FORM);
        };
        let number = spelled.parse().ok().filter(|number: &f64| number.is_finite());
        let Some(number) = number else { return wrong(at, format!("{spelled} is too large for a number")) };
        Ok(match operator.as_ref() {
            "=" => Range { low: Some((number, true)), high: Some((number, true)) },
            ">" | ">=" => Range { low: Some((number, operator == ">=")), high: None },
            "<" | "<=" => Range { low: None, high: Some((number, operator == "<=")) },
            _ => return wrong(at, FORM),
        })
    };
    match terms.as_slice() {
        [operator, number] => bound(operator, number),
        [lower, low, upper, high] => match (bound(lower, low)?, bound(upper, high)?) {
            (Range { low: Some(low), high: None }, Range { low: None, high: Some(high) }) => {
                if low.0 >= high.0 {
                    return wrong(at, "the range is empty: its lower bound must be below its upper one");
                }
                Ok(Range { low: Some(low), high: Some(high) })
            }
            _ => wrong(at, FORM),
        },
        _ => wrong(at, FORM),
    }
}
