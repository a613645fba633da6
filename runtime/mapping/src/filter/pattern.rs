//! Reads one filter pattern: the conditions it names, by path, and the ways `$or` allows to satisfy them
//! (esm-semantics §5.3, §5.4).

use super::condition::Condition;
use super::json::{Json, Scalar, parse};
use super::operators::{Doubt, Problem, condition};

/// Levels of brackets in a pattern, so that reading and matching may recurse.
const DEPTH_MAX: usize = 100;
/// What the `$or`s of one pattern may multiply to. EventBridge draws its line there too.
pub(super) const ALTERNATIVES_MAX: usize = 1000;

const OR: &str = "$or";
/// A `$or` in one of whose objects a key is called so is an ordinary field: the list is then one of values and
/// operators.
const RESERVED: [&str; 24] = [
    "exactly",
    "equals-ignore-case",
    "prefix",
    "suffix",
    "anything-but",
    "exists",
    "wildcard",
    "numeric",
    "cidr",
    "=",
    "<",
    "<=",
    ">",
    ">=",
    "regex",
    "not-wildcard",
    "not-equals-ignore-case",
    "date-after",
    "date-on-or-after",
    "date-before",
    "date-on-or-before",
    "in-date-range",
    "ip-address-in-range",
    "ip-address-not-in-range",
];

/// A pattern that was read.
#[derive(Debug)]
pub(super) struct Pattern {
    pub(super) leaves: Vec<Leaf>,
    /// The leaves that must all hold, by index; one of these lists is enough.
    pub(super) alternatives: Vec<Vec<usize>>,
    pub(super) doubts: Vec<Doubt>,
}

/// A condition and the field it is about.
#[derive(Debug)]
pub(super) struct Leaf {
    /// Keys from the record down; arrays have no step of their own.
    pub(super) path: Vec<String>,
    /// Where it stands in the pattern.
    pub(super) at: String,
    pub(super) condition: Condition,
}

/// Reads the text of a pattern.
pub(super) fn read(text: &str) -> Result<Pattern, Problem> {
    let refuse = |what: String| Problem { at: String::new(), what };
    let document = parse(text, DEPTH_MAX).map_err(|not_json| refuse(not_json_text(text, not_json.at_byte)))?;
    let document = document.ok_or_else(|| refuse(format!("it is nested deeper than {DEPTH_MAX} levels")))?;
    let Json::Object(members) = document else {
        let what =
            format!("a pattern is a JSON object such as {{\"body\":{{\"kind\":[\"a\"]}}}}, not {}", kind_of(&document));
        return Err(refuse(what));
    };
    let mut compiler = Compiler { leaves: Vec::new(), path: Vec::new(), doubts: Vec::new() };
    let alternatives = compiler.object(&members, "")?;
    Ok(Pattern { leaves: compiler.leaves, alternatives, doubts: compiler.doubts })
}

fn not_json_text(text: &str, at_byte: usize) -> String {
    match text.get(at_byte..).and_then(|rest| rest.chars().next()) {
        _ if text.trim().is_empty() => "it is empty: leave the filter out to let every message through".to_owned(),
        Some(letter) => format!("it is not JSON: {letter:?} at byte {at_byte} has no place there"),
        None => "it is not JSON: it ends too early".to_owned(),
    }
}

