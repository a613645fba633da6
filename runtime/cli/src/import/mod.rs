//! A template of SAM, CloudFormation or CDK to a config, and what of it was not taken.
//!
//! Stages: `read` gives values, `template` its parts, `intrinsics` looks values up, a file per kind of resource turns
//! properties into entries, `write` makes TOML of them. What comes out is read by the config's own reader, so that an
//! imported config and one written by hand are judged alike. Absent: AWS. Nothing is asked over a network, and what only
//! a deployed stack knows is said to be unknown.

mod code;
mod functions;
mod intrinsics;
mod mappings;
mod names;
mod node;
mod notes;
mod properties;
mod queues;
mod read;
mod template;
#[cfg(test)]
mod tests;
mod write;

use std::collections::BTreeMap;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use self::functions::{Functions, Places};
use self::intrinsics::{Evaluator, Surroundings};
use self::mappings::Mappings;
pub(crate) use self::notes::Note;
use self::notes::Notes;
use self::properties::Scope;
use self::queues::Queues;
use self::template::{Resource, Template};
use self::write::Literal;
use crate::config::{DEFAULT_ACCOUNT_ID, DEFAULT_REGION, Durability, nearest};
use crate::error::CliError;

/// Endings of files that are taken for templates where a handler could be meant.
const ENDINGS: [&str; 4] = ["yaml", "yml", "json", "template"];

/// Pseudo parameters that may be given like others.
const PSEUDO_PARAMETERS: [&str; 3] = ["AWS::AccountId", "AWS::Region", "AWS::StackName"];

/// What the config is to say that no template does.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// The config's folder: its paths start there.
    pub(crate) folder: PathBuf,
    /// Where the AWS APIs are served.
    pub(crate) listen: SocketAddr,
    /// Where metrics and health are, if not at the usual place.
    pub(crate) admin_listen: Option<SocketAddr>,
    pub(crate) data_dir: String,
    pub(crate) durability: Durability,
    /// Whether it is written to a file, where no secret may stand.
    pub(crate) is_kept: bool,
}

/// What was made of a template.
#[derive(Debug)]
pub(crate) struct Imported {
    /// The config's text.
    pub(crate) toml: String,
    /// What was not taken, or not as it stood.
    pub(crate) notes: Vec<Note>,
}

/// Whether a file is a template, by its name.
pub(crate) fn is_template(path: &Path) -> bool {
    path.extension().and_then(|ending| ending.to_str()).is_some_and(|ending| ENDINGS.contains(&ending))
}

/// Reads the template at `path`. `given` are values for its parameters.
///
/// # Errors
/// It is no template, it says nothing that runs here, or a parameter is given that it does not have.
pub(crate) fn import(path: &Path, given: &[(String, String)], target: &Target) -> Result<Imported, CliError> {
    let text = read_text(path)?;
    let place = |line: Option<usize>| match line {
        Some(line) => format!("{}:{line}", path.display()),
        None => path.display().to_string(),
    };
    let document = read::read(&text).map_err(|error| CliError::config(error.what).at(place(error.line)))?;
    let template = Template::of(&document).map_err(|what| CliError::config(what).at(place(None)))?;
    let given = parameters(&template, given)?;
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let folder = std::path::absolute(&folder)
        .map_err(|error| CliError::unavailable(format!("the folder cannot be found: {error}")).at(folder.display()))?;
    let imported = of_template(&template, path, &folder, &given, target);
    imported.ok_or_else(|| {
        CliError::config("there is neither a queue nor a function in it that could run here")
            .at(path.display())
            .with_mend("name a template with AWS::SQS::Queue, AWS::Serverless::Function or AWS::Lambda::Function")
    })
}

fn of_template(
    template: &Template,
    path: &Path,
    folder: &Path,
    given: &BTreeMap<String, String>,
    target: &Target,
) -> Option<Imported> {
    let notes = Notes::default();
    let surroundings = surroundings(path, folder, given, target);
    let nameless = Evaluator::new(template, given, surroundings.clone(), BTreeMap::new());
    let active = names::active(template, &nameless, &notes);
    let names = names::names(template, &active, given, &surroundings, &notes);
    let evaluator = Evaluator::new(template, given, surroundings.clone(), names);
    let scope = Scope { evaluator: &evaluator, notes: &notes };

    let mut queues = Queues::read(scope, &active);
    let mut mappings = Mappings::default();
    let places = Places { template_folder: folder, config_folder: &target.folder, is_kept: target.is_kept };
    let functions = Functions::read(scope, template, &active, places, &mut queues, &mut mappings);
    mappings.read_resources(scope, &active, &functions, &mut queues);
    note_others(template, &active, &notes);
    if functions.len() + queues.len() == 0 {
        return None;
    }
    let notes = notes.finish();

    let mut toml = head(path, &notes);
    settings(&mut toml, &surroundings, target);
    let sections = [
        ("queue", "Queues", queues.len(), queues.entries().collect::<Vec<_>>()),
        ("function", "Functions", functions.len(), functions.entries().collect()),
        ("event_source_mapping", "Mappings", mappings.len(), mappings.entries().collect()),
    ];
    for (kind, title, count, entries) in sections {
        if count > 0 {
            toml += &format!("\n# --- {title} {}\n", "-".repeat(100 - title.len()));
        }
        for entry in entries {
            write::entry(&mut toml, kind, entry);
        }
    }
    Some(Imported { toml, notes })
}

