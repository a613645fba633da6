//! Telling which function's files, or whether the config, has changed.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use crate::config::{FunctionSpec, Runtime};
use crate::error::CliError;
use crate::interpreters;

/// What has changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Change {
    /// Files of the function of this name.
    Function(String),
    Config,
}

/// Changes as they come, while it is kept.
pub(super) struct Changes {
    pub(super) next: mpsc::UnboundedReceiver<Change>,
    _watchers: Vec<RecommendedWatcher>,
}

/// Watches the code of functions, and a config file.
pub(super) fn watch(functions: &[FunctionSpec], config: Option<&Path>) -> Result<Changes, CliError> {
    let (tell, next) = mpsc::unbounded_channel();
    let mut watchers = Vec::new();
    for function in functions {
        let change = Change::Function(function.name.clone());
        // A built app's runtime is in its file.
        let runtime = if function.code.is_dir() { function.runtime } else { Runtime::of_file(&function.code) };
        watchers.push(watch_code(runtime, &function.code, change, tell.clone())?);
    }
    if let Some(config) = config {
        watchers.push(watch_code(Runtime::Wasm, config, Change::Config, tell)?);
    }
    Ok(Changes { next, _watchers: watchers })
}

/// Watches the folder that code is in. A file of [`Runtime::Wasm`] is watched alone.
fn watch_code(
    runtime: Runtime,
    code: &Path,
    change: Change,
    tell: mpsc::UnboundedSender<Change>,
) -> Result<RecommendedWatcher, CliError> {
    let folder = if code.is_dir() { code } else { interpreters::parent(code) };
    let failed = |error: notify::Error| {
        CliError::unavailable(format!("changes cannot be watched: {error}"))
            .at(folder.display().to_string())
            .with_mend("check that the handler's folder is there, and fs.inotify.max_user_watches")
    };
    let root = folder.canonicalize().map_err(|error| failed(notify::Error::io(error)))?;
    let file = code.file_name().filter(|_| !code.is_dir()).map(Into::into);
    let part = Part { root: root.clone(), runtime, file };
    let mode = if runtime == Runtime::Wasm { RecursiveMode::NonRecursive } else { RecursiveMode::Recursive };
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let Ok(event) = event else { return };
        if !event.kind.is_access() && event.paths.iter().any(|path| part.has(path)) {
            // Nobody listens any more when the process ends.
            let _ = tell.send(change.clone());
        }
    })
    .map_err(failed)?;
    watcher.watch(&root, mode).map_err(failed)?;
    Ok(watcher)
}

/// What belongs to a handler: the module, or the code in its folder and below. Not the queue's files, not a log, not what an
/// editor or an interpreter keeps there.
struct Part {
    root: PathBuf,
    runtime: Runtime,
    file: Option<OsString>,
}

impl Part {
    fn has(&self, path: &Path) -> bool {
        match (self.runtime, &self.file) {
            (Runtime::Wasm, Some(file)) => return path.file_name() == Some(file),
            // A folder of configs.
            (Runtime::Wasm, None) => return path.extension().is_some_and(|ending| ending == "toml"),
            _ => {}
        }
        let below = path.strip_prefix(&self.root).unwrap_or(path);
        let is_hidden = below.components().any(|part| {
            let part = part.as_os_str().to_string_lossy();
            part.starts_with('.') || part == "__pycache__" || part == "node_modules"
        });
        !is_hidden && (Runtime::of_file(path) == self.runtime || path.ends_with("package.json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_is_a_change_of_the_handler() {
        let root = PathBuf::from("/home/a/.hidden/app");
        let of = |runtime, file: &str| Part { root: root.clone(), runtime, file: Some(file.into()) };
        let (python, wasm) = (of(Runtime::Python, "handler.py"), of(Runtime::Wasm, "h.wasm"));
        for (path, counts) in [
            ("handler.py", true),
            ("lib/util.py", true),
            (".wasmill/queue.sqlite-wal", false),
            ("__pycache__/handler.cpython-314.pyc", false),
            ("node_modules/x/setup.py", false),
            (".handler.py.swp", false),
            ("handler.py~", false),
            ("out.log", false),
        ] {
            assert_eq!(python.has(&root.join(path)), counts, "{path}");
        }
        assert!(wasm.has(&root.join("h.wasm")) && !wasm.has(&root.join("other.wasm")));
        let configs = Part { root: root.clone(), runtime: Runtime::Wasm, file: None };
        assert!(configs.has(&root.join("10-queues.toml")) && !configs.has(&root.join("data.sqlite")));
        assert!(of(Runtime::Js, "h.mjs").has(&root.join("package.json")));
    }
}
