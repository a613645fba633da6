//! boto3 and aws-cli for the tests, pinned, in a Python environment of their own below the target folder.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::layout::Layout;
use crate::step;

/// What is installed, exactly.
const PINNED: &str = include_str!("test-clients.txt");

/// The variables that tell the tests where the clients are. Who sets both brings their own.
pub(crate) const PYTHON_VARIABLE: &str = "WASMILL_TEST_PYTHON";
pub(crate) const AWS_VARIABLE: &str = "WASMILL_TEST_AWS";

/// The clients real users have.
pub(crate) struct Clients {
    /// A Python that can import boto3.
    pub(crate) python: PathBuf,
    /// aws-cli.
    pub(crate) aws: PathBuf,
}

impl Clients {
    /// Finds or installs them. The error says what is missing and how to mend it.
    pub(crate) fn prepare(layout: &Layout) -> Result<Self, String> {
        if let (Some(python), Some(aws)) = (env::var_os(PYTHON_VARIABLE), env::var_os(AWS_VARIABLE)) {
            step::step("using the boto3 and aws-cli that the environment names");
            return Ok(Self { python: python.into(), aws: aws.into() });
        }
        let folder = layout.target.join("test-clients");
        let clients = Self { python: folder.join("bin/python"), aws: folder.join("bin/aws") };
        let marker = folder.join("installed.txt");
        if fs::read_to_string(&marker).is_ok_and(|installed| installed == PINNED) && clients.work() {
            return Ok(clients);
        }
        step::step("installing boto3 and aws-cli for the tests into the target folder");
        install(&folder)?;
        fs::write(&marker, PINNED).map_err(|error| format!("cannot write {}: {error}", marker.display()))?;
        Ok(clients)
    }

    /// An environment made by a Python that has since been upgraded or moved away does not start.
    fn work(&self) -> bool {
        step::read(Command::new(&self.python).args(["-c", "import boto3"])).is_ok() && self.aws.is_file()
    }
}

fn install(folder: &Path) -> Result<(), String> {
    step::read(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder)).map_err(|error| {
        format!("install python3 with its venv module, on Debian the package python3-venv ({error})")
    })?;
    let requirements = folder.join("requirements.txt");
    fs::write(&requirements, PINNED).map_err(|error| format!("cannot write {}: {error}", requirements.display()))?;
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]).arg(&requirements);
    step::read(&mut pip)
        .map(drop)
        .map_err(|error| format!("let pip reach PyPI, or set {PYTHON_VARIABLE} and {AWS_VARIABLE} ({error})"))
}
