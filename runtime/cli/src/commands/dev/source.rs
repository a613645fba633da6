//! What `dev` runs when it is no single handler: a config file, or a template that is imported anew whenever it is read.

use std::path::{Path, PathBuf};

use crate::args::DevArgs;
use crate::commands::print_note;
use crate::config::{self, Draft, Durability};
use crate::error::CliError;
use crate::import::{self, Target};

/// Where a config is read, again and again.
pub(super) enum Source {
    File(PathBuf),
    Template { path: PathBuf, parameters: Vec<(String, String)>, target: Target },
}

impl Source {
    /// The template that was named in place of a handler.
    pub(super) fn template(args: &DevArgs, path: &Path) -> Result<Self, CliError> {
        let of_a_handler = [
            (args.function.is_some(), "--function"),
            (args.queue.is_some(), "--queue"),
            (args.timeout.is_some(), "--timeout"),
            (args.memory.is_some(), "--memory"),
            (args.tmp.is_some(), "--tmp"),
            (!args.env.is_empty(), "--env"),
            (!args.allow_host.is_empty(), "--allow-host"),
        ];
        if let Some((_, flag)) = of_a_handler.iter().find(|(is_given, _)| *is_given) {
            return Err(CliError::usage(format!("{flag} is for one handler, and a template says it of each"))
                .at(path.display())
                .with_mend("write it in the template, or in the config that `wasmill import` makes of it"));
        }
        let absolute = |path: &Path| {
            std::path::absolute(path)
                .map_err(|error| CliError::usage(format!("{} is no path: {error}", path.display())))
        };
        let whole = absolute(path)?;
        let target = Target {
            folder: whole.parent().unwrap_or(Path::new("/")).to_owned(),
            listen: args.listen,
            admin_listen: Some(args.admin_listen),
            data_dir: absolute(&args.data_dir)?.display().to_string(),
            durability: Durability::Os,
            is_kept: false,
        };
        Ok(Self::Template { path: path.to_owned(), parameters: args.parameter.clone(), target })
    }

    /// The file to watch.
    pub(super) fn file(&self) -> &Path {
        match self {
            Self::File(path) | Self::Template { path, .. } => path,
        }
    }

    /// Reads it. What of a template was not taken is told as far as it matters, when `tells`.
    pub(super) fn read(&self, tells: bool) -> Result<Draft, CliError> {
        let (path, parameters, target) = match self {
            Self::File(path) => return Ok(config::load_here(path)?),
            Self::Template { path, parameters, target } => (path, parameters, target),
        };
        let imported = import::import(path, parameters, target)?;
        if tells {
            imported.notes.iter().filter(|note| note.matters).for_each(print_note);
            let others = imported.notes.iter().filter(|note| !note.matters).count();
            if others > 0 {
                print_note(format_args!(
                    "{others} more of the template are not needed here; `wasmill import` lists them"
                ));
            }
        }
        Ok(config::of_made(path, &target.folder, &imported.toml, &crate::process_env))
    }
}
