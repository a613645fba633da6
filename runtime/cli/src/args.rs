//! The command line as clap types: what may be written, with ranges, examples and exit codes. Nothing is resolved or
//! opened here.

mod deploy;
mod trial;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use wasmill_sandbox::Origin;

pub(crate) use self::deploy::{DeployArgs, RollbackArgs};
pub(crate) use self::trial::TrialArgs;
use crate::commands::build::Language;
use crate::config::{
    DEFAULT_ADMIN_LISTEN, DEFAULT_AWS_LISTEN, DEFAULT_MEMORY_MIB, DEFAULT_TIMEOUT_SECONDS, EPHEMERAL_STORAGE_MIB_MAX,
    check_variable_name, is_loopback,
};
use crate::error::EXIT_CODES;

/// The built-in queue, as it listens by default.
const DEFAULT_ENDPOINT_URL: &str = "http://127.0.0.1:9324";

/// Lambda-style handlers, compiled to WebAssembly, fed from a queue.
#[derive(Debug, Parser)]
#[command(name = "wasmill", version, propagate_version = true, after_help = EXIT_CODES, max_term_width = 110)]
pub(crate) struct Cli {
    /// How logs look on stderr; what is logged, WASMILL_LOG says (such as debug, or info,wasmill=debug).
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Auto, global = true)]
    pub(crate) log_format: LogFormat,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How logs look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Text on a terminal, JSON lines elsewhere.
    Auto,
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the worker: poll the queues, call the handlers.
    ///
    /// SIGTERM or SIGINT drains: nothing more is received, what runs may end within the drain grace, the rest is
    /// visible again at once, and the exit code is 0. A second signal stops now: what the handlers hold is given back
    /// without waiting for them, and the exit code is 1.
    #[command(after_help = help("wasmill run --config config/minimal.toml"))]
    Run(RunArgs),
    /// Do all of `run` but the running: report every mistake of the config and the handlers at once.
    ///
    /// Binds no port, locks no directory, receives no message.
    #[command(after_help = help("wasmill check --config config/minimal.toml"))]
    Check(CheckArgs),
    /// Look at a config: what it is set to and by what, and which keys there are.
    #[command(subcommand, after_help = help("wasmill config show --config config/minimal.toml"))]
    Config(ConfigCommand),
    /// A queue, a mapping and a handler in one process: the handler is loaded anew whenever its files change.
    ///
    /// The queue is kept in .wasmill, and is SQS to any client. Each batch is shown with its messages and what became of
    /// them. With --config, or without anything where a wasmill.toml lies, all of that config runs, and is read anew when it
    /// changes.
    #[command(after_help = help("wasmill dev handlers/python/orders.py"))]
    Dev(DevArgs),
    /// Call a handler once: its response goes to stdout, its log to stderr.
    #[command(after_help = help("wasmill invoke handlers/prebuilt/orders.wasm --event handlers/orders/event.json"))]
    Invoke(InvokeArgs),
    /// Make a small project: a handler in a language, an event to try it with, a config to run it with.
    #[command(after_help = help("wasmill new --lang python greeter"))]
    New(NewArgs),
    /// Make one .wasm file of a handler's source, with its language's own toolchain.
    ///
    /// Rust, Go, C and Zig are compiled. A Python or JavaScript app becomes an interpreter with the app in it: with its
    /// packages, in Python those of requirements.txt too, which are imported at build time so that a cold start is quick. What
    /// the handler's own files do when they are loaded happens in the sandbox, never at build time.
    #[command(after_help = help("wasmill build greeter"))]
    Build(BuildArgs),
    /// Ship code to a running worker: what runs goes on until the new code is compiled and checked, and then batches go to it.
    ///
    /// The function is made when it is not there. Code that cannot run changes nothing, and the reason is shown. Each deploy is a
    /// version of its own, which `wasmill rollback` can go back to. Where the function has an alias `live`, the alias moves.
    /// With --canary only a share of the batches goes to the new version, until it has shown that it fails no more than the old
    /// one. With --shadow none does: it runs copies of batches, reaches nothing, and what it would do otherwise is shown.
    #[command(after_help = help("wasmill deploy orders handlers/python/orders.py"))]
    Deploy(Box<DeployArgs>),
    /// Make a function what it was one version ago, or at a version that is named.
    ///
    /// Where the function has an alias `live`, the alias moves back; a canary that is under way is ended. Else the version's code
    /// and settings become $LATEST again.
    #[command(after_help = help("wasmill rollback orders --to 3"))]
    Rollback(RollbackArgs),
    /// Make a config of a SAM, CloudFormation or CDK template, and list what of it was not taken.
    ///
    /// Taken are queues with their policies, functions in Python, JavaScript and WebAssembly, and the mappings between them.
    /// Parameters have their defaults unless --parameter gives another value; AWS::Region, AWS::AccountId and
    /// AWS::StackName may be given, too. `wasmill dev TEMPLATE` runs a template without writing a config.
    #[command(after_help = help("wasmill import template.yaml --out wasmill.toml"))]
    Import(ImportArgs),
    /// Serve the built-in queue, or talk to any SQS-compatible endpoint.
    #[command(subcommand, after_help = help("wasmill queue serve --in-memory"))]
    Queue(QueueCommand),
    /// The guided first run: orders arrive, some fail, some are poison, and the dead-letter queue explains itself.
    #[command(after_help = help("wasmill demo"))]
    Demo,
    /// Print the completions of a shell for this command line.
    #[command(after_help = help("wasmill completions bash > /etc/bash_completion.d/wasmill"))]
    Completions {
        /// The shell.
        #[arg(value_name = "SHELL", value_enum)]
        shell: Shell,
    },
    /// Write the man pages, one for each command, into a folder.
    #[command(after_help = help("wasmill man /usr/local/share/man/man1"))]
    Man {
        /// The folder; it is made if it is not there.
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}

