//! `AWS::Serverless::Function` and `AWS::Lambda::Function` to `[[function]]`.

use std::collections::BTreeMap;
use std::path::Path;

use crate::config::{EPHEMERAL_STORAGE_MIB_MAX, MEMORY_MIB_MAX, Runtime, check_variable_name};

use super::code;
use super::intrinsics::Physical;
use super::mappings::Mappings;
use super::node::Node;
use super::properties::{Left, Properties, Scope};
use super::queues::Queues;
use super::template::{Resource, Template};
use super::write::{Entry, Literal, Table};

/// What Lambda gives every function in `/tmp`, in MiB.
const TMP_MIB: u32 = 512;

const NO_ROLES: &str = "there are no roles here: a handler may do what its config allows";
const NOT_SHOWN: &str = "nothing here shows it";
const NO_VERSIONS: &str = "a worker runs one version of a function";
const ASYNCHRONOUS: &str = "is for asynchronous invocations; of a queue its own dead-letter queue counts";

/// What of a function is left out, whether that matters, and why.
const LEFT: &[Left] = &[
    ("Role", false, NO_ROLES),
    ("RolePath", false, NO_ROLES),
    ("PermissionsBoundary", false, NO_ROLES),
    ("AssumeRolePolicyDocument", false, NO_ROLES),
    ("Policies", true, "there are no roles here, and a handler reaches only the hosts that its allowed_hosts name"),
    ("Description", false, NOT_SHOWN),
    ("Tags", false, NOT_SHOWN),
    ("PropagateTags", false, NOT_SHOWN),
    ("Architectures", false, "WebAssembly runs on each"),
    ("RuntimeManagementConfig", false, "the runtimes are wasmill's own"),
    ("CodeSigningConfigArn", false, "code is not signed here"),
    ("LoggingConfig", false, "what a handler logs is in wasmill's log, as it wrote it"),
    ("Tracing", false, "there is no X-Ray here"),
    ("TracingConfig", false, "there is no X-Ray here"),
    ("RecursiveLoop", false, "loops are not looked for"),
    ("AutoPublishAlias", false, NO_VERSIONS),
    ("AutoPublishAliasAllProperties", false, NO_VERSIONS),
    ("AutoPublishCodeSha256", false, NO_VERSIONS),
    ("VersionDescription", false, NO_VERSIONS),
    ("VersionDeletionPolicy", false, NO_VERSIONS),
    ("PublishToLatestPublished", false, NO_VERSIONS),
    ("DeploymentPreference", false, NO_VERSIONS),
    ("ProvisionedConcurrencyConfig", false, "a cold start costs little: instances stay warm as they are used"),
    ("SnapStart", false, "a cold start costs little; wasmill build makes it less"),
    ("EventInvokeConfig", false, ASYNCHRONOUS),
    ("DeadLetterQueue", false, ASYNCHRONOUS),
    ("DeadLetterConfig", false, ASYNCHRONOUS),
    ("FunctionUrlConfig", true, "a function is called from its queue only"),
    ("Layers", true, "there are no layers: put what is in them beside the handler"),
    ("VpcConfig", true, "private networks are reached with allowed_hosts and allowed_networks"),
    ("FileSystemConfigs", true, "a handler sees no disk but its own folder and its /tmp"),
    ("KmsKeyArn", false, "variables are not encrypted here"),
    ("Connectors", false, NO_ROLES),
];

/// What a template's functions become.
#[derive(Debug, Default)]
pub(super) struct Functions {
    entries: BTreeMap<String, Entry>,
}

/// Where things are, and what may be written down.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places<'p> {
    /// The template's: its paths start there.
    pub(super) template_folder: &'p Path,
    /// The config's: its paths start there.
    pub(super) config_folder: &'p Path,
    /// Whether the config is written to a file, where no secret may stand.
    pub(super) is_kept: bool,
}

