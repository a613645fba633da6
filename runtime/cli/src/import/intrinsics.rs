//! CloudFormation's intrinsic functions, over what a template itself can tell: parameters, mappings, conditions, and the
//! names of queues and functions. What only AWS knows is unknown, with the reason.

use std::cell::Cell;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::node::Node;
use super::template::Template;

/// How deep functions may be nested, and conditions may name conditions.
const DEPTH_MAX: usize = 64;
/// What AWS puts in when a stack is deployed.
const DYNAMIC_REFERENCE: &str = "{{resolve:";
/// A property that is to be as if it were not written.
const NO_VALUE: &str = "AWS::NoValue";

/// Why a value cannot be told here: a clause that fits after the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unknown(pub(super) String);

/// What a resource is called, for those that refer to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Physical {
    /// A queue of the built-in service.
    Queue {
        name: String,
    },
    Function {
        name: String,
    },
    /// A version or an alias, with its qualifier where that is known.
    Qualified {
        function: String,
        qualifier: Option<String>,
    },
}

/// Where the built-in queue will be, and who owns it.
#[derive(Clone, Debug)]
pub(super) struct Surroundings {
    pub(super) region: String,
    pub(super) account_id: String,
    pub(super) stack_name: String,
    /// `http://HOST:PORT` of the AWS listener; none: it takes a free port, which is not known yet.
    pub(super) endpoint_url: Option<String>,
}

/// Looks values up.
pub(super) struct Evaluator<'t> {
    template: &'t Template,
    /// What was given for parameters.
    given: &'t BTreeMap<String, String>,
    surroundings: Surroundings,
    names: BTreeMap<String, Physical>,
    /// Whether a secret parameter took part since it was last asked.
    saw_secret: Cell<bool>,
    /// Whether a queue's URL took part since it was last asked.
    saw_queue_url: Cell<bool>,
}

type Evaluated<T> = Result<T, Unknown>;

impl<'t> Evaluator<'t> {
    pub(super) fn new(
        template: &'t Template,
        given: &'t BTreeMap<String, String>,
        surroundings: Surroundings,
        names: BTreeMap<String, Physical>,
    ) -> Self {
        let (saw_secret, saw_queue_url) = (Cell::new(false), Cell::new(false));
        Self { template, given, surroundings, names, saw_secret, saw_queue_url }
    }

    /// Where clients reach the built-in queue, if that is known beforehand.
    pub(super) fn endpoint_url(&self) -> Option<&str> {
        self.surroundings.endpoint_url.as_deref()
    }

    pub(super) fn physical(&self, id: &str) -> Option<&Physical> {
        self.names.get(id)
    }

    /// What a queue's ARN is here.
    pub(super) fn queue_arn(&self, name: &str) -> String {
        format!("arn:aws:sqs:{}:{}:{name}", self.surroundings.region, self.surroundings.account_id)
    }

    /// Whether a `NoEcho` parameter took part in what was looked up since this was last asked.
    pub(super) fn take_saw_secret(&self) -> bool {
        self.saw_secret.take()
    }

    /// Whether the URL of a queue took part in what was looked up since this was last asked.
    pub(super) fn take_saw_queue_url(&self) -> bool {
        self.saw_queue_url.take()
    }

    /// The value with its outermost functions done; what is within may still call some. None: as if it were not written.
    pub(super) fn head(&self, node: &Node) -> Evaluated<Option<Node>> {
        self.head_at(node, 0)
    }

    /// The value with all functions in it done. What has no value is left out of lists and maps.
    pub(super) fn whole(&self, node: &Node) -> Evaluated<Option<Node>> {
        self.whole_at(node, 0)
    }

    /// Whether a named condition holds.
    pub(super) fn condition(&self, name: &str) -> Evaluated<bool> {
        self.condition_at(name, 0)
    }

