//! `wasmill build`: from a handler's source to one `.wasm` file, by its language's own toolchain.
//!
//! What a folder is written in is found by what lies in it (`project.rs`). Rust, Go, C and Zig become modules of their own
//! (`compiled.rs`); Python and JavaScript an interpreter with the app in it (`interpreted.rs`), see [`crate::app`].

mod compiled;
mod interpreted;
mod project;
mod tool;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use crate::args::BuildArgs;
use crate::commands::print_line;
use crate::error::CliError;

use interpreted::Scratch;
pub(crate) use project::Language;
use project::Project;

/// Builds, and says what came of it.
pub(crate) async fn build(args: BuildArgs) -> Result<ExitCode, CliError> {
    let begun = Instant::now();
    let built = tokio::task::spawn_blocking(move || build_now(&args))
        .await
        .map_err(|error| CliError::internal(format!("the build ended unexpectedly: {error}")))??;
    let Built { out, event } = built;
    let bytes = std::fs::metadata(&out).map_err(|error| unwritable(&out, &error))?.len();
    print_line(format_args!("built {} ({}) in {:.1} s", out.display(), size(bytes), begun.elapsed().as_secs_f64()))?;
    if let Some(event) = event {
        print_line(format_args!("  try it   wasmill invoke {} --event {}", out.display(), event.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What was made.
struct Built {
    out: PathBuf,
    /// An event that lies beside the source.
    event: Option<PathBuf>,
}

fn build_now(args: &BuildArgs) -> Result<Built, CliError> {
    let project = Project::of(&args.source, args.handler.as_deref())?;
    let out = args.out.clone().unwrap_or_else(|| project.folder.join(format!("{}.wasm", project.name)));
    if out.is_dir() {
        return Err(CliError::usage("is a folder: --out names the file to write").at(out.display()));
    }
    // Made beside its place and moved: who loads it meanwhile finds the old one or the new one.
    let unfinished = out.with_extension("wasm.unfinished");
    let made = match project.language {
        Language::Rust | Language::Go | Language::C | Language::Zig => compiled::build(&project, &unfinished),
        Language::Python => interpreted::python(&project, &unfinished),
        Language::Js | Language::Ts => interpreted::js(&project, &unfinished),
    };
    if let Err(error) = made.and_then(|()| check(&unfinished)) {
        // What is wrong is said; half a file helps nobody.
        let _ = std::fs::remove_file(&unfinished);
        return Err(error);
    }
    std::fs::rename(&unfinished, &out).map_err(|error| unwritable(&out, &error))?;
    let event = Some(project.folder.join("event.json")).filter(|event| event.is_file());
    Ok(Built { out, event })
}

/// A toolchain that is set up wrongly makes something else.
fn check(made: &Path) -> Result<(), CliError> {
    let bytes = std::fs::read(made).map_err(|error| CliError::failure(format!("the build left no module: {error}")))?;
    if bytes.starts_with(b"\0asm") {
        return Ok(());
    }
    Err(CliError::failure("the build left something that is no WebAssembly module")
        .with_mend("check that the toolchain builds for WebAssembly"))
}

/// What is deployed of a source.
pub(super) enum Source {
    /// An archive of a Python app, and `FILE.FUNCTION` in it.
    Python { archive: Vec<u8>, handler: String },
    /// A module, or an app in one.
    Module(Scratch),
}

/// Makes of a file or a folder what can be deployed. Blocking.
pub(super) fn source(path: &Path, handler: Option<&str>) -> Result<Source, CliError> {
    let project = Project::of(path, handler)?;
    if project.language == Language::Python {
        let archive = interpreted::python_archive(&project, path)?;
        return Ok(Source::Python { archive, handler: project.handler });
    }
    let out = Scratch::new()?.with_file("handler.wasm");
    let made = match project.language {
        Language::Js | Language::Ts => interpreted::js(&project, out.path()),
        _ => compiled::build(&project, out.path()),
    };
    made.and_then(|()| check(out.path()))?;
    Ok(Source::Module(out))
}

fn unwritable(path: &Path, error: &std::io::Error) -> CliError {
    CliError::unavailable(format!("the module cannot be written: {error}")).at(path.display())
}

fn size(bytes: u64) -> String {
    if bytes < 10 << 20 { format!("{} KB", bytes.div_ceil(1000)) } else { format!("{} MB", bytes / 1_000_000) }
}
