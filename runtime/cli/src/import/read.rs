//! From a template's text to its values: JSON where it begins with a brace, else YAML with CloudFormation's short tags.
//!
//! YAML is read event by event, so that tags, anchors and limits are ours. Absent: merge keys (`<<`), which
//! CloudFormation does not have.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use super::node::Node;

/// CloudFormation takes templates of up to 1 MB.
pub(super) const TEMPLATE_BYTES_MAX: u64 = 1024 * 1024;
/// How deep values may be nested.
const DEPTH_MAX: usize = 100;
/// How many values there may be once every alias stands for a copy.
const NODES_MAX: usize = 200_000;

/// Why a text is no template: what is wrong and, where it is known, the line from 1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    pub(super) line: Option<usize>,
    pub(super) what: String,
}

/// The values of a text.
pub(super) fn read(text: &str) -> Result<Node, Unreadable> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_start().starts_with('{') {
        return read_json(text);
    }
    let mut reader = Reader { parser: Parser::new_from_str(text), anchors: HashMap::new(), nodes: 0 };
    reader.document()
}

fn read_json(text: &str) -> Result<Node, Unreadable> {
    // serde_json itself bounds the depth, at 128.
    serde_json::from_str(text)
        .map(Node::of_json)
        .map_err(|error| Unreadable { line: Some(error.line()), what: format!("not valid JSON: {error}") })
}

struct Reader<'t> {
    parser: Parser<'t, StrInput<'t>>,
    /// What anchors stand for, with how many values that is.
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
}