impl Functions {
    /// Those of the template that run here, and the mappings of their events.
    pub(super) fn read(
        scope: Scope<'_>,
        template: &Template,
        active: &BTreeMap<&str, &Resource>,
        places: Places<'_>,
        queues: &mut Queues,
        mappings: &mut Mappings,
    ) -> Self {
        let mut functions = Self::default();
        for (id, resource) in active.iter().filter(|(_, resource)| resource.is_function()) {
            let Some(Physical::Function { name }) = scope.evaluator.physical(id) else { continue };
            let mut properties = Properties::of(scope, id, &resource.properties);
            let is_sam = resource.kind == "AWS::Serverless::Function";
            if is_sam {
                properties = properties.over(&template.function_globals, "Globals.Function");
            }
            let events = properties.properties("Events");
            match read_function(scope, &mut properties, id, name, resource, places) {
                Ok(entry) => {
                    functions.entries.insert(name.clone(), entry);
                    properties.finish();
                    if let Some(events) = events {
                        mappings.read_events(scope, events, name, queues);
                    }
                }
                Err(why) => scope.notes.differs(*id, format!("{why}; the function and its events are left out")),
            }
        }
        functions
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// In the order of their names.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

fn read_function(
    scope: Scope<'_>,
    properties: &mut Properties<'_>,
    id: &str,
    name: &str,
    resource: &Resource,
    places: Places<'_>,
) -> Result<Entry, String> {
    properties.take_written("FunctionName");
    if properties.text("PackageType").is_some_and(|kind| kind == "Image") {
        return Err("a container image does not run here: Python, JavaScript and WebAssembly do".to_owned());
    }
    let Some(runtime) = properties.text("Runtime") else {
        return Err("it does not say its Runtime".to_owned());
    };
    let runtime = code::runtime_of(&runtime)?;
    let mut entry = Entry::default();
    if id != name {
        entry.comments.push(id.to_owned());
    }
    entry.set("name", Some(Literal::text(name)));
    entry.set("runtime", (runtime != Runtime::Wasm).then(|| Literal::text(runtime.as_str())));
    read_code(scope, properties, &mut entry, (id, name, runtime), resource, places);
    entry.set("timeout", properties.integer("Timeout", 1..=900, " s").map(Literal::Number));
    entry.set("memory_size", properties.integer("MemorySize", 1..=MEMORY_MIB_MAX, " MiB").map(Literal::Number));
    let reserved = properties.integer("ReservedConcurrentExecutions", 1..=1000, "");
    entry.set("reserved_concurrent_executions", reserved.map(Literal::Number));
    entry.set("ephemeral_storage", ephemeral_storage(scope, properties, runtime));
    let environment = read_environment(scope, properties, places.is_kept);
    if let Some(url) = environment.as_ref().and_then(|environment| environment.queue_endpoint) {
        entry.set("allowed_hosts", Some(Literal::List(vec![Literal::text(url)])));
    }
    entry.tables.extend(environment.map(|environment| environment.table));
    properties.leave(LEFT);
    Ok(entry)
}

/// `CodeUri` and `Handler` of SAM, `Code` and `Handler` of CloudFormation and CDK.
fn read_code(
    scope: Scope<'_>,
    properties: &mut Properties<'_>,
    entry: &mut Entry,
    (id, name, runtime): (&str, &str, Runtime),
    resource: &Resource,
    places: Places<'_>,
) {
    let handler = properties.text("Handler").unwrap_or_default();
    let inline = properties.take_written("InlineCode").map(|(text, _)| Node::call("ZipFile", text));
    let code = properties.take_written("CodeUri").or_else(|| properties.take_written("Code")).map(|(code, _)| code);
    let code = match inline.or(code) {
        // What is in S3 has names that only AWS knows; that it is there is all that is asked.
        Some(map @ Node::Map(_)) if map.as_call().is_none() => Some(map),
        Some(other) => scope.evaluator.whole(&other).ok().flatten(),
        None => None,
    };
    let metadata = |key: &str| resource.metadata.as_ref().and_then(|metadata| metadata.get(key));
    let asset = metadata("aws:asset:path").and_then(Node::text);
    let entry_points: Vec<String> = match metadata("BuildProperties").and_then(|build| build.get("EntryPoints")) {
        Some(Node::List(items)) => items.iter().filter_map(Node::text).collect(),
        _ => Vec::new(),
    };
    let found = match code::path_of(code.as_ref(), asset.as_deref(), places.template_folder) {
        Ok(path) => code::find(runtime, path, &handler, &entry_points, name),
        Err(why) => {
            let path = places.config_folder.join(name);
            let shown = code::written(&path, places.config_folder);
            let found = code::find(runtime, path, &handler, &entry_points, name);
            code::Found { todo: Some(format!("{why}: put it into the folder {shown}")), ..found }
        }
    };
    if let Some(todo) = found.todo {
        scope.notes.differs(id, &todo);
        entry.comments.push(format!("To be done: {todo}."));
    }
    if found.path.join("requirements.txt").is_file() && runtime == Runtime::Python {
        let folder = code::written(&found.path, places.config_folder);
        scope.notes.differs(
            id,
            format!(
                "packages lie beside the handler: pip install --target {folder} --only-binary :all: -r \
                 {folder}/requirements.txt, or wasmill build"
            ),
        );
    }
    entry.set("code", Some(Literal::text(code::written(&found.path, places.config_folder))));
    entry.set("handler", found.handler.filter(|handler| !handler.is_empty()).map(Literal::Text));
}

/// Lambda's 512 MiB unless the template says otherwise, for what can have a `/tmp`.
fn ephemeral_storage(scope: Scope<'_>, properties: &mut Properties<'_>, runtime: Runtime) -> Option<Literal> {
    let written = properties.properties("EphemeralStorage").and_then(|mut storage| {
        let size = storage.integer("Size", 1..=EPHEMERAL_STORAGE_MIB_MAX, " MiB");
        storage.finish();
        size
    });
    let size = match (runtime, written) {
        (Runtime::Js, Some(_)) => {
            scope.notes.differs(properties.place(), "a JavaScript handler has no file system, so no /tmp");
            return None;
        }
        (Runtime::Python, None) => TMP_MIB,
        (_, written) => written?,
    };
    Some(Literal::Table(vec![("size".to_owned(), Literal::Number(size))]))
}

/// A function's variables.
struct Environment<'s> {
    table: Table,
    /// Where the built-in queue is asked, if a variable has a queue's URL.
    queue_endpoint: Option<&'s str>,
}

/// The variables. Of what is not known, or not to be written down, the names stand in a comment.
fn read_environment<'s>(scope: Scope<'s>, properties: &mut Properties<'_>, is_kept: bool) -> Option<Environment<'s>> {
    let (evaluator, notes) = (scope.evaluator, scope.notes);
    let mut environment = properties.properties("Environment");
    let variables = environment.as_mut().and_then(|environment| environment.take("Variables"));
    if let Some(environment) = environment {
        environment.finish();
    }
    let (variables, place) = variables?;
    let mut table = Table { name: "environment", ..Table::default() };
    // What the handler's name and the like have seen is no variable's matter.
    evaluator.take_saw_secret();
    evaluator.take_saw_queue_url();
    for (name, value) in variables.entries() {
        let place = format!("{place}.{name}");
        let mut leave = |why: String| {
            table.comments.push(format!("{name}: {why}."));
            notes.differs(place.clone(), why);
        };
        if let Err(what) = check_variable_name(name) {
            leave(format!("a variable of this name {what}"));
            continue;
        }
        match evaluator.whole(value) {
            Err(unknown) => leave(unknown.0),
            Ok(Some(_)) if evaluator.take_saw_secret() && is_kept => {
                leave(format!(
                    "a secret (NoEcho) is not written down: give it as {name} = {{ from_env = \"{name}\" }}"
                ));
            }
            Ok(Some(found)) => match found.text() {
                Some(text) => table.keys.push((name.clone(), Literal::Text(text))),
                None => leave(format!("a text is wanted here, and it is {}", found.kind())),
            },
            Ok(None) => {}
        }
    }
    table.keys.sort_by(|one, other| one.0.cmp(&other.0));
    let queue_endpoint = evaluator.endpoint_url().filter(|_| evaluator.take_saw_queue_url());
    if let Some(endpoint_url) = queue_endpoint {
        add_access(endpoint_url, &mut table);
    }
    let says_something = !table.keys.is_empty() || !table.comments.is_empty();
    says_something.then_some(Environment { table, queue_endpoint })
}

/// A handler that knows a queue's URL sends to it, with an SDK that asks Amazon unless it is told otherwise.
fn add_access(endpoint_url: &str, table: &mut Table) {
    let own = [("AWS_ACCESS_KEY_ID", "any"), ("AWS_ENDPOINT_URL_SQS", endpoint_url), ("AWS_SECRET_ACCESS_KEY", "any")];
    for (name, value) in own {
        if !table.keys.iter().any(|(known, _)| known == name) {
            table.keys.push((name.to_owned(), Literal::text(value)));
        }
    }
    let why = "AWS_ENDPOINT_URL_SQS leads AWS's SDKs to the built-in queue; they want some key, and it asks for none.";
    table.comments.push(why.to_owned());
}
