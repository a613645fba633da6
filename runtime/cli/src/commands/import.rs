//! `wasmill import`: a template to a config, on stdout or in a file, and on stderr what of it was not taken.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::args::ImportArgs;
use crate::commands::{print_note, print_text};
use crate::config::{self, DEFAULT_AWS_LISTEN, Durability, Mistakes};
use crate::error::CliError;
use crate::import::{self, Target};

/// Where the imported queues are kept: where `wasmill dev` and the projects of `wasmill new` have theirs.
const DATA_DIR: &str = ".wasmill";

/// Writes the config, then reports what is to be known of it.
pub(crate) fn import(args: &ImportArgs) -> Result<ExitCode, CliError> {
    let folder = config_folder(args.out.as_deref())?;
    let target = Target {
        folder: folder.clone(),
        listen: DEFAULT_AWS_LISTEN,
        admin_listen: None,
        data_dir: DATA_DIR.to_owned(),
        durability: Durability::Fsync,
        is_kept: true,
    };
    let imported = import::import(&args.template, &args.parameter, &target)?;
    match &args.out {
        Some(out) => write_new(out, &imported.toml)?,
        None => print_text(&imported.toml)?,
    }
    for note in &imported.notes {
        print_note(note);
    }
    let draft = config::of_made(&args.template, &folder, &imported.toml, &crate::process_env);
    // Code may be missing: what is to be done about it is among the notes.
    let is_code = |key: &str| key.ends_with("].code") || key.ends_with("].handler");
    let mistakes: Vec<_> = draft.mistakes.into_iter().filter(|mistake| !is_code(&mistake.key)).collect();
    if mistakes.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let what = format!("the config is written as the template has it, with its mistakes\n{}", Mistakes::new(mistakes));
    Err(CliError::config(what).with_mend("correct the template, or the config"))
}

/// The folder at which the config's paths start; that of a config on stdout is where we are.
fn config_folder(out: Option<&Path>) -> Result<PathBuf, CliError> {
    let folder = match out.and_then(Path::parent) {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    std::path::absolute(folder)
        .map_err(|error| CliError::usage(format!("there is no such folder: {error}")).at(folder.display()))
}

/// Writes a file that is not there yet: a config may have been worked on.
fn write_new(out: &Path, text: &str) -> Result<(), CliError> {
    let made = std::fs::File::options().write(true).create_new(true).open(out);
    made.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            CliError::usage("is there already").at(out.display()).with_mend("remove it, or choose another --out")
        }
        _ => CliError::unavailable(format!("the config cannot be written: {error}")).at(out.display()),
    })
}
