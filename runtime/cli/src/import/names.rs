//! Which resources there are, by their conditions, and what queues and functions are called.

use std::collections::{BTreeMap, BTreeSet};

use super::intrinsics::{Evaluator, Physical, Surroundings};
use super::node::Node;
use super::notes::Notes;
use super::template::{Resource, Template, is_true};

const FIFO_SUFFIX: &str = ".fifo";
const QUEUE_NAME_MAX: usize = 80;
const FUNCTION_NAME_MAX: usize = 64;

/// The logical ids of the resources whose conditions hold. One that cannot be decided counts as holding.
pub(super) fn active<'t>(
    template: &'t Template,
    evaluator: &Evaluator<'_>,
    notes: &Notes,
) -> BTreeMap<&'t str, &'t Resource> {
    let mut active = BTreeMap::new();
    for (id, resource) in &template.resources {
        match resource.condition.as_deref().map(|name| (name, evaluator.condition(name))) {
            Some((name, Ok(false))) => notes.aside(id, format!("its condition {name} does not hold")),
            Some((name, Err(unknown))) => {
                let why = format!("its condition {name} cannot be decided ({}) and is taken to hold", unknown.0);
                notes.differs(id, why);
                active.insert(id.as_str(), resource);
            }
            _ => drop(active.insert(id.as_str(), resource)),
        }
    }
    active
}

/// What resources that others refer to are called. Names that refer to names are found at the second look.
pub(super) fn names(
    template: &Template,
    active: &BTreeMap<&str, &Resource>,
    given: &BTreeMap<String, String>,
    surroundings: &Surroundings,
    notes: &Notes,
) -> BTreeMap<String, Physical> {
    let quiet = Notes::default();
    let first = look(active, &Evaluator::new(template, given, surroundings.clone(), BTreeMap::new()), &quiet);
    let second = look(active, &Evaluator::new(template, given, surroundings.clone(), first), &quiet);
    look(active, &Evaluator::new(template, given, surroundings.clone(), second), notes)
}

fn look(active: &BTreeMap<&str, &Resource>, evaluator: &Evaluator<'_>, notes: &Notes) -> BTreeMap<String, Physical> {
    let mut names = BTreeMap::new();
    let (mut queues, mut functions) = (BTreeSet::new(), BTreeSet::new());
    for (id, resource) in active {
        let usual = resource.cdk_path().unwrap_or_else(|| (*id).to_owned());
        if resource.is_queue() {
            let is_fifo = property(resource, "FifoQueue").is_some_and(|node| is_true_here(evaluator, node));
            let written = written_name(evaluator, resource, "QueueName", &format!("{id}.QueueName"), notes);
            let name = queue_name(written.as_deref().unwrap_or(&usual), is_fifo);
            let name = unique(&mut queues, &name, numbered_queue);
            names.insert((*id).to_owned(), Physical::Queue { name });
        } else if resource.is_function() {
            let written = written_name(evaluator, resource, "FunctionName", &format!("{id}.FunctionName"), notes);
            let name = fitted(function_of(written.as_deref().unwrap_or(&usual)), FUNCTION_NAME_MAX);
            let name = unique(&mut functions, &name, numbered);
            names.insert((*id).to_owned(), Physical::Function { name });
        } else if matches!(resource.kind.as_str(), "AWS::Lambda::Alias" | "AWS::Lambda::Version") {
            let text = |key| {
                let node = property(resource, key)?;
                evaluator.whole(node).ok()??.text()
            };
            if let Some(function) = text("FunctionName") {
                let function = function_of(&function).to_owned();
                let qualifier = if resource.kind == "AWS::Lambda::Alias" { text("Name") } else { None };
                names.insert((*id).to_owned(), Physical::Qualified { function, qualifier });
            }
        }
    }
    names
}

fn property<'r>(resource: &'r Resource, key: &str) -> Option<&'r Node> {
    resource.properties.iter().find(|(name, _)| name == key).map(|(_, node)| node)
}

