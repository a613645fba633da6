//! Handlers that are interpreted: an interpreter's component, with the app in it.
//!
//! Python's is made anew for each app by componentize-py, whose snapshot has the app's packages imported already: a cold call
//! takes milliseconds. What the app's own files do at module level runs in the sandbox, never here. JavaScript's is the
//! generic one with the bundled script beside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::project::Project;
use super::tool::{Tool, in_path};
use crate::app::{self, Contents, Manifest};
use crate::config::{self, Runtime};
use crate::error::CliError;
use crate::interpreters::{self, Unfit};

/// The version that the runtime's sources are written for.
const COMPONENTIZE_VERSION: &str = "0.25.1";
const COMPONENTIZE: Tool =
    Tool { name: "componentize-py 0.25.1", mend: "run `pip install componentize-py==0.25.1`, and have it in PATH" };
const PIP: Tool = Tool { name: "pip", mend: "install Python 3 with pip" };
/// Beside the runtimes: what Python's is made of.
const PYTHON_BUILD: &str = "python-build";
/// On top of a project, and no part of its app.
const OF_PROJECT: [&str; 4] = ["venv", "wasmill.toml", "wasmill-data", "event.json"];
/// Deeper a folder is a link that leads back.
const DEPTH_MAX: usize = 64;

/// Builds a Python app.
pub(super) fn python(project: &Project, out: &Path) -> Result<(), CliError> {
    let dirs = config::runtimes_dirs(None, &crate::process_env);
    let parts = dirs.iter().map(|dir| dir.join(PYTHON_BUILD)).find(|dir| dir.join("guest").is_dir()).ok_or_else(|| {
        CliError::unavailable(format!("what wasmill's Python runtime is made of is not installed: no {PYTHON_BUILD} in the runtimes"))
            .with_mend("take the folder runtimes from the release, or make it with `cargo xtask runtimes --out DIR`, and put it beside the wasmill binary")
    })?;
    let componentize = componentize()?;
    let work = Scratch::new()?;
    let (app, guest) = (work.path().join("app"), work.path().join("guest"));
    copy_app(&project.folder, &app)?;
    install_packages(&app)?;
    // A copy: CPython may leave its bytecode beside the sources.
    copy(&parts.join("guest"), &guest, DEPTH_MAX, &|_, _| true)?;
    let component = work.path().join("app.wasm");
    let mut command = Command::new(componentize);
    command.arg("--wit-path").arg(parts.join("wit")).args(["--world", "python-handler", "componentize"]);
    for folder in [&guest, &parts.join("zones"), &app] {
        command.arg("--python-path").arg(folder);
    }
    command.arg("wasmill_snapshot").arg("--output").arg(&component).current_dir(work.path());
    // What it runs is CPython in a component; the settings of the Python that runs it are not for that one.
    command.env_remove("PYTHONPATH").env_remove("VIRTUAL_ENV");
    COMPONENTIZE.show(&mut command)?;
    let component = fs::read(&component).map_err(|error| failed(&component, &error))?;
    pack(&component, Runtime::Python, project, &Contents::Folder(app), out)
}

/// A Python app as Lambda takes it: a file by itself, or a folder with what `requirements.txt` asks for.
pub(super) fn python_archive(project: &Project, named: &Path) -> Result<Vec<u8>, CliError> {
    let work = Scratch::new()?;
    let app = work.path().join("app");
    if named.is_file() {
        fs::create_dir_all(&app).map_err(|error| failed(&app, &error))?;
        let file = named.file_name().unwrap_or_default();
        fs::copy(named, app.join(file)).map_err(|error| failed(named, &error))?;
    } else {
        copy_app(&project.folder, &app)?;
        install_packages(&app)?;
    }
    app::archive_of(&app).map_err(CliError::config)
}

/// Builds a JavaScript or TypeScript app.
pub(super) fn js(project: &Project, out: &Path) -> Result<(), CliError> {
    let unfit = |Unfit { what, mend }| CliError::config(what).with_mend(mend);
    let entry = project.entry.as_deref().unwrap_or(&project.folder);
    let script = interpreters::bundle(Runtime::Js, entry, &project.handler).map_err(unfit)?;
    let runtime = interpreters::find(Runtime::Js, &config::runtimes_dirs(None, &crate::process_env)).map_err(unfit)?;
    let component = fs::read(&runtime).map_err(|error| failed(&runtime, &error))?;
    pack(&component, Runtime::Js, project, &Contents::Script(script), out)
}

