//! One record through the plan: its members as they are, its body as it is read, nothing built.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use wasmill_event::{AttributeValue, MessageAttribute, Record};

use super::condition::Candidate;
use super::json::{NotJson, Reader, Scalar};
use super::plan::{Node, Plan};

/// The first filter that matches.
pub(super) fn first_match(plan: &Plan, record: &Record) -> Option<usize> {
    let mut matcher = Matcher { words: plan.words(), holds: Vec::new() };
    let mut outcome = vec![0; 2 * plan.words()];
    matcher.members(&plan.root, &mut outcome, &mut |matcher, name, node, outcome| {
        let text = match name {
            "messageId" => &*record.message_id,
            "receiptHandle" => &record.receipt_handle,
            "md5OfBody" => record.md5_of_body.as_str(),
            "eventSource" => "aws:sqs",
            "eventSourceARN" => &record.event_source_arn,
            "awsRegion" => &record.aws_region,
            "md5OfMessageAttributes" => match &record.md5_of_message_attributes {
                Some(md5) => md5,
                None => return,
            },
            "body" => return matcher.body(node, &record.body, outcome),
            "attributes" => {
                return matcher.members(node, outcome, &mut |matcher, name, node, outcome| {
                    if let Some((_, value)) = record.attributes.iter().find(|(own, _)| *own == name) {
                        matcher.text(node, &value.text(), outcome);
                    }
                });
            }
            "messageAttributes" => {
                return matcher.members(node, outcome, &mut |matcher, name, node, outcome| {
                    if let Some(attribute) = record.message_attributes.iter().find(|own| own.name == name) {
                        matcher.message_attribute(node, attribute, outcome);
                    }
                });
            }
            _ => return,
        };
        matcher.text(node, text, outcome);
    });
    plan.first_filter(&outcome)
}

/// Works outcomes out (see `plan.rs`). Each is written to a slice that the caller brings, over what stood there: the
/// last of equal keys counts.
struct Matcher {
    words: usize,
    /// Which of the conditions on the fields that are being read hold so far: those of the outermost field first.
    holds: Vec<bool>,
}

/// Writes the outcome of a member if it is there.
type Member<'m> = dyn FnMut(&mut Matcher, &str, &Node, &mut [u64]) + 'm;

impl Matcher {
    /// An object whose members can be had by name.
    fn members(&mut self, node: &Node, outcome: &mut [u64], member: &mut Member<'_>) {
        let base = self.begin(node, outcome);
        let mut children = node.no_children.clone();
        for ((name, child), outcome) in node.children().iter().zip(children.chunks_mut(2 * self.words)) {
            member(self, name, child, outcome);
        }
        self.add_object(&children, outcome);
        self.finish(node, base, false, outcome);
    }

    fn message_attribute(&mut self, node: &Node, attribute: &MessageAttribute, outcome: &mut [u64]) {
        // `stringListValues` and `binaryListValues` are always empty lists, in which nothing is to be found.
        self.members(node, outcome, &mut |matcher, name, node, outcome| match (name, &attribute.value) {
            ("dataType", _) => matcher.text(node, &attribute.data_type, outcome),
            ("stringValue", AttributeValue::Text(text)) => matcher.text(node, text, outcome),
            ("binaryValue", AttributeValue::Binary(bytes)) => matcher.text(node, &STANDARD.encode(bytes), outcome),
            _ => {}
        });
    }

    /// esm-semantics §5.2: a body that is a JSON object or array is judged by what a pattern says of its fields and
    /// any other as a plain text; a pattern of the other kind does not match.
    fn body(&mut self, node: &Node, body: &str, outcome: &mut [u64]) {
        let mut reader = Reader::new(body);
        let is_json = matches!(reader.peek(), b'{' | b'[') && {
            let base = self.holds.len();
            let read = self.value(node, &mut reader, outcome).and_then(|()| reader.end());
            self.holds.truncate(base);
            read.is_ok()
        };
        if is_json {
            node.asked.iter().for_each(|asked| self.rule_out(&asked.by, outcome));
        } else {
            self.text(node, body, outcome);
            self.rule_out(&node.asking_below, outcome);
        }
    }

    fn rule_out(&self, alternatives: &[u64], outcome: &mut [u64]) {
        for row in outcome.chunks_mut(self.words) {
            row.iter_mut().zip(alternatives).for_each(|(bits, out)| *bits &= !out);
        }
    }