/// `wasmill run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The configuration: a TOML file, or a folder whose *.toml files are read in the order of their names. Variables such as
    /// WASMILL__LOCAL_QUEUE__LISTEN override it.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
}

/// `wasmill dev`.
#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// The handler: a .py, .mjs, .js, .cjs, .ts, .mts or .cts file, or a compiled module; or a template of SAM, CloudFormation
    /// or CDK (.yaml, .yml, .json, .template) with its queues, functions and mappings.
    #[arg(value_name = "HANDLER", conflicts_with = "config")]
    pub(crate) handler: Option<PathBuf>,
    /// A config to run instead of one handler.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The function in it; by default lambda_handler in Python and handler in JavaScript.
    #[arg(long, value_name = "NAME", requires = "handler", conflicts_with = "config")]
    pub(crate) function: Option<String>,
    /// The queue's name; by default the handler's. Its dead-letter queue is NAME-dlq.
    #[arg(long, value_name = "NAME", requires = "handler", conflicts_with = "config")]
    pub(crate) queue: Option<String>,
    /// Where SQS and Lambda's API are served.
    #[arg(long, value_name = "ADDR", requires = "handler", conflicts_with = "config", default_value_t = DEFAULT_AWS_LISTEN, value_parser = parse_loopback)]
    pub(crate) listen: SocketAddr,
    /// Where metrics and health are served.
    #[arg(long, value_name = "ADDR", requires = "handler", conflicts_with = "config", default_value_t = DEFAULT_ADMIN_LISTEN, value_parser = parse_loopback)]
    pub(crate) admin_listen: SocketAddr,
    /// Where the queue is kept.
    #[arg(long, value_name = "DIR", requires = "handler", conflicts_with = "config", default_value = ".wasmill")]
    pub(crate) data_dir: PathBuf,
    /// How long the handler may take, in seconds; 3 by default.
    #[arg(long, value_name = "SECONDS", requires = "handler", conflicts_with = "config",
          value_parser = clap::value_parser!(u32).range(1..=900))]
    pub(crate) timeout: Option<u32>,
    /// How much memory the handler may have, in MiB; 128 by default.
    #[arg(long, value_name = "MIB", requires = "handler", conflicts_with = "config",
          value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) memory: Option<u32>,
    /// How much the handler may keep in /tmp, in MiB; without it there is no such folder.
    #[arg(long, value_name = "MIB", requires = "handler", conflicts_with = "config",
          value_parser = clap::value_parser!(u32).range(1..=i64::from(EPHEMERAL_STORAGE_MIB_MAX)))]
    pub(crate) tmp: Option<u32>,
    /// A variable for the handler; may be given more than once.
    #[arg(long, value_name = "NAME=VALUE", requires = "handler", conflicts_with = "config", value_parser = parse_variable)]
    pub(crate) env: Vec<(String, String)>,
    /// A host that the handler may reach, such as `https://api.example.com`; may be given more than once.
    #[arg(long, value_name = "ORIGIN", requires = "handler", conflicts_with = "config", value_parser = parse_origin)]
    pub(crate) allow_host: Vec<Origin>,
    /// Of a template: a value for one of its parameters; may be given more than once.
    #[arg(long, value_name = "NAME=VALUE", requires = "handler", conflicts_with = "config", value_parser = split_pair)]
    pub(crate) parameter: Vec<(String, String)>,
    /// Write the event of each batch to a file of this folder; `wasmill invoke` replays it.
    #[arg(long, value_name = "DIR")]
    pub(crate) save_events: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) trial: TrialArgs,
}

