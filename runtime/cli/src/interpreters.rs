//! From a user's Python or JavaScript to something the sandbox runs: which of wasmill's own runtimes, with what in it.
//!
//! Here is all that knows languages. The sandbox only sees a component, a folder it may read, a script, variables.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use wasmill_sandbox::{Code, Mount};

use crate::app;
use crate::config::Runtime;

/// Where interpreters are looked for, and where built apps are unpacked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places {
    /// `runtimes_dir`, or the usual ones.
    pub(crate) runtimes: Vec<PathBuf>,
    /// Below `cache_dir`.
    pub(crate) apps: Option<PathBuf>,
}

impl Places {
    pub(crate) fn new(runtimes: Vec<PathBuf>, cache_dir: Option<&Path>) -> Self {
        Self { runtimes, apps: cache_dir.map(|cache| cache.join("apps")) }
    }
}

/// Where a handler's own folder is seen, as on Lambda it is at `LAMBDA_TASK_ROOT`.
const APP: &str = "/app";

/// What the sandbox needs to know of a user's code.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) code: Code,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) script: Option<Arc<str>>,
}

/// Why a user's code cannot be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unfit {
    pub(crate) what: String,
    pub(crate) mend: String,
}

/// A user's code.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UserCode<'a> {
    pub(crate) runtime: Runtime,
    /// The file that the handler is in, or the folder that the file is in, or an app that `wasmill build` made of them.
    pub(crate) path: &'a Path,
    /// Lambda's, `FILE.FUNCTION`.
    pub(crate) handler: &'a str,
    /// Somebody sent it: then nothing is taken from outside of its folder.
    pub(crate) is_sent: bool,
}

/// Prepares code.
pub(crate) fn prepare(
    code: UserCode<'_>,
    mut environment: Vec<(String, String)>,
    places: &Places,
) -> Result<Prepared, Unfit> {
    let UserCode { runtime, path, handler, is_sent } = code;
    if runtime == Runtime::Wasm {
        return Ok(Prepared { code: Code::File(path.to_owned()), environment, mounts: Vec::new(), script: None });
    }
    if !path.exists() {
        return Err(Unfit {
            what: format!("{}: no such file or folder", path.display()),
            mend: "name the file that the handler is in, or its folder".to_owned(),
        });
    }
    environment.push(("_HANDLER".to_owned(), handler.to_owned()));
    environment.push(("LAMBDA_TASK_ROOT".to_owned(), APP.to_owned()));
    for (name, value) in [("TZ", ":UTC"), ("LANG", "en_US.UTF-8")] {
        if environment.iter().all(|(key, _)| key != name) {
            environment.push((name.to_owned(), value.to_owned()));
        }
    }
    let is_built = Runtime::of_file(path) == Runtime::Wasm && path.is_file();
    let Parts { code, folder, script } = if is_built {
        let app::Opened { component, folder, script } =
            app::open(path, places.apps.as_deref()).map_err(|what| Unfit {
                what,
                mend: "build it again with `wasmill build`, and see that cache_dir can be written".to_owned(),
            })?;
        Parts { code: bytes_of(path, component), folder, script }
    } else {
        let code = Code::File(find(runtime, &places.runtimes)?);
        let folder = if path.is_dir() { path } else { parent(path) };
        let root = Some(folder).filter(|_| is_sent);
        let script = if runtime == Runtime::Js { Some(bundle_within(root, runtime, path, handler)?) } else { None };
        Parts { code, folder: Some(folder.to_owned()), script }
    };
    let mounts = folder.map(|folder| Mount { folder, at: APP.to_owned() }).into_iter().collect();
    Ok(Prepared { code, environment, mounts, script: script.map(Arc::from) })
}

/// What a function is made of.
struct Parts {
    code: Code,
    folder: Option<PathBuf>,
    script: Option<String>,
}

fn bytes_of(path: &Path, bytes: Bytes) -> Code {
    Code::Bytes { name: path.display().to_string(), bytes }
}

/// One script of a JavaScript handler and all that it imports.
pub(crate) fn bundle(runtime: Runtime, path: &Path, handler: &str) -> Result<String, Unfit> {
    bundle_within(None, runtime, path, handler)
}