    fn text(&mut self, node: &Node, text: &str, outcome: &mut [u64]) {
        let base = self.begin(node, outcome);
        self.add_scalar(node, base, Scalar::Text(text.into()));
        self.finish(node, base, true, outcome);
    }

    /// The value that comes next in a text. Arrays are stepped into without a level of their own, at any depth, so
    /// this calls itself no deeper than patterns are nested.
    fn value(&mut self, node: &Node, reader: &mut Reader<'_>, outcome: &mut [u64]) -> Result<(), NotJson> {
        let base = self.begin(node, outcome);
        let mut has_scalar = false;
        let mut open_arrays: usize = 0;
        loop {
            match reader.peek() {
                b'[' => {
                    reader.take(b'[');
                    if !reader.take(b']') {
                        open_arrays += 1;
                        continue;
                    }
                }
                b'{' if node.children().is_empty() => reader.skip_value()?,
                b'{' => self.object(node, reader, outcome)?,
                _ => {
                    has_scalar = true;
                    let scalar = reader.scalar()?;
                    self.add_scalar(node, base, scalar);
                }
            }
            while open_arrays > 0 && !reader.more(b']')? {
                open_arrays -= 1;
            }
            if open_arrays == 0 {
                break;
            }
        }
        self.finish(node, base, has_scalar, outcome);
        Ok(())
    }

    /// The object that comes next in a text, added to the outcome of the field it stands in.
    fn object(&mut self, node: &Node, reader: &mut Reader<'_>, outcome: &mut [u64]) -> Result<(), NotJson> {
        // Made when the first of the fields asked about is seen: most objects of large arrays may have none.
        let mut children = Vec::new();
        reader.take(b'{');
        let mut is_open = !reader.take(b'}');
        while is_open {
            let key = reader.key()?;
            match node.place(&key) {
                None => reader.skip_value()?,
                Some(place) => {
                    if children.is_empty() {
                        children.clone_from(&node.no_children);
                    }
                    let slot = 2 * self.words * place..2 * self.words * (place + 1);
                    self.value(&node.children()[place].1, reader, &mut children[slot])?;
                }
            }
            is_open = reader.more(b'}')?;
        }
        if !children.is_empty() {
            self.add_object(&children, outcome);
        }
        Ok(())
    }

    /// A field of which nothing was seen yet: none of its conditions holds, and below it is nothing.
    fn begin(&mut self, node: &Node, outcome: &mut [u64]) -> usize {
        outcome.copy_from_slice(&node.nothing_below);
        let base = self.holds.len();
        self.holds.resize(base + node.asked.len(), false);
        base
    }

    fn add_scalar(&mut self, node: &Node, base: usize, scalar: Scalar<'_>) {
        let candidate = Candidate::new(scalar);
        for (asked, holds) in node.asked.iter().zip(&mut self.holds[base..]) {
            *holds = *holds || asked.condition.holds(&candidate);
        }
    }

    /// Adds an object to what was found below a field, given the outcomes of its members: any object will do for what
    /// is to be found, and all must lack what is to be absent.
    fn add_object(&self, children: &[u64], outcome: &mut [u64]) {
        let (found, absent) = outcome.split_at_mut(self.words);
        for (word, (found, absent)) in found.iter_mut().zip(absent).enumerate() {
            let (mut all, mut any, mut none) = (u64::MAX, 0, u64::MAX);
            for child in children.chunks(2 * self.words) {
                let (child_found, child_absent) = (child[word], child[self.words + word]);
                all &= child_found | child_absent;
                any |= child_found;
                none &= child_absent;
            }
            *found |= all & any;
            *absent &= none;
        }
    }

    /// Adds the conditions on the field's own values to what was found below it.
    fn finish(&mut self, node: &Node, base: usize, has_scalar: bool, outcome: &mut [u64]) {
        let (found, absent) = outcome.split_at_mut(self.words);
        for (word, (found, absent)) in found.iter_mut().zip(absent).enumerate() {
            let (mut all, mut any) = (*found | *absent, *found);
            for (asked, holds) in node.asked.iter().zip(&self.holds[base..]) {
                let by = asked.by[word];
                if *holds {
                    any |= by;
                    *absent &= !by;
                } else if has_scalar || !asked.condition.may_be_absent {
                    all &= !by;
                    *absent &= !by;
                }
            }
            *found = all & any;
        }
        self.holds.truncate(base);
    }
}