/// `wasmill config …`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print every key with its value, and where that is from: a file's line, a variable, or the default.
    ///
    /// Secrets do not print: access keys, handlers' variables, and what comes from a variable that is called like one.
    #[command(after_help = help("wasmill config show --config config/minimal.toml --json"))]
    Show(ConfigShowArgs),
    /// Print a JSON schema of the config, for editors that complete and check TOML.
    #[command(after_help = help("wasmill config schema"))]
    Schema,
}

/// `wasmill config show`.
#[derive(Debug, Args)]
pub(crate) struct ConfigShowArgs {
    /// The configuration, a TOML file or a folder of them.
    #[arg(long, value_name = "PATH")]
    pub(crate) config: PathBuf,
    /// Print JSON for scripts.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `wasmill check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The configuration: a TOML file, or a folder of them.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Also look for what will hurt although it is no mistake, each with its mend: queues are asked for their attributes, and
    /// what a mapping may do with them is tried on a delivery that does not exist. Exit code 1 when something is found.
    #[arg(long)]
    pub(crate) live: bool,
    /// Also run the filters of the mappings from this queue (a name, an ARN or a URL) over messages that are in it, and tell
    /// what would become of them. Nothing is received from the built-in queue, which must be running.
    #[arg(long, value_name = "QUEUE")]
    pub(crate) against: Option<String>,
    /// With --against: how many messages, the oldest first.
    #[arg(long, value_name = "N", default_value_t = 100, requires = "against",
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) sample: u32,
    /// With --against: the admin listener of the running wasmill.
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:9325",
        requires = "against",
        conflicts_with = "receive"
    )]
    pub(crate) admin_url: String,
    /// With --against: receive the messages from an SQS service and give them back. Each one's receive count goes up, and
    /// the service may move it to its dead-letter queue for that.
    #[arg(long, requires = "against")]
    pub(crate) receive: bool,
    /// With --receive: an SQS-compatible endpoint; credentials and region come from the standard AWS chain.
    #[arg(long, value_name = "URL", default_value = DEFAULT_ENDPOINT_URL, requires = "receive")]
    pub(crate) endpoint_url: String,
    /// Print mistakes and warnings as one JSON object on stdout; with --against one more for each mapping, with --live one with
    /// what was found.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `wasmill invoke`.