fn pack(
    component: &[u8],
    runtime: Runtime,
    project: &Project,
    contents: &Contents,
    out: &Path,
) -> Result<(), CliError> {
    let manifest = Manifest { runtime, handler: project.handler.clone() };
    let packed = app::pack(component, &manifest, contents).map_err(CliError::failure)?;
    fs::write(out, packed).map_err(|error| super::unwritable(out, &error))
}

fn componentize() -> Result<PathBuf, CliError> {
    let program = in_path("componentize-py").ok_or_else(|| COMPONENTIZE.missing())?;
    let version = COMPONENTIZE.read(Command::new(&program).arg("--version"))?;
    if version.split_whitespace().any(|word| word == COMPONENTIZE_VERSION) {
        return Ok(program);
    }
    Err(CliError::unavailable(format!("this is {}, and {} is needed", version.trim(), COMPONENTIZE.name))
        .at(program.display())
        .with_mend(COMPONENTIZE.mend))
}

/// What `requirements.txt` asks for, beside the app's own files. The sandbox runs no native code, so no native package is taken.
fn install_packages(app: &Path) -> Result<(), CliError> {
    let requirements = app.join("requirements.txt");
    if !requirements.is_file() {
        return Ok(());
    }
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]);
    pip.args(["--only-binary", ":all:", "--implementation", "py", "--python-version", "3.14", "--platform", "any"]);
    pip.arg("--target").arg(app).arg("--requirement").arg(&requirements);
    PIP.show(&mut pip).map(drop).map_err(|error| {
        error.with_mend("native packages cannot run in the sandbox: see that every requirement has a pure Python wheel")
    })
}

/// The files of an app, without what belongs to its project only.
fn copy_app(from: &Path, to: &Path) -> Result<(), CliError> {
    let is_hidden = |name: &str| name.starts_with('.') || name == "__pycache__" || name == "node_modules";
    copy(from, to, DEPTH_MAX, &|name, depth| {
        let of_project = depth == DEPTH_MAX && (name.contains(".wasm") || OF_PROJECT.contains(&name));
        !is_hidden(name) && !of_project
    })
}

/// Copies a folder with what is in it and below, as far as it is wanted. A link is what it leads to.
fn copy(from: &Path, to: &Path, depth: usize, is_wanted: &dyn Fn(&str, usize) -> bool) -> Result<(), CliError> {
    let deeper = depth.checked_sub(1).ok_or_else(|| {
        CliError::config(format!("folders lie in each other {DEPTH_MAX} deep"))
            .at(from.display())
            .with_mend("is there a link to a folder above?")
    })?;
    fs::create_dir_all(to).map_err(|error| failed(to, &error))?;
    for entry in fs::read_dir(from).map_err(|error| failed(from, &error))? {
        let entry = entry.map_err(|error| failed(from, &error))?;
        let name = entry.file_name();
        if !is_wanted(&name.to_string_lossy(), depth) {
            continue;
        }
        let (path, target) = (entry.path(), to.join(&name));
        if path.is_dir() {
            copy(&path, &target, deeper, is_wanted)?;
        } else {
            fs::copy(&path, &target).map_err(|error| failed(&path, &error))?;
        }
    }
    Ok(())
}

fn failed(path: &Path, error: &std::io::Error) -> CliError {
    CliError::unavailable(format!("cannot be read or written: {error}")).at(path.display())
}

/// A folder for a build, or a file in one, gone when it is over.
pub(in crate::commands) struct Scratch {
    folder: PathBuf,
    path: PathBuf,
}

impl Scratch {
    pub(super) fn new() -> Result<Self, CliError> {
        let path = std::env::temp_dir().join(format!("wasmill-build-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&path).map_err(|error| failed(&path, &error))?;
        Ok(Self { folder: path.clone(), path })
    }

    /// The same for a file in it.
    pub(super) fn with_file(mut self, name: &str) -> Self {
        self.path = self.folder.join(name);
        self
    }

    pub(in crate::commands) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left takes room in the temporary folder only.
        let _ = fs::remove_dir_all(&self.folder);
    }
}