    fn head_at(&self, node: &Node, depth: usize) -> Evaluated<Option<Node>> {
        if depth > DEPTH_MAX {
            return Err(Unknown(format!("functions are nested more than {DEPTH_MAX} deep")));
        }
        let found = match node.as_call() {
            Some((function, argument)) => self.call(function, argument, depth + 1)?,
            None => Some(node.clone()),
        };
        if let Some(Node::Text(text)) = &found
            && let Some(start) = text.find(DYNAMIC_REFERENCE)
        {
            let kind: String = text[start + DYNAMIC_REFERENCE.len()..].chars().take_while(|c| *c != ':').collect();
            return Err(Unknown(format!("its value is read from AWS ({kind}) when the stack is deployed")));
        }
        Ok(found)
    }

    fn whole_at(&self, node: &Node, depth: usize) -> Evaluated<Option<Node>> {
        let Some(head) = self.head_at(node, depth)? else { return Ok(None) };
        let node = match head {
            Node::List(items) => {
                let mut whole = Vec::with_capacity(items.len());
                for item in &items {
                    whole.extend(self.whole_at(item, depth + 1)?);
                }
                Node::List(whole)
            }
            Node::Map(entries) => {
                let mut whole = Vec::with_capacity(entries.len());
                for (key, value) in entries {
                    whole.extend(self.whole_at(&value, depth + 1)?.map(|value| (key, value)));
                }
                Node::Map(whole)
            }
            scalar => scalar,
        };
        Ok(Some(node))
    }

    fn call(&self, function: &str, argument: &Node, depth: usize) -> Evaluated<Option<Node>> {
        let text = match function {
            "Ref" => return self.reference(&self.text(argument, "Ref", depth)?),
            "Fn::If" => return self.choose(argument, depth),
            "Condition" => {
                return Ok(Some(Node::Boolean(self.test(&Node::call("Condition", argument.clone()), depth)?)));
            }
            "Fn::Equals" | "Fn::And" | "Fn::Or" | "Fn::Not" => {
                return Ok(Some(Node::Boolean(self.test(&Node::call(function, argument.clone()), depth)?)));
            }
            "Fn::FindInMap" => return self.find_in_map(argument, depth).map(Some),
            "Fn::Select" => return self.select(argument, depth).map(Some),
            "Fn::Split" => return self.split(argument, depth).map(Some),
            "Fn::GetAtt" => self.attribute(argument, depth)?,
            "Fn::Sub" => self.substitute(argument, depth)?,
            "Fn::Join" => self.join(argument, depth)?,
            "Fn::Base64" => STANDARD.encode(self.text(argument, function, depth)?),
            "Fn::ImportValue" => return Err(Unknown("another stack exports its value (Fn::ImportValue)".to_owned())),
            other => return Err(Unknown(format!("its value is what {other} gives, which only AWS knows"))),
        };
        Ok(Some(Node::Text(text)))
    }

    fn reference(&self, name: &str) -> Evaluated<Option<Node>> {
        if name == NO_VALUE {
            return Ok(None);
        }
        if let Some(given) = self.given.get(name) {
            return Ok(Some(self.parameter_value(name, given)));
        }
        if name.starts_with("AWS::") {
            return self.pseudo(name).map(|text| Some(Node::Text(text)));
        }
        if let Some(parameter) = self.template.parameters.get(name) {
            return match parameter.default.as_ref().and_then(Node::text) {
                Some(_) if parameter.is_of_store() => Err(Unknown(format!(
                    "parameter {name} is an entry of SSM's parameter store: give its value with --parameter {name}=…"
                ))),
                Some(text) => Ok(Some(self.parameter_value(name, &text))),
                None => Err(Unknown(format!("parameter {name} has no default: give it with --parameter {name}=…"))),
            };
        }
        match self.names.get(name) {
            Some(Physical::Queue { name }) => self.queue_url(name).map(|url| Some(Node::Text(url))),
            Some(Physical::Function { name }) => Ok(Some(Node::Text(name.clone()))),
            Some(Physical::Qualified { function, qualifier }) => {
                Ok(Some(Node::Text(self.function_arn(function, qualifier.as_deref()))))
            }
            None => self.stranger(name).map(Some),
        }
    }