#[derive(Debug, Args)]
pub(crate) struct InvokeArgs {
    /// The compiled handler: a component, or a preview-1 core module.
    #[arg(value_name = "HANDLER")]
    pub(crate) handler: PathBuf,
    /// The event, a JSON file; - reads stdin.
    #[arg(long, value_name = "FILE")]
    pub(crate) event: PathBuf,
    /// How long the handler may take, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_TIMEOUT_SECONDS,
          value_parser = clap::value_parser!(u32).range(1..=900))]
    pub(crate) timeout: u32,
    /// How much memory the handler may have, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = DEFAULT_MEMORY_MIB,
          value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) memory: u32,
    /// How much the handler may keep in /tmp, in MiB; without it there is no such folder.
    #[arg(long, value_name = "MIB",
          value_parser = clap::value_parser!(u32).range(1..=i64::from(EPHEMERAL_STORAGE_MIB_MAX)))]
    pub(crate) tmp: Option<u32>,
    /// A variable for the handler; may be given more than once.
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_variable)]
    pub(crate) env: Vec<(String, String)>,
}

/// `wasmill new`.
#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    /// What the handler is written in.
    // Named by its values, so that who leaves it out is told them.
    #[arg(long, value_name = "rust|python|js|ts|c|go|zig", hide_possible_values = true, value_enum)]
    pub(crate) lang: Language,
    /// The project's name: its folder's, its function's and its queue's.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
}

/// `wasmill build`.
#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// The source: a folder, or the handler's file.
    #[arg(value_name = "SOURCE", default_value = ".")]
    pub(crate) source: PathBuf,
    /// Which function of which file, for Python and JavaScript; by default lambda_handler or handler of the one file, or of
    /// handler, index, main, app, lambda_function or function.
    #[arg(long, value_name = "FILE.FUNCTION")]
    pub(crate) handler: Option<String>,
    /// The file to write; by default NAME.wasm beside the source.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// `wasmill import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The template: YAML or JSON, such as template.yaml or cdk.out/Stack.template.json.
    #[arg(value_name = "TEMPLATE")]
    pub(crate) template: PathBuf,
    /// A value for a parameter of the template; may be given more than once.
    #[arg(long, value_name = "NAME=VALUE", value_parser = split_pair)]
    pub(crate) parameter: Vec<(String, String)>,
    /// The config to write, where nothing is yet; by default it goes to stdout.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// `wasmill queue …`.
#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// Serve only the built-in queue.
    ///
    /// With WASMILL_ACCESS_KEY_ID and WASMILL_SECRET_ACCESS_KEY set, every request must be signed with that key (AWS
    /// Signature Version 4), and --listen may name any address.
    #[command(after_help = help("wasmill queue serve --data-dir wasmill-data"))]
    Serve(ServeArgs),
    /// List the queues.
    #[command(after_help = help("wasmill queue ls"))]
    Ls(LsArgs),
    /// Show how many messages wait, are in flight, are delayed.
    #[command(after_help = help("wasmill queue stats orders --json"))]
    Stats(StatsArgs),
    /// Send one message.
    #[command(after_help = help("wasmill queue send orders '{\"id\":1}' --attribute kind=order"))]
    Send(SendArgs),
    /// Look at messages without receiving them: nothing about them changes.
    ///
    /// This asks the admin listener of wasmill itself. Any other SQS service can only be asked to hand messages out:
    /// with --receive they are received, shown and given back, which counts as a receive of each.
    #[command(after_help = help("wasmill queue peek orders --max 3 --state visible"))]
    Peek(PeekArgs),
    /// Move the messages of a dead-letter queue back to where they came from, or to another queue.
    ///
    /// The service does it, in a message move task; without --wait this command only starts one. With --where or --edit the
    /// command itself does it, and is done when it ends; one that is killed goes on when it is run again.
    #[command(after_help = help("wasmill queue redrive orders-dlq --where '{\"body\":{\"sku\":[\"tea\"]}}' --rate 10"))]
    Redrive(RedriveArgs),
    /// Delete every message of a queue, those in flight included.
    #[command(after_help = help("wasmill queue purge orders"))]
    Purge(PurgeArgs),
}

