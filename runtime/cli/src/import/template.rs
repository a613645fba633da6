//! A template in parts: parameters, mappings, conditions, what SAM's `Globals` say of functions, and the resources.

use std::collections::BTreeMap;

use super::node::Node;

/// What CloudFormation takes of resources.
const RESOURCES_MAX: usize = 500;

/// A template's parts. Nothing of them is looked up yet.
#[derive(Debug, Default)]
pub(super) struct Template {
    pub(super) parameters: BTreeMap<String, Parameter>,
    pub(super) mappings: Option<Node>,
    pub(super) conditions: BTreeMap<String, Node>,
    /// `Globals.Function`.
    pub(super) function_globals: Vec<(String, Node)>,
    /// Other sections of `Globals`, and of the template, that say something.
    pub(super) other_sections: Vec<String>,
    /// In the order of their logical ids.
    pub(super) resources: BTreeMap<String, Resource>,
}

/// A parameter.
#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) kind: String,
    pub(super) default: Option<Node>,
    /// `NoEcho`: its value is a secret.
    pub(super) is_secret: bool,
}

impl Parameter {
    /// Its value is a list, written with commas.
    pub(super) fn is_list(&self) -> bool {
        self.kind == "CommaDelimitedList" || self.kind.starts_with("List<")
    }

    /// Its default names an entry of SSM's parameter store, and is not the value.
    pub(super) fn is_of_store(&self) -> bool {
        self.kind.starts_with("AWS::SSM::Parameter::Value<")
    }
}

/// A resource.
#[derive(Debug)]
pub(super) struct Resource {
    pub(super) kind: String,
    pub(super) properties: Vec<(String, Node)>,
    pub(super) metadata: Option<Node>,
    pub(super) condition: Option<String>,
}

impl Resource {
    pub(super) fn is_queue(&self) -> bool {
        self.kind == "AWS::SQS::Queue"
    }

    /// What CDK calls it within its stack, such as `Orders` or `Api/Orders`: its logical ids end with a hash.
    pub(super) fn cdk_path(&self) -> Option<String> {
        let path = self.metadata.as_ref()?.get("aws:cdk:path")?.text()?;
        let (_, within) = path.strip_suffix("/Resource").unwrap_or(&path).split_once('/')?;
        Some(within.to_owned())
    }

    pub(super) fn is_function(&self) -> bool {
        matches!(self.kind.as_str(), "AWS::Serverless::Function" | "AWS::Lambda::Function")
    }
}

impl Template {
    /// Takes a template apart. The error says what of it is not as CloudFormation wants it.
    pub(super) fn of(document: &Node) -> Result<Self, String> {
        if !matches!(document, Node::Map(_)) {
            return Err(format!("a template is a map with Resources, and this is {}", document.kind()));
        }
        let Some(resources) = document.get("Resources") else {
            return Err("there are no Resources in it, so it is no template of CloudFormation's or SAM's".to_owned());
        };
        if resources.entries().len() > RESOURCES_MAX {
            let count = resources.entries().len();
            return Err(format!("{count} resources are more than {RESOURCES_MAX}, the most of one template"));
        }
        let mut template = Self { mappings: document.get("Mappings").cloned(), ..Self::default() };
        for (id, written) in resources.entries() {
            template.resources.insert(id.clone(), resource(id, written)?);
        }
        for (name, written) in entries(document, "Parameters") {
            let kind = written.get("Type").and_then(Node::text).unwrap_or_else(|| "String".to_owned());
            let is_secret = written.get("NoEcho").and_then(Node::text).is_some_and(|text| is_true(&text));
            let parameter = Parameter { kind, default: written.get("Default").cloned(), is_secret };
            template.parameters.insert(name.clone(), parameter);
        }
        template.conditions.extend(entries(document, "Conditions").iter().cloned());
        for (name, written) in entries(document, "Globals") {
            match name.as_str() {
                "Function" => template.function_globals = written.entries().to_vec(),
                other => template.other_sections.push(format!("Globals.{other}")),
            }
        }
        if document.get("Rules").is_some() {
            template.other_sections.push("Rules".to_owned());
        }
        Ok(template)
    }
}

fn entries<'n>(document: &'n Node, section: &str) -> &'n [(String, Node)] {
    document.get(section).map_or(&[], Node::entries)
}

fn resource(id: &str, written: &Node) -> Result<Resource, String> {
    let Some(kind) = written.get("Type").and_then(Node::text) else {
        return Err(format!("resource {id} has no Type"));
    };
    let properties = match written.get("Properties") {
        None | Some(Node::Null) => Vec::new(),
        Some(Node::Map(entries)) => entries.clone(),
        Some(other) => return Err(format!("the Properties of resource {id} are {}, not a map", other.kind())),
    };
    let condition = written.get("Condition").and_then(Node::text);
    Ok(Resource { kind, properties, metadata: written.get("Metadata").cloned(), condition })
}

/// How templates write what is true.
pub(super) fn is_true(text: &str) -> bool {
    ["true", "yes", "on"].iter().any(|word| text.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::super::read::read;
    use super::*;

    #[test]
    fn parts_are_found_and_what_is_no_template_is_refused() {
        let text = "Transform: AWS::Serverless-2016-10-31\nParameters:\n  A: {Type: CommaDelimitedList, Default: 'x,y', NoEcho: true}\n\
                    Globals: {Function: {Timeout: 5}, Api: {}}\nResources:\n  Q: {Type: AWS::SQS::Queue, Condition: C}\n";
        let template = Template::of(&read(text).unwrap()).unwrap();
        assert!(template.parameters["A"].is_list() && template.parameters["A"].is_secret);
        assert!(template.resources["Q"].is_queue());
        assert_eq!(template.resources["Q"].condition.as_deref(), Some("C"));
        assert_eq!(template.function_globals.len(), 1);
        assert_eq!(template.other_sections, ["Globals.Api"]);

        for (text, part) in [
            ("- a\n", "this is a list"),
            ("openapi: 3\n", "no Resources"),
            ("Resources: {Q: {}}\n", "resource Q has no Type"),
            ("Resources: {Q: {Type: X, Properties: [1]}}\n", "the Properties of resource Q are a list"),
        ] {
            let error = Template::of(&read(text).unwrap()).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