    /// What a resource is called that is neither a queue nor a function: known where the template names it itself.
    fn stranger(&self, id: &str) -> Evaluated<Node> {
        let Some(resource) = self.template.resources.get(id) else {
            return Err(Unknown(format!("there is no {id} in the template")));
        };
        let own_name = match resource.kind.as_str() {
            "AWS::DynamoDB::Table" | "AWS::Serverless::SimpleTable" => Some("TableName"),
            "AWS::S3::Bucket" => Some("BucketName"),
            "AWS::Logs::LogGroup" => Some("LogGroupName"),
            _ => None,
        };
        let written = own_name.and_then(|key| resource.properties.iter().find(|(name, _)| name == key));
        if let Some((_, name)) = written
            && let Ok(Some(name)) = self.whole_at(name, DEPTH_MAX / 2)
        {
            return Ok(name);
        }
        Err(Unknown(format!("it refers to {id} ({}), which is not here", resource.kind)))
    }

    fn parameter_value(&self, name: &str, text: &str) -> Node {
        let parameter = self.template.parameters.get(name);
        if parameter.is_some_and(|parameter| parameter.is_secret) {
            self.saw_secret.set(true);
        }
        if parameter.is_some_and(super::template::Parameter::is_list) {
            return Node::List(text.split(',').map(|item| Node::Text(item.trim().to_owned())).collect());
        }
        Node::Text(text.to_owned())
    }

    fn pseudo(&self, name: &str) -> Evaluated<String> {
        let Surroundings { region, account_id, stack_name, .. } = &self.surroundings;
        Ok(match name {
            "AWS::Region" => region.clone(),
            "AWS::AccountId" => account_id.clone(),
            "AWS::StackName" => stack_name.clone(),
            "AWS::Partition" => "aws".to_owned(),
            "AWS::URLSuffix" => "amazonaws.com".to_owned(),
            other => return Err(Unknown(format!("its value is {other}, which only AWS knows"))),
        })
    }

    fn attribute(&self, argument: &Node, depth: usize) -> Evaluated<String> {
        let parts = match argument {
            Node::List(parts) => {
                let parts: Result<Vec<_>, _> = parts.iter().map(|part| self.text(part, "Fn::GetAtt", depth)).collect();
                parts?.join(".")
            }
            other => self.text(other, "Fn::GetAtt", depth)?,
        };
        let Some((id, attribute)) = parts.split_once('.') else {
            return Err(Unknown(format!("Fn::GetAtt names a resource and an attribute, and {parts:?} does not")));
        };
        self.attribute_of(id, attribute)
    }

    fn attribute_of(&self, id: &str, attribute: &str) -> Evaluated<String> {
        match (self.names.get(id), attribute) {
            (Some(Physical::Queue { name }), "Arn") => Ok(self.queue_arn(name)),
            (Some(Physical::Queue { name }), "QueueName") => Ok(name.clone()),
            (Some(Physical::Queue { name }), "QueueUrl") => self.queue_url(name),
            (Some(Physical::Function { name }), "Arn") => Ok(self.function_arn(name, None)),
            (Some(Physical::Qualified { function, qualifier }), "FunctionArn" | "AliasArn") => {
                Ok(self.function_arn(function, qualifier.as_deref()))
            }
            (Some(Physical::Qualified { qualifier: Some(version), .. }), "Version") => Ok(version.clone()),
            (Some(_), other) => Err(Unknown(format!("it is {other} of {id}, which only AWS knows"))),
            (None, _) => match self.template.resources.get(id) {
                Some(resource) => {
                    Err(Unknown(format!("it is {attribute} of {id} ({}), which is not here", resource.kind)))
                }
                None => Err(Unknown(format!("there is no {id} in the template"))),
            },
        }
    }

    fn queue_url(&self, name: &str) -> Evaluated<String> {
        let Some(endpoint_url) = &self.surroundings.endpoint_url else {
            return Err(Unknown("it is a queue's URL, and the port is not known before it is taken".to_owned()));
        };
        self.saw_queue_url.set(true);
        Ok(format!("{endpoint_url}/{}/{name}", self.surroundings.account_id))
    }