/// `wasmill queue serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Where SQS clients connect; a loopback address unless they must sign, port 0 takes a free one.
    #[arg(long, value_name = "IP:PORT", default_value_t = DEFAULT_AWS_LISTEN, value_parser = parse_address)]
    pub(crate) listen: SocketAddr,
    /// Where messages are kept.
    #[arg(long, value_name = "DIR", default_value = "wasmill-data", conflicts_with = "in_memory")]
    pub(crate) data_dir: PathBuf,
    /// Keep queues and messages in memory only, at most 1 GiB; they are gone when the process ends.
    #[arg(long, conflicts_with = "durability")]
    pub(crate) in_memory: bool,
    /// What an acknowledged send survives.
    #[arg(long, value_name = "HOW", value_enum, default_value_t = DurabilityArg::Fsync)]
    pub(crate) durability: DurabilityArg,
    /// Where metrics, health and the read-only API are served; a loopback address, port 0 takes a free one.
    #[arg(long, value_name = "IP:PORT", default_value_t = DEFAULT_ADMIN_LISTEN, value_parser = parse_admin_listen)]
    pub(crate) admin_listen: SocketAddr,
    #[command(flatten)]
    pub(crate) trial: TrialArgs,
}

/// What an acknowledged send survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DurabilityArg {
    /// Power loss.
    Fsync,
    /// `kill -9`, but not power loss; faster.
    Os,
}

/// Which SQS to talk to.
#[derive(Debug, Args)]
pub(crate) struct EndpointArgs {
    /// An SQS-compatible endpoint; credentials and region come from the standard AWS chain.
    #[arg(long, value_name = "URL", default_value = DEFAULT_ENDPOINT_URL)]
    pub(crate) endpoint_url: String,
    /// Print JSON for scripts.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `wasmill queue ls`.
#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    #[command(flatten)]
    pub(crate) endpoint: EndpointArgs,
}

/// `wasmill queue stats`.
#[derive(Debug, Args)]
pub(crate) struct StatsArgs {
    /// A queue's name or URL; without it, every queue.
    #[arg(value_name = "QUEUE")]
    pub(crate) queue: Option<String>,
    #[command(flatten)]
    pub(crate) endpoint: EndpointArgs,
}

/// `wasmill queue send`.
#[derive(Debug, Args)]
pub(crate) struct SendArgs {
    /// A queue's name or URL.
    #[arg(value_name = "QUEUE")]
    pub(crate) queue: String,
    /// The message's body.
    #[arg(value_name = "BODY", required_unless_present = "body_file")]
    pub(crate) body: Option<String>,
    /// Take the body from a file; - reads stdin.
    #[arg(long, value_name = "FILE", conflicts_with = "body")]
    pub(crate) body_file: Option<PathBuf>,
    /// How long the message stays hidden; without it, the queue's own delay counts.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=900))]
    pub(crate) delay_seconds: Option<u32>,
    /// The message group: of a FIFO queue required, and the order holds within it; of another the tenant.
    #[arg(long, value_name = "ID")]
    pub(crate) group_id: Option<String>,
    /// FIFO: what makes a second send within five minutes a duplicate.
    #[arg(long, value_name = "ID")]
    pub(crate) deduplication_id: Option<String>,
    /// A message attribute of type String; may be given up to ten times.
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_attribute)]
    pub(crate) attribute: Vec<(String, String)>,
    #[command(flatten)]
    pub(crate) endpoint: EndpointArgs,
}