fn bundle_within(root: Option<&Path>, runtime: Runtime, path: &Path, handler: &str) -> Result<String, Unfit> {
    let entry = if path.is_dir() { runtime.file_of(path, handler) } else { Some(path.to_owned()) };
    let entry = entry.ok_or_else(|| Unfit {
        what: format!("there is no file for the handler {handler} in {}", path.display()),
        mend: "correct the handler's name".to_owned(),
    })?;
    let bundle = match root {
        Some(root) => wasmill_script::bundle_within(root, &entry),
        None => wasmill_script::bundle(&entry),
    };
    let bundle = bundle.map_err(|error| Unfit { what: error.to_string(), mend: "correct the code".to_owned() })?;
    Ok(bundle.source)
}

/// Refuses a disk to a language that cannot use it.
pub(crate) fn check_storage(runtime: Runtime, mib: Option<u32>) -> Result<(), Unfit> {
    if mib.is_some() && runtime == Runtime::Js {
        return Err(Unfit {
            what: "wasmill's js runtime has no file system, so it could not use ephemeral_storage".to_owned(),
            mend: "remove it, or keep the data in memory".to_owned(),
        });
    }
    Ok(())
}

/// A file's folder. That of `orders.py` is `.`.
pub(crate) fn parent(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The interpreter's component.
pub(crate) fn find(runtime: Runtime, dirs: &[PathBuf]) -> Result<PathBuf, Unfit> {
    let name = format!("{}.wasm", runtime.as_str());
    if let Some(found) = dirs.iter().map(|dir| dir.join(&name)).find(|path| path.is_file()) {
        return Ok(found);
    }
    let looked: Vec<String> = dirs.iter().map(|dir| dir.display().to_string()).collect();
    let looked = if looked.is_empty() { "any folder".to_owned() } else { looked.join(" or ") };
    Err(Unfit {
        what: format!("wasmill's {} runtime is not installed: there is no {name} in {looked}", runtime.as_str()),
        mend: "take the folder runtimes from the release, or make it with `cargo xtask runtimes --out DIR`, and put it beside \
               the wasmill binary or name it with runtimes_dir"
            .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    /// A folder with a handler in it.
    fn app() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("orders.py");
        std::fs::write(&file, "def f(event, context): pass\n").unwrap();
        (folder, file)
    }

    fn python(path: &Path) -> UserCode<'_> {
        UserCode { runtime: Runtime::Python, path, handler: "orders.f", is_sent: false }
    }

    #[test]
    fn a_runtime_that_is_not_there_is_said_with_where_it_was_looked_for() {
        let (_folder, file) = app();
        let places = Places::new(vec!["/a".into(), "/b".into()], None);
        let unfit = prepare(python(&file), Vec::new(), &places).unwrap_err();
        assert_eq!(unfit.what, "wasmill's python runtime is not installed: there is no python.wasm in /a or /b");
        assert!(unfit.mend.contains("cargo xtask runtimes"));
    }

    #[test]
    fn code_that_is_not_there_is_refused_before_its_first_batch() {
        let (folder, _) = app();
        std::fs::write(folder.path().join("python.wasm"), b"x").unwrap();
        let places = Places::new(vec![folder.path().to_owned()], None);
        let unfit = prepare(python(Path::new("nowhere/orders.py")), Vec::new(), &places).unwrap_err();
        assert_eq!(unfit.what, "nowhere/orders.py: no such file or folder");
    }

    #[test]
    fn a_disk_is_for_those_who_can_use_it() {
        assert!(check_storage(Runtime::Js, Some(1)).unwrap_err().what.contains("has no file system"));
        for (runtime, mib) in [(Runtime::Python, Some(1)), (Runtime::Wasm, Some(1)), (Runtime::Js, None)] {
            assert_eq!(check_storage(runtime, mib), Ok(()));
        }
    }

    #[test]
    fn a_python_file_sees_its_folder_and_lambdas_variables() {
        let (folder, file) = app();
        std::fs::write(folder.path().join("python.wasm"), b"x").unwrap();
        let own = vec![("TZ".to_owned(), "Europe/Rome".to_owned())];
        let places = Places::new(vec![folder.path().to_owned()], None);
        let made = prepare(python(&file), own, &places).unwrap();
        assert_eq!(made.mounts, [Mount { folder: folder.path().to_owned(), at: "/app".into() }]);
        let names: Vec<&str> = made.environment.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["TZ", "_HANDLER", "LAMBDA_TASK_ROOT", "LANG"]);
    }
}