    fn function_arn(&self, name: &str, qualifier: Option<&str>) -> String {
        let Surroundings { region, account_id, .. } = &self.surroundings;
        let qualifier = qualifier.map(|qualifier| format!(":{qualifier}")).unwrap_or_default();
        format!("arn:aws:lambda:{region}:{account_id}:function:{name}{qualifier}")
    }

    fn substitute(&self, argument: &Node, depth: usize) -> Evaluated<String> {
        let (pattern, locals) = match argument {
            Node::List(parts) => match parts.as_slice() {
                [pattern, Node::Map(locals)] => (self.text(pattern, "Fn::Sub", depth)?, locals.as_slice()),
                [pattern] => (self.text(pattern, "Fn::Sub", depth)?, &[] as &[_]),
                _ => return Err(Unknown("Fn::Sub takes a text and a map".to_owned())),
            },
            other => (self.text(other, "Fn::Sub", depth)?, &[] as &[_]),
        };
        let (mut out, mut rest) = (String::new(), pattern.as_str());
        while let Some((before, after)) = rest.split_once("${") {
            let Some((name, after)) = after.split_once('}') else {
                return Err(Unknown("Fn::Sub has a ${ without its }".to_owned()));
            };
            out.push_str(before);
            rest = after;
            if let Some(literal) = name.strip_prefix('!') {
                out += &format!("${{{literal}}}");
                continue;
            }
            let name = name.trim();
            let local = locals.iter().find(|(known, _)| known == name);
            out += &match (local, name.split_once('.')) {
                (Some((_, value)), _) => self.text(value, "Fn::Sub", depth)?,
                (None, Some((id, attribute))) => self.attribute_of(id, attribute)?,
                (None, None) => {
                    let found = self.reference(name)?.and_then(|node| node.text());
                    found.ok_or_else(|| Unknown(format!("Fn::Sub wants a text, and {name} is none")))?
                }
            };
        }
        Ok(out + rest)
    }

    fn join(&self, argument: &Node, depth: usize) -> Evaluated<String> {
        let [delimiter, items] = arguments(argument, "Fn::Join")?;
        let delimiter = self.text(delimiter, "Fn::Join", depth)?;
        let items = self.list(items, "Fn::Join", depth)?;
        let texts: Result<Vec<String>, Unknown> = items.iter().map(|item| self.text(item, "Fn::Join", depth)).collect();
        Ok(texts?.join(&delimiter))
    }

    fn select(&self, argument: &Node, depth: usize) -> Evaluated<Node> {
        let [index, items] = arguments(argument, "Fn::Select")?;
        let index = self.text(index, "Fn::Select", depth)?;
        let items = self.list(items, "Fn::Select", depth)?;
        let chosen = index.parse::<usize>().ok().and_then(|index| items.into_iter().nth(index));
        let chosen = chosen.ok_or_else(|| Unknown(format!("Fn::Select wants item {index}, and there is none")))?;
        let found = self.head_at(&chosen, depth)?;
        found.ok_or_else(|| Unknown("Fn::Select chooses AWS::NoValue".to_owned()))
    }

    fn split(&self, argument: &Node, depth: usize) -> Evaluated<Node> {
        let [delimiter, text] = arguments(argument, "Fn::Split")?;
        let delimiter = self.text(delimiter, "Fn::Split", depth)?;
        let text = self.text(text, "Fn::Split", depth)?;
        if delimiter.is_empty() {
            return Err(Unknown("Fn::Split wants a delimiter".to_owned()));
        }
        Ok(Node::List(text.split(&delimiter).map(|part| Node::Text(part.to_owned())).collect()))
    }