/// `wasmill queue peek`.
#[derive(Debug, Args)]
pub(crate) struct PeekArgs {
    /// A queue's name or URL.
    #[arg(value_name = "QUEUE")]
    pub(crate) queue: String,
    /// How many messages to show at most, the oldest first.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) max: u32,
    /// Only messages in this state.
    #[arg(long, value_name = "STATE", value_enum, conflicts_with = "receive")]
    pub(crate) state: Option<StateArg>,
    /// The admin listener of wasmill.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9325", conflicts_with = "receive")]
    pub(crate) admin_url: String,
    /// Receive the messages from an SQS service instead and give them back: each one's receive count goes up, and the
    /// service may move it to its dead-letter queue for that.
    #[arg(long)]
    pub(crate) receive: bool,
    /// With --receive: how long the messages are hidden if they cannot be given back.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, requires = "receive",
          value_parser = clap::value_parser!(u32).range(1..=43_200))]
    pub(crate) visibility_timeout: u32,
    /// With --receive: an SQS-compatible endpoint; credentials and region come from the standard AWS chain.
    #[arg(long, value_name = "URL", default_value = DEFAULT_ENDPOINT_URL, requires = "receive")]
    pub(crate) endpoint_url: String,
    /// Print JSON for scripts.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What state a message is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum StateArg {
    /// A receive could get it.
    Visible,
    /// Received and hidden.
    InFlight,
    /// Its delay is not over.
    Delayed,
}

/// `wasmill queue redrive`.
#[derive(Debug, Args)]
pub(crate) struct RedriveArgs {
    /// The dead-letter queue, its name or URL.
    #[arg(value_name = "QUEUE")]
    pub(crate) queue: String,
    /// Where to: a queue's name or URL. Without it, each message goes back to the queue that gave it up.
    #[arg(long, value_name = "QUEUE", conflicts_with = "cancel")]
    pub(crate) to: Option<String>,
    /// Only messages that match this filter pattern, as event source mappings have it. They are received, sent and deleted one by
    /// one; the others are given back, each received once more.
    #[arg(long = "where", value_name = "PATTERN", conflicts_with_all = ["cancel", "wait"])]
    pub(crate) pattern: Option<String>,
    /// Open each message's body in $VISUAL or $EDITOR first; one that is emptied stays.
    #[arg(long, conflicts_with_all = ["cancel", "wait", "dry_run"])]
    pub(crate) edit: bool,
    /// Only say what would be moved. Nothing is received: it asks the admin listener of wasmill.
    #[arg(long, conflicts_with_all = ["cancel", "wait"])]
    pub(crate) dry_run: bool,
    /// With --dry-run: the admin listener.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9325", requires = "dry_run")]
    pub(crate) admin_url: String,
    /// How many messages a second at most; without it, as fast as the service moves them.
    #[arg(long, visible_alias = "rate", value_name = "N", conflicts_with = "cancel", value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(crate) max_per_second: Option<u32>,
    /// Wait until the task is over; a task that fails or is cancelled ends with exit code 1.
    #[arg(long, conflicts_with = "cancel")]
    pub(crate) wait: bool,
    /// Stop the task that is under way instead of starting one.
    #[arg(long)]
    pub(crate) cancel: bool,
    #[command(flatten)]
    pub(crate) endpoint: EndpointArgs,
}

/// `wasmill queue purge`.
#[derive(Debug, Args)]
pub(crate) struct PurgeArgs {
    /// A queue's name or URL.
    #[arg(value_name = "QUEUE")]
    pub(crate) queue: String,
    #[command(flatten)]
    pub(crate) endpoint: EndpointArgs,
}

/// What stands below a command's options.
fn help(example: &str) -> String {
    format!("Example:\n  {example}\n\n{EXIT_CODES}")
}

fn parse_origin(text: &str) -> Result<Origin, String> {
    text.parse().map_err(|what| format!("{text:?} {what}"))
}

fn parse_variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = split_pair(text)?;
    check_variable_name(&name).map_err(|what| format!("{name:?} {what}"))?;
    Ok((name, value))
}

