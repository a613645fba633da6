//! What the functions' half of the API needs of the rest of the worker: code that is made ready to be called beside what runs, and
//! qualifiers that lead to it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;

/// The worker behind the functions. Builds are immutable: a change of code or of settings is another build, made ready beside the
/// one that runs; a change of routes then swaps them.
#[async_trait]
pub trait FunctionEngine: Send + Sync + 'static {
    /// Compiles and checks code, which may take a minute. From then on the build may be routed to and invoked. Loading one that is
    /// loaded is of no effect.
    ///
    /// # Errors
    /// Why it cannot run, for people: the code is no handler, its runtime is not installed, it holds native code.
    async fn load(&self, build: &Build) -> Result<BuildFacts, String>;

    /// Forgets a build that no route leads to any more. What runs in it ends there.
    fn unload(&self, function: &str, build: &str);

    /// Makes these the routes of a function, all at once: from now on what begins goes there. All builds named are loaded.
    fn route(&self, function: &str, routes: &Routes);

    /// How many invocations of the function may run at once; none: the worker's default. Takes effect as permits come free.
    fn reserve(&self, function: &str, concurrent_executions: Option<u32>);

    /// The function is gone. Mappings that name it stop invoking.
    fn remove(&self, function: &str);

    /// Invokes a function as Lambda's Invoke does, under the function's own permits.
    ///
    /// # Errors
    /// When it was not invoked; see [`NotInvoked`].
    async fn invoke(&self, call: Call<'_>) -> Result<Outcome, NotInvoked>;
}

/// One set of code and settings of a function.
#[derive(Debug, Clone, Copy)]
pub struct Build<'a> {
    /// The function's bare name.
    pub function: &'a str,
    /// Unique within the function, and never used again for other code or settings.
    pub id: &'a str,
    /// What the handler is told: `$LATEST`, or a number.
    pub version: &'a str,
    /// The blob as it was uploaded: a zip archive or a bare module. It stays as it is as long as the build is loaded.
    pub code: &'a Path,
    /// Hex SHA-256 of the blob, to name what is made of it.
    pub sha256: &'a str,
    /// How it is to run.
    pub settings: &'a FunctionSettings,
}

/// The settings of a function that concern how it runs; checked for their ranges already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionSettings {
    /// `python3.14`, `nodejs24.x`, `provided.al2023`, as asked; none where nothing was said.
    pub runtime: Option<String>,
    /// `FILE.FUNCTION`; what it means depends on the runtime.
    pub handler: Option<String>,
    /// From 1.
    pub timeout_seconds: u32,
    /// From 128.
    pub memory_size_mib: u32,
    /// 512 where nothing was said.
    pub ephemeral_storage_mib: u32,
    /// What the handler sees.
    pub environment: BTreeMap<String, String>,
}

/// What is known of a build once it is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildFacts {
    /// What it is: `wasm component`, `python`, …; for people.
    pub kind: String,
}

/// Where each qualifier of a function leads: `$LATEST`, numbers, aliases.
pub type Routes = BTreeMap<String, Route>;

/// Among the [`Routes`] and among a function's tags: the version that runs copies of its batches, whose verdicts do not
/// count. No qualifier has a colon in it.
pub const SHADOW: &str = "wasmill:shadow";

/// Where a qualifier leads. With a second build, who begins is drawn once per batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// The version and its build.
    pub to: Target,
    /// The other one of a weighted alias, and its share, 0–1.
    pub also: Option<(Target, f64)>,
}

/// A version by its name and its build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// `$LATEST` or a number.
    pub version: String,
    /// [`Build::id`].
    pub build: String,
}

/// One call of Invoke.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The function's bare name.
    pub function: &'a str,
    /// Which of its routes.
    pub qualifier: &'a str,
    /// `x-amzn-RequestId`.
    pub request_id: &'a str,
    /// The event, as it was sent: JSON.
    pub payload: &'a str,
    /// Whether the last of the log is wanted.
    pub wants_log: bool,
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// `X-Amz-Executed-Version`.
    pub version: String,
    /// The response, or why the function failed.
    pub answer: Result<String, FunctionFailure>,
    /// How long it took.
    pub duration: Duration,
    /// The most linear memory it had.
    pub memory_peak_bytes: u64,
    /// The last 4 KiB of START, its lines, END and REPORT, if wanted.
    pub log_tail: Option<String>,
}

/// A failure of the function, as Lambda words it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionFailure {
    /// `errorType`: the handler's own, or `Sandbox.Timedout`, `Runtime.ExitError`, `Function.ResponseSizeTooLarge`.
    pub error_type: String,
    /// `errorMessage`.
    pub message: String,
    /// `stackTrace`, where the handler gave one.
    pub stack_trace: Option<Vec<String>>,
}

/// Why a function was not invoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotInvoked {
    /// All its permits are taken, and none came free in time.
    Throttled,
    /// Nothing is loaded for that route.
    NotReady(String),
}