pub(super) fn kind_of(json: &Json<'_>) -> &'static str {
    match json {
        Json::Scalar(Scalar::Text(_)) => "a text",
        Json::Scalar(Scalar::Number(_)) => "a number",
        Json::Scalar(Scalar::Bool(_)) => "a boolean",
        Json::Scalar(Scalar::Null) => "null",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    }
}

type Members<'a> = [(std::borrow::Cow<'a, str>, Json<'a>)];

struct Compiler {
    leaves: Vec<Leaf>,
    /// Of the object that is being read.
    path: Vec<String>,
    doubts: Vec<Doubt>,
}

impl Compiler {
    /// The ways to satisfy an object: any of each `$or`, and all else.
    fn object(&mut self, members: &Members<'_>, at: &str) -> Result<Vec<Vec<usize>>, Problem> {
        if members.is_empty() {
            let what = "an empty object asks for nothing: name a field, or leave it out".to_owned();
            return Err(Problem { at: at.to_owned(), what });
        }
        let mut ways = vec![Vec::new()];
        for (key, value) in members {
            let at = step(at, key);
            let further = match or_branches(key, value) {
                Some(branches) => self.any(&branches, &at)?,
                None => self.field(key, value, &at)?,
            };
            ways = both(ways, &further, &at)?;
        }
        Ok(ways)
    }

    fn any(&mut self, branches: &[&Members<'_>], at: &str) -> Result<Vec<Vec<usize>>, Problem> {
        let mut ways = Vec::new();
        for (index, members) in branches.iter().enumerate() {
            ways.extend(self.object(members, &format!("{at}[{index}]"))?);
            if ways.len() > ALTERNATIVES_MAX {
                return Err(too_many(at));
            }
        }
        Ok(ways)
    }

    fn field(&mut self, key: &str, value: &Json<'_>, at: &str) -> Result<Vec<Vec<usize>>, Problem> {
        self.path.push(key.to_owned());
        let ways = match value {
            Json::Object(members) => self.object(members, at)?,
            Json::Array(list) => {
                let condition = condition(list, at, &mut self.doubts).map_err(|problem| or_hint(key, list, problem))?;
                self.leaves.push(Leaf { path: self.path.clone(), at: at.to_owned(), condition });
                vec![vec![self.leaves.len() - 1]]
            }
            Json::Scalar(_) => {
                let what = format!("{} stands alone: put the values to match in a list", kind_of(value));
                return Err(Problem { at: at.to_owned(), what });
            }
        };
        self.path.pop();
        Ok(ways)
    }
}

/// The objects of a `$or` that is one: at least two, and no key that is an operator's name.
fn or_branches<'a, 'j>(key: &str, value: &'a Json<'j>) -> Option<Vec<&'a Members<'j>>> {
    let Json::Array(list) = value else { return None };
    let branch = |member: &'a Json<'j>| match member {
        Json::Object(members) => Some(members.as_slice()),
        Json::Array(_) | Json::Scalar(_) => None,
    };
    let branches: Vec<&Members<'j>> = list.iter().map(branch).collect::<Option<_>>()?;
    let is_reserved = |members: &&Members<'_>| members.iter().any(|(key, _)| RESERVED.contains(&key.as_ref()));
    (key == OR && branches.len() >= 2 && !branches.iter().any(is_reserved)).then_some(branches)
}

fn or_hint(key: &str, list: &[Json<'_>], mut problem: Problem) -> Problem {
    if key == OR && !list.is_empty() {
        problem.what +=
            " (\"$or\" is read as a field here: to be an \"or\" it needs two objects or more, with fields for keys)";
    }
    problem
}

/// All of one way and all of another, for each pair of ways.
fn both(mut ways: Vec<Vec<usize>>, further: &[Vec<usize>], at: &str) -> Result<Vec<Vec<usize>>, Problem> {
    if ways.len() * further.len() > ALTERNATIVES_MAX {
        return Err(too_many(at));
    }
    if let [single] = further {
        ways.iter_mut().for_each(|way| way.extend(single));
        return Ok(ways);
    }
    let joined = |way: &Vec<usize>| further.iter().map(|other| [&way[..], other].concat()).collect::<Vec<_>>();
    Ok(ways.iter().flat_map(joined).collect())
}

fn too_many(at: &str) -> Problem {
    let what =
        format!("the pattern's \"$or\"s multiply to more than {ALTERNATIVES_MAX} ways to match: split it into filters");
    Problem { at: at.to_owned(), what }
}

/// A path for people: `body.price`, or `body["a b"]` where a dot would mislead.
fn step(at: &str, key: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '$');
    match (at, !key.is_empty() && key.chars().all(is_plain)) {
        ("", true) => key.to_owned(),
        (_, true) => format!("{at}.{key}"),
        (_, false) => format!("{at}[{key:?}]"),
    }
}