fn is_true_here(evaluator: &Evaluator<'_>, node: &Node) -> bool {
    let found = evaluator.whole(node).ok().flatten();
    found.and_then(|found| found.text()).is_some_and(|text| is_true(&text))
}

fn written_name(
    evaluator: &Evaluator<'_>,
    resource: &Resource,
    key: &str,
    place: &str,
    notes: &Notes,
) -> Option<String> {
    match evaluator.whole(property(resource, key)?) {
        Ok(found) => found.and_then(|found| found.text()),
        Err(unknown) => {
            notes.differs(place, format!("{}; its logical id is the name", unknown.0));
            None
        }
    }
}

/// The name in what `FunctionName` takes: a name or an ARN, with or without a qualifier.
pub(super) fn function_of(text: &str) -> &str {
    let after = text.split_once(":function:").map_or(text, |(_, name)| name);
    after.split(':').next().unwrap_or(after)
}

/// Whether what `FunctionName` takes names a version or an alias.
pub(super) fn has_qualifier(text: &str) -> bool {
    text.split_once(":function:").map_or(text, |(_, name)| name).contains(':')
}

/// A name that a queue of the built-in service may have.
pub(super) fn queue_name(wanted: &str, is_fifo: bool) -> String {
    let (stem, has_suffix) = match wanted.strip_suffix(FIFO_SUFFIX) {
        Some(stem) => (stem, true),
        None => (wanted, false),
    };
    if is_fifo || has_suffix {
        return fitted(stem, QUEUE_NAME_MAX - FIFO_SUFFIX.len()) + FIFO_SUFFIX;
    }
    fitted(stem, QUEUE_NAME_MAX)
}

fn fitted(wanted: &str, most: usize) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    wanted.chars().map(fits).take(most).collect()
}

fn numbered(name: &str, n: usize) -> String {
    let number = format!("-{n}");
    name.chars().take(FUNCTION_NAME_MAX - number.len()).collect::<String>() + &number
}

fn numbered_queue(name: &str, n: usize) -> String {
    match name.strip_suffix(FIFO_SUFFIX) {
        Some(stem) => numbered(stem, n) + FIFO_SUFFIX,
        None => numbered(name, n),
    }
}

/// The name, with a number behind it when another of its kind has it already.
fn unique(taken: &mut BTreeSet<String>, name: &str, numbered: fn(&str, usize) -> String) -> String {
    let free = |candidate: &String| !taken.contains(candidate);
    let mut candidates = std::iter::once(name.to_owned()).chain((2..).map(|number| numbered(name, number)));
    let found = candidates.find(free).unwrap_or_default();
    taken.insert(found.clone());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_what_the_config_takes() {
        assert_eq!(queue_name("orders", false), "orders");
        assert_eq!(queue_name("orders", true), "orders.fifo");
        assert_eq!(queue_name("orders.fifo", false), "orders.fifo");
        assert_eq!(queue_name("a b/c", false), "a-b-c");
        assert_eq!(queue_name(&"x".repeat(90), true).len(), 80);
        assert_eq!(function_of("arn:aws:lambda:us-east-1:1:function:orders:live"), "orders");
        assert_eq!(function_of("orders:1"), "orders");
        assert!(has_qualifier("orders:1") && has_qualifier("arn:aws:lambda:us-east-1:1:function:orders:live"));
        assert!(!has_qualifier("orders") && !has_qualifier("arn:aws:lambda:us-east-1:1:function:orders"));
        assert_eq!(function_of("orders"), "orders");
    }

    #[test]
    fn a_name_that_is_taken_gets_a_number() {
        let mut taken = BTreeSet::new();
        let mut next = |name: &str| unique(&mut taken, name, numbered_queue);
        assert_eq!([next("a.fifo"), next("a.fifo"), next("a.fifo")], ["a.fifo", "a-2.fifo", "a-3.fifo"]);
        assert_eq!(next("a"), "a");
    }
}
