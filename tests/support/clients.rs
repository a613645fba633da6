//! The programs of other people, where the machine has them: `cargo xtask test` installs them and names them.

use std::env;
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use crate::command::set_environment;
use crate::places;

/// A program of somebody else's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// A Python with boto3, ready for the name of a script in `tests/clients` and its arguments.
    Boto3,
    /// The same of 2023, which speaks the Query protocol.
    QueryBoto3,
    /// A Python with Celery.
    Celery,
    /// Node.js with the AWS SDK and sqs-consumer, whose folder becomes the script's first argument.
    Node,
    /// aws-cli, ready for its arguments.
    AwsCli,
    /// moto's server, ready for its arguments.
    Moto,
    /// A Node.js that fauxqs runs on; what to run is in its modules.
    Fauxqs,
    /// Prometheus's server, ready for its arguments.
    Prometheus,
    /// What checks Prometheus's files, ready for its arguments.
    Promtool,
    /// The browser.
    Chromium,
    /// What drives it, ready for its arguments.
    Chromedriver,
}

impl Client {
    fn variable(self) -> &'static str {
        match self {
            Self::Boto3 => "WASMILL_TEST_PYTHON",
            Self::QueryBoto3 => "WASMILL_TEST_QUERY_PYTHON",
            Self::Celery => "WASMILL_TEST_CELERY_PYTHON",
            Self::Node => "WASMILL_TEST_NODE",
            Self::AwsCli => "WASMILL_TEST_AWS",
            Self::Moto => "WASMILL_TEST_MOTO",
            Self::Fauxqs => "WASMILL_TEST_FAUXQS_NODE",
            Self::Prometheus => "WASMILL_TEST_PROMETHEUS",
            Self::Promtool => "WASMILL_TEST_PROMTOOL",
            Self::Chromium => "WASMILL_TEST_CHROMIUM",
            Self::Chromedriver => "WASMILL_TEST_CHROMEDRIVER",
        }
    }

    /// The variable of the `node_modules` folder, for what Node.js runs.
    fn modules_variable(self) -> Option<&'static str> {
        match self {
            Self::Node => Some("WASMILL_TEST_NODE_MODULES"),
            Self::Fauxqs => Some("WASMILL_TEST_FAUXQS_MODULES"),
            _ => None,
        }
    }

    /// With a script of `tests/clients`; none with a line on stderr if the machine has no such client.
    ///
    /// # Panics
    /// When there is none and `CI=true`: there nothing may be left out.
    #[must_use]
    pub fn script(self, test: &str, script: &str) -> Option<Command> {
        let mut command = self.program(test)?;
        command.arg(places::repository().join("tests/clients").join(script));
        if self == Self::Node {
            command.arg(self.modules(test)?);
        }
        Some(command)
    }

    /// The `node_modules` folder of what Node.js runs; none with a line on stderr if the machine has no such client.
    ///
    /// # Panics
    /// When there is none and `CI=true`: there nothing may be left out.
    #[must_use]
    pub fn modules(self, test: &str) -> Option<PathBuf> {
        named(self.modules_variable()?, self, test).map(PathBuf::from)
    }

    /// The program itself; none with a line on stderr if the machine has no such client.
    ///
    /// # Panics
    /// When there is none and `CI=true`: there nothing may be left out.
    #[must_use]
    pub fn program(self, test: &str) -> Option<Command> {
        let mut command = Command::new(named(self.variable(), self, test)?);
        set_environment(&mut command);
        command.env("AWS_DEFAULT_REGION", "us-east-1").env("PYTHONDONTWRITEBYTECODE", "1").env("NODE_NO_WARNINGS", "1");
        Some(command)
    }
}

fn named(variable: &str, client: Client, test: &str) -> Option<OsString> {
    let place = env::var_os(variable);
    if place.is_none() {
        let left_out =
            format!("left out: {test}, for want of {client:?}; `cargo xtask test` installs it, {variable} names it");
        assert!(env::var("CI").as_deref() != Ok("true"), "{left_out}");
        // Not through the macros, whose output a passing test hides.
        let _ = writeln!(std::io::stderr(), "{left_out}");
    }
    place
}