/// The values that were given for parameters, each one that the template has.
fn parameters(template: &Template, given: &[(String, String)]) -> Result<BTreeMap<String, String>, CliError> {
    for (name, _) in given {
        if template.parameters.contains_key(name) || PSEUDO_PARAMETERS.contains(&name.as_str()) {
            continue;
        }
        let known: Vec<&str> = template.parameters.keys().map(String::as_str).chain(PSEUDO_PARAMETERS).collect();
        let mend = match nearest(name, known.iter()) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("its parameters are {}", known.join(", ")),
        };
        return Err(CliError::usage(format!("the template has no parameter {name}")).with_mend(mend));
    }
    Ok(given.iter().cloned().collect())
}

fn surroundings(path: &Path, folder: &Path, given: &BTreeMap<String, String>, target: &Target) -> Surroundings {
    let pseudo = |name: &str, default: &str| given.get(name).cloned().unwrap_or_else(|| default.to_owned());
    // CDK names a stack's template after it; a template.yaml is one of its folder.
    let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let stack = match file.strip_suffix(".template.json") {
        Some(stack) => stack.to_owned(),
        None => folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
    };
    let stack: String = stack.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    Surroundings {
        region: pseudo("AWS::Region", DEFAULT_REGION),
        account_id: pseudo("AWS::AccountId", DEFAULT_ACCOUNT_ID),
        stack_name: pseudo("AWS::StackName", if stack.is_empty() { "stack" } else { &stack }),
        endpoint_url: (target.listen.port() != 0).then(|| format!("http://{}", target.listen)),
    }
}

/// Notes the resources that no reader asked for, and sections that say something about them.
fn note_others(template: &Template, active: &BTreeMap<&str, &Resource>, notes: &Notes) {
    for section in &template.other_sections {
        notes.aside(section, "nothing here reads it");
    }
    for (id, resource) in active {
        let place = format!("{id} ({})", resource.kind);
        match resource.kind.as_str() {
            "AWS::SQS::Queue"
            | "AWS::SQS::QueuePolicy"
            | "AWS::Serverless::Function"
            | "AWS::Lambda::Function"
            | "AWS::Lambda::EventSourceMapping" => {}
            "AWS::Lambda::Alias" | "AWS::Lambda::Version" => {
                notes.aside(place, "a worker runs one version of a function: what names this one names the function");
            }
            "AWS::Lambda::Permission" | "AWS::IAM::Role" | "AWS::IAM::Policy" | "AWS::IAM::ManagedPolicy" => {
                notes.aside(place, "there are no roles here");
            }
            "AWS::CDK::Metadata" | "AWS::Logs::LogGroup" | "AWS::CloudWatch::Alarm" => {
                notes.aside(place, "nothing here needs it");
            }
            _ => notes
                .differs(place, "is neither a queue, a function nor a mapping; what uses it must be told where it is"),
        }
    }
}

fn head(path: &Path, notes: &[Note]) -> String {
    let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut toml = String::new();
    write::comment(&mut toml, &format!("Made of {file} by `wasmill import`. Judge it with `wasmill check`."), "");
    for (matters, title) in [(true, "Not taken, or not as it stands there:"), (false, "Not needed here:")] {
        let found: Vec<&Note> = notes.iter().filter(|note| note.matters == matters).collect();
        if found.is_empty() {
            continue;
        }
        toml += "#\n";
        write::comment(&mut toml, title, "");
        for note in found {
            write::comment(&mut toml, &format!("* {note}"), "  ");
        }
    }
    toml + "\n"
}

/// What stands above the queues.
fn settings(toml: &mut String, surroundings: &Surroundings, target: &Target) {
    if surroundings.region != DEFAULT_REGION {
        *toml += &format!("region = {}\n", Literal::text(&surroundings.region));
    }
    if surroundings.account_id != DEFAULT_ACCOUNT_ID {
        *toml += &format!("account_id = {}\n", Literal::text(&surroundings.account_id));
    }
    let listen = Literal::text(target.listen.to_string());
    *toml += &format!("[local_queue]\nlisten = {listen}\ndata_dir = {}\n", Literal::text(&target.data_dir));
    if target.durability == Durability::Os {
        *toml += "durability = \"os\"\n";
    }
    if let Some(admin) = target.admin_listen {
        *toml += &format!("\n[admin]\nlisten = {}\n", Literal::text(admin.to_string()));
    }
}

fn read_text(path: &Path) -> Result<String, CliError> {
    let failed = |what: String| {
        CliError::config(format!("the template cannot be read: {what}"))
            .at(path.display())
            .with_mend("check the path and its permissions")
    };
    let file = std::fs::File::open(path).map_err(|error| failed(error.to_string()))?;
    let mut bytes = Vec::new();
    file.take(read::TEMPLATE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| failed(error.to_string()))?;
    if bytes.len() as u64 > read::TEMPLATE_BYTES_MAX {
        return Err(failed(format!(
            "it is larger than {} bytes, as CloudFormation takes them",
            read::TEMPLATE_BYTES_MAX
        )));
    }
    String::from_utf8(bytes).map_err(|_| failed("it is not UTF-8 text".to_owned()))
}