    fn find_in_map(&self, argument: &Node, depth: usize) -> Evaluated<Node> {
        let (path, default) = match argument {
            Node::List(parts) if parts.len() == 3 => (parts.as_slice(), None),
            Node::List(parts) if parts.len() == 4 => (&parts[..3], parts[3].get("DefaultValue")),
            _ => return Err(Unknown("Fn::FindInMap takes a map's name and two keys".to_owned())),
        };
        let mut found = self.template.mappings.as_ref();
        let mut shown = Vec::new();
        for key in path {
            let key = self.text(key, "Fn::FindInMap", depth)?;
            found = found.and_then(|map| map.get(&key));
            shown.push(key);
        }
        match found.or(default) {
            Some(found) => Ok(self.head_at(found, depth)?.unwrap_or(Node::Null)),
            None => Err(Unknown(format!("there is no {} among the Mappings", shown.join(".")))),
        }
    }

    fn choose(&self, argument: &Node, depth: usize) -> Evaluated<Option<Node>> {
        let [condition, yes, no] = arguments(argument, "Fn::If")?;
        let name = self.text(condition, "Fn::If", depth)?;
        self.head_at(if self.condition_at(&name, depth)? { yes } else { no }, depth)
    }

    fn condition_at(&self, name: &str, depth: usize) -> Evaluated<bool> {
        match self.template.conditions.get(name) {
            Some(condition) => self.test(condition, depth + 1),
            None => Err(Unknown(format!("there is no condition {name}"))),
        }
    }

    fn test(&self, condition: &Node, depth: usize) -> Evaluated<bool> {
        if depth > DEPTH_MAX {
            return Err(Unknown("conditions name each other without end".to_owned()));
        }
        let all = |items: &Node, function: &str| -> Evaluated<Vec<bool>> {
            self.list(items, function, depth)?.iter().map(|item| self.test(item, depth + 1)).collect()
        };
        match condition.as_call() {
            Some(("Condition", name)) => self.condition_at(&self.text(name, "Condition", depth)?, depth + 1),
            Some(("Fn::Equals", argument)) => {
                let [one, other] = arguments(argument, "Fn::Equals")?;
                let (one, other) = (self.whole_at(one, depth)?, self.whole_at(other, depth)?);
                let text = |node: &Option<Node>| node.as_ref().and_then(Node::text);
                Ok(if text(&one).is_some() { text(&one) == text(&other) } else { one == other })
            }
            Some(("Fn::Not", argument)) => match all(argument, "Fn::Not")?.as_slice() {
                [one] => Ok(!one),
                _ => Err(Unknown("Fn::Not takes one condition".to_owned())),
            },
            Some(("Fn::And", argument)) => Ok(all(argument, "Fn::And")?.into_iter().all(|holds| holds)),
            Some(("Fn::Or", argument)) => Ok(all(argument, "Fn::Or")?.into_iter().any(|holds| holds)),
            Some((other, _)) => Err(Unknown(format!("a condition is what {other} gives, which is not known here"))),
            None => Err(Unknown(format!("a condition is {}, not a function", condition.kind()))),
        }
    }

    fn text(&self, node: &Node, function: &str, depth: usize) -> Evaluated<String> {
        let found = self.head_at(node, depth)?;
        let text = found.as_ref().and_then(Node::text);
        text.ok_or_else(|| {
            let kind = found.as_ref().map_or("nothing", Node::kind);
            Unknown(format!("{function} wants a text, and gets {kind}"))
        })
    }

    fn list(&self, node: &Node, function: &str, depth: usize) -> Evaluated<Vec<Node>> {
        match self.head_at(node, depth)? {
            Some(Node::List(items)) => Ok(items),
            other => {
                let kind = other.as_ref().map_or("nothing", Node::kind);
                Err(Unknown(format!("{function} wants a list, and gets {kind}")))
            }
        }
    }
}

fn arguments<'n, const N: usize>(argument: &'n Node, function: &str) -> Evaluated<[&'n Node; N]> {
    let items = match argument {
        Node::List(items) => items.iter().collect::<Vec<_>>(),
        _ => Vec::new(),
    };
    items.try_into().map_err(|_| Unknown(format!("{function} takes a list of {N}")))
}