fn parse_attribute(text: &str) -> Result<(String, String), String> {
    let (name, value) = split_pair(text)?;
    if name.is_empty() || value.is_empty() {
        return Err("neither the name nor the value of an attribute may be empty".to_owned());
    }
    Ok((name, value))
}

fn split_pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn parse_admin_listen(text: &str) -> Result<SocketAddr, String> {
    let address = parse_address(text)?;
    if is_loopback(address) {
        return Ok(address);
    }
    Err(format!("{text} is not a loopback address; `wasmill run` may serve one, with allow_non_loopback in [admin]"))
}

fn parse_loopback(text: &str) -> Result<SocketAddr, String> {
    let address = parse_address(text)?;
    if is_loopback(address) {
        Ok(address)
    } else {
        Err(format!("{text} is not a loopback address, and dev is for one machine"))
    }
}

fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "expected IP:PORT, such as 127.0.0.1:9324".to_owned())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use clap::error::ErrorKind;
    use clap::{CommandFactory, ValueEnum};

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn clap_finds_no_contradiction() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example_that_parses_and_the_exit_codes() {
        fn visit(command: &clap::Command, examples: &mut Vec<String>) {
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(after.ends_with(EXIT_CODES), "{} lacks the exit codes", command.get_name());
            examples.extend(after.lines().filter_map(|line| line.strip_prefix("  wasmill ")).map(str::to_owned));
            command.get_subcommands().for_each(|command| visit(command, examples));
        }
        let mut examples = Vec::new();
        visit(&Cli::command(), &mut examples);
        assert_eq!(examples.len(), 23);
        for example in examples {
            // What the shell does with the output is not ours.
            let example = example.split(" > ").next().unwrap().replace('\'', "");
            parse(&format!("wasmill {example}")).unwrap();
        }
    }

    #[test]
    fn defaults_and_global_flags() {
        let Command::Queue(QueueCommand::Serve(serve)) =
            parse("wasmill queue serve --log-format json").unwrap().command
        else {
            panic!("not serve");
        };
        assert_eq!(serve.listen.to_string(), "127.0.0.1:9324");
        assert_eq!(serve.admin_listen.to_string(), "127.0.0.1:9325");
        assert_eq!(serve.data_dir, PathBuf::from("wasmill-data"));
        assert_eq!((serve.in_memory, serve.durability), (false, DurabilityArg::Fsync));
        assert_eq!(parse("wasmill demo --log-format json").unwrap().log_format, LogFormat::Json);
    }

    #[test]
    fn who_names_no_language_is_told_all_of_them() {
        let told = parse("wasmill new greeter").unwrap_err().to_string();
        let there = Language::value_variants().iter().filter_map(|language| language.to_possible_value());
        let names: Vec<String> = there.map(|value| value.get_name().to_owned()).collect();
        assert!(told.contains(&format!("--lang <{}>", names.join("|"))), "{told}");
    }

    #[test]
    fn bad_arguments_are_refused() {
        for (line, kind, part) in [
            ("wasmill run", ErrorKind::MissingRequiredArgument, "--config"),
            ("wasmill queue serve --in-memory --data-dir x", ErrorKind::ArgumentConflict, "--in-memory"),
            ("wasmill queue serve --in-memory --durability os", ErrorKind::ArgumentConflict, "--in-memory"),
            ("wasmill queue serve --admin-listen 0.0.0.0:9325", ErrorKind::ValueValidation, "allow_non_loopback"),
            ("wasmill queue serve --listen localhost:9324", ErrorKind::ValueValidation, "expected IP:PORT"),
            ("wasmill queue send orders", ErrorKind::MissingRequiredArgument, "BODY"),
            ("wasmill queue send orders x --body-file y", ErrorKind::ArgumentConflict, "--body-file"),
            ("wasmill queue send orders x --delay-seconds 901", ErrorKind::ValueValidation, "901"),
            ("wasmill queue send orders x --attribute a=", ErrorKind::ValueValidation, "empty"),
            ("wasmill queue peek", ErrorKind::MissingRequiredArgument, "QUEUE"),
            ("wasmill queue peek q --max 0", ErrorKind::ValueValidation, "0"),
            ("wasmill queue peek q --state gone", ErrorKind::InvalidValue, "in_flight"),
            ("wasmill queue peek q --endpoint-url http://x", ErrorKind::MissingRequiredArgument, "--receive"),
            ("wasmill queue peek q --visibility-timeout 5", ErrorKind::MissingRequiredArgument, "--receive"),
            ("wasmill queue peek q --receive --state visible", ErrorKind::ArgumentConflict, "--receive"),
            ("wasmill queue peek q --receive --admin-url http://x", ErrorKind::ArgumentConflict, "--receive"),
            ("wasmill queue redrive q --cancel --wait", ErrorKind::ArgumentConflict, "--cancel"),
            ("wasmill queue redrive q --cancel --to r", ErrorKind::ArgumentConflict, "--cancel"),
            ("wasmill queue redrive q --max-per-second 501", ErrorKind::ValueValidation, "501"),
            ("wasmill dev h.py --config w.toml", ErrorKind::ArgumentConflict, "--config"),
            ("wasmill dev --config w.toml --timeout 9", ErrorKind::ArgumentConflict, "--config"),
            ("wasmill dev --timeout 9", ErrorKind::MissingRequiredArgument, "HANDLER"),
            ("wasmill dev --tmp 9", ErrorKind::MissingRequiredArgument, "HANDLER"),
            ("wasmill deploy orders", ErrorKind::MissingRequiredArgument, "FILE"),
            ("wasmill deploy f x.py --canary 10 --shadow", ErrorKind::ArgumentConflict, "--shadow"),
            ("wasmill deploy f x.py --canary 100", ErrorKind::ValueValidation, "100"),
            ("wasmill deploy f x.py --promote-after 5m", ErrorKind::MissingRequiredArgument, "--canary"),
            ("wasmill deploy f x.py --shadow --watch 5", ErrorKind::ValueValidation, "90s, 5m or 1h"),
            ("wasmill deploy f x.py --shadow --watch 0s", ErrorKind::ValueValidation, "between 1s and 168h"),
            ("wasmill deploy f x.py --canary 5 --max-error-delta x", ErrorKind::ValueValidation, "such as 2%"),
            ("wasmill rollback f --to 0", ErrorKind::ValueValidation, "0"),
            ("wasmill dev --parameter A=b", ErrorKind::MissingRequiredArgument, "HANDLER"),
            ("wasmill completions ksh", ErrorKind::InvalidValue, "fish"),
            ("wasmill import", ErrorKind::MissingRequiredArgument, "TEMPLATE"),
            ("wasmill import t.yaml --parameter A", ErrorKind::ValueValidation, "NAME=VALUE"),
            ("wasmill new greeter", ErrorKind::MissingRequiredArgument, "--lang"),
            ("wasmill new --lang cobol greeter", ErrorKind::InvalidValue, "python"),
            ("wasmill invoke h.wasm --event - --timeout 0", ErrorKind::ValueValidation, "0"),
            ("wasmill invoke h.wasm --event - --env AWS_REGION=x", ErrorKind::ValueValidation, "set by wasmill itself"),
            ("wasmill invoke h.wasm --event - --env A", ErrorKind::ValueValidation, "NAME=VALUE"),
        ] {
            let error = parse(line).unwrap_err();
            assert_eq!((error.kind(), error.exit_code()), (kind, 2), "{line}");
            assert!(error.to_string().contains(part), "{line}: {error}");
        }
    }

    #[test]
    fn variables_keep_every_equals_sign_but_the_first() {
        assert_eq!(parse_variable("A=b=c").unwrap(), ("A".to_owned(), "b=c".to_owned()));
        assert_eq!(parse_variable("A=").unwrap(), ("A".to_owned(), String::new()));
    }
}