impl<'t> Reader<'t> {
    fn document(&mut self) -> Result<Node, Unreadable> {
        let mut document = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
                Event::StreamEnd => break,
                _ if document.is_some() => return Err(at(span, "a second document: a template is one")),
                event => document = Some(self.value(event, span, 0)?),
            }
        }
        document.ok_or_else(|| Unreadable { line: None, what: "the file is empty".to_owned() })
    }

    fn value(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, Unreadable> {
        if depth > DEPTH_MAX {
            return Err(at(span, format!("values are nested more than {DEPTH_MAX} deep")));
        }
        let before = self.nodes;
        self.count(1, span)?;
        let (node, anchor, tag) = match event {
            Event::Scalar(text, style, anchor, tag) => (scalar(&text, style, tag.as_deref()), anchor, tag),
            Event::SequenceStart(anchor, tag) => (self.list(depth)?, anchor, tag),
            Event::MappingStart(anchor, tag) => (self.map(depth)?, anchor, tag),
            Event::Alias(anchor) => {
                let Some((node, nodes)) = self.anchors.get(&anchor).cloned() else {
                    return Err(at(span, "an alias within what it names"));
                };
                self.count(nodes, span)?;
                return Ok(node);
            }
            _ => return Err(at(span, "a value is missing")),
        };
        let node = tagged(node, tag.as_deref());
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), self.nodes - before));
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Node, Unreadable> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Node::List(items)),
                (event, span) => items.push(self.value(event, span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Node, Unreadable> {
        let (mut entries, mut keys) = (Vec::new(), HashSet::new());
        loop {
            let (key, span) = match self.next()? {
                (Event::MappingEnd, _) => return Ok(Node::Map(entries)),
                (Event::Scalar(key, ..), span) => (key.into_owned(), span),
                (_, span) => return Err(at(span, "a key that is no text")),
            };
            if key == "<<" {
                return Err(at(span, "a merge key (<<), which CloudFormation does not have"));
            }
            if !keys.insert(key.clone()) {
                return Err(at(span, format!("the key {key} is there twice")));
            }
            let (event, span) = self.next()?;
            entries.push((key, self.value(event, span, depth + 1)?));
        }
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), Unreadable> {
        match self.parser.next_event() {
            Some(Ok(found)) => Ok(found),
            Some(Err(error)) => Err(not_yaml(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn count(&mut self, nodes: usize, span: Span) -> Result<(), Unreadable> {
        self.nodes += nodes;
        if self.nodes > NODES_MAX {
            return Err(at(span, format!("more than {NODES_MAX} values, with those that aliases repeat")));
        }
        Ok(())
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Node {
    // `!Ref 1` names a resource: what an intrinsic function is given is a text whatever it looks like.
    if style == ScalarStyle::Plain && tag.is_none() { Node::plain(text) } else { Node::Text(text.to_string()) }
}

/// `!Ref x` is `{"Ref": x}`, any other `!Name x` is `{"Fn::Name": x}`. YAML's own tags (`!!str`) say nothing more.
fn tagged(node: Node, tag: Option<&Tag>) -> Node {
    match tag {
        Some(tag) if tag.handle == "!" && !tag.suffix.is_empty() => match tag.suffix.as_str() {
            name @ ("Ref" | "Condition") => Node::call(name, node),
            name => Node::call(format!("Fn::{name}"), node),
        },
        _ => node,
    }
}

fn at(span: Span, what: impl Into<String>) -> Unreadable {
    Unreadable { line: Some(span.start.line()), what: what.into() }
}

fn not_yaml(error: &ScanError) -> Unreadable {
    Unreadable { line: Some(error.marker().line()), what: format!("not valid YAML: {}", error.info()) }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use serde_json::json;

    use super::*;

    fn json(text: &str) -> serde_json::Value {
        read(text).unwrap().to_json()
    }

    #[test]
    fn short_tags_are_what_they_stand_for() {
        let yaml = "A: !Ref Orders\nB: !GetAtt Orders.Arn\nC: !Sub '${A}-1'\nD: !Join ['-', [a, !Ref B]]\nE: !If [X, 1, 2]\n\
                    F: !Condition X\nG: !FindInMap\n  - M\n  - k\n  - v\n";
        assert_eq!(
            json(yaml),
            json!({
                "A": {"Ref": "Orders"},
                "B": {"Fn::GetAtt": "Orders.Arn"},
                "C": {"Fn::Sub": "${A}-1"},
                "D": {"Fn::Join": ["-", ["a", {"Ref": "B"}]]},
                "E": {"Fn::If": ["X", 1, 2]},
                "F": {"Condition": "X"},
                "G": {"Fn::FindInMap": ["M", "k", "v"]},
            })
        );
    }

    #[test]
    fn json_and_yaml_say_the_same() {
        let yaml = "Resources:\n  Q:\n    Type: AWS::SQS::Queue\n    Properties: {FifoQueue: true, DelaySeconds: 5}\n";
        let same = r#"{"Resources": {"Q": {"Type": "AWS::SQS::Queue", "Properties": {"FifoQueue": true, "DelaySeconds": 5}}}}"#;
        assert_eq!(read(yaml), read(same));
        assert_eq!(json("a: |\n  one\n  two\nb: >-\n  one\n  two\n"), json!({"a": "one\ntwo\n", "b": "one two"}));
        assert_eq!(json("a: '12'\nb: \"true\"\nc: 12\n"), json!({"a": "12", "b": "true", "c": 12}));
    }

    #[test]
    fn aliases_are_copies_within_a_bound() {
        assert_eq!(json("a: &x {b: 1}\nc: *x\n"), json!({"a": {"b": 1}, "c": {"b": 1}}));
        // Ten times ten times … of one text: few bytes that would be very many values.
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..9 {
            let before = format!("*a{}", level - 1);
            bomb += &format!("a{level}: &a{level} [{}]\n", vec![before; 10].join(","));
        }
        assert!(read(&bomb).unwrap_err().what.contains("more than 200000 values"));
        assert!(read(&("[".repeat(150) + &"]".repeat(150))).unwrap_err().what.contains("nested more than"));
    }

    #[test]
    fn what_is_no_template_says_where_it_ends() {
        for (text, line, part) in [
            ("", None, "empty"),
            ("a: 1\na: 2\n", Some(2), "the key a is there twice"),
            ("a: 1\n---\nb: 2\n", Some(3), "second document"),
            ("a: [1, 2\nb: 3\n", Some(2), "not valid YAML"),
            ("? [a]\n: 1\n", Some(1), "a key that is no text"),
            ("a: &x 1\nb:\n  <<: *x\n", Some(3), "merge key"),
            ("{\"a\": 1,\n}", Some(2), "not valid JSON"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.what.contains(part), "{text}: {error:?}");
            assert_eq!(error.line, line, "{text}: {error:?}");
        }
    }
}
