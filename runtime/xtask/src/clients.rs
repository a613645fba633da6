//! The programs of other people that the tests drive: found in the environment, or installed below the target folder.
//!
//! On CI none may be missing. Elsewhere a missing one is told in one line, with the mend, and its tests are left out.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use crate::debian;
use crate::layout::Layout;
use crate::node;
use crate::python::Environment;
use crate::step;

/// Programs that are set up together, and the variables that tell the tests where each is. Who sets all of them brings
/// their own.
struct Kit {
    what: &'static str,
    variables: &'static [&'static str],
    prepare: fn(&Layout, &str) -> Result<Vec<PathBuf>, String>,
}

const KITS: &[Kit] = &[
    Kit {
        what: "boto3 and aws-cli",
        variables: &["WASMILL_TEST_PYTHON", "WASMILL_TEST_AWS"],
        prepare: |layout, what| {
            let pinned = include_str!("test-clients.txt");
            let bin = Environment { folder: "test-clients", pinned, module: "boto3" }.prepare(layout, what)?;
            Ok(vec![bin.join("python"), bin.join("aws")])
        },
    },
    Kit {
        what: "a boto3 that speaks the Query protocol",
        variables: &["WASMILL_TEST_QUERY_PYTHON"],
        prepare: |layout, what| {
            let pinned = include_str!("test-query.txt");
            let bin = Environment { folder: "test-query", pinned, module: "boto3" }.prepare(layout, what)?;
            Ok(vec![bin.join("python")])
        },
    },
    Kit {
        what: "Celery",
        variables: &["WASMILL_TEST_CELERY_PYTHON"],
        prepare: |layout, what| {
            let pinned = include_str!("test-celery.txt");
            let bin = Environment { folder: "test-celery", pinned, module: "celery, pycurl" }.prepare(layout, what)?;
            Ok(vec![bin.join("python")])
        },
    },
    Kit {
        what: "the AWS SDK for JavaScript and sqs-consumer",
        variables: &["WASMILL_TEST_NODE", "WASMILL_TEST_NODE_MODULES"],
        prepare: |layout, what| node::CLIENTS.prepare(layout, what),
    },
    Kit {
        what: "moto's server",
        variables: &["WASMILL_TEST_MOTO"],
        prepare: |layout, what| {
            let pinned = include_str!("test-moto.txt");
            let bin = Environment { folder: "test-moto", pinned, module: "moto.server" }.prepare(layout, what)?;
            Ok(vec![bin.join("moto_server")])
        },
    },
    Kit {
        what: "Prometheus",
        variables: &["WASMILL_TEST_PROMETHEUS", "WASMILL_TEST_PROMTOOL"],
        prepare: |layout, _| {
            let bin = debian::programs(&layout.target.join("test-prometheus"), &["prometheus"])?.join("bin");
            Ok(vec![bin.join("prometheus"), bin.join("promtool")])
        },
    },
    Kit {
        what: "Chromium",
        variables: &["WASMILL_TEST_CHROMIUM", "WASMILL_TEST_CHROMEDRIVER"],
        prepare: |layout, _| {
            let packages = ["chromium", "chromium-driver"];
            let usr = debian::programs(&layout.target.join("test-chromium"), &packages)?;
            Ok(vec![usr.join("lib/chromium/chromium"), usr.join("bin/chromedriver")])
        },
    },
    Kit {
        what: "fauxqs",
        variables: &["WASMILL_TEST_FAUXQS_NODE", "WASMILL_TEST_FAUXQS_MODULES"],
        prepare: |layout, what| node::FAUXQS.prepare(layout, what),
    },
];

/// What the tests will find.
#[derive(Default)]
pub(crate) struct Clients {
    found: Vec<(&'static str, PathBuf)>,
    left_out: Vec<&'static str>,
}

impl Clients {
    /// Finds or installs them all.
    pub(crate) fn prepare(layout: &Layout) -> Result<Self, String> {
        let is_ci = env::var("CI").is_ok_and(|ci| ci == "true");
        let mut clients = Self::default();
        for kit in KITS {
            let named: Option<Vec<PathBuf>> =
                kit.variables.iter().map(|variable| env::var_os(variable).map(PathBuf::from)).collect();
            let prepared = match named {
                Some(paths) => {
                    step::step(&format!("using {} as the environment names it", kit.what));
                    Ok(paths)
                }
                None => (kit.prepare)(layout, kit.what),
            };
            match prepared {
                Ok(paths) => clients.found.extend(kit.variables.iter().copied().zip(paths)),
                Err(mend) => {
                    let mend = format!("{mend}, or set {}", kit.variables.join(" and "));
                    if is_ci {
                        return Err(format!("no {}: {mend}", kit.what));
                    }
                    step::step(&format!("the tests that drive {} are left out; to run them, {mend}", kit.what));
                    clients.left_out.push(kit.what);
                }
            }
        }
        Ok(clients)
    }

    /// Tells the tests of what was found here, and of nothing that a shell happened to have set.
    pub(crate) fn name_in(&self, tests: &mut Command) {
        for kit in KITS {
            for variable in kit.variables {
                tests.env_remove(variable);
            }
        }
        tests.envs(self.found.iter().map(|(variable, path)| (variable, path)));
    }

    /// The end of a summary: what was left out, if anything.
    pub(crate) fn left_out(&self) -> String {
        if self.left_out.is_empty() {
            return String::new();
        }
        format!("; left out: the tests that drive {}", self.left_out.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_named() {
        assert_eq!(Clients::default().left_out(), "");
        let clients = Clients { left_out: vec!["a", "b"], ..Clients::default() };
        assert_eq!(clients.left_out(), "; left out: the tests that drive a, b");
    }

    #[test]
    fn no_variable_stands_for_two_things() {
        let mut variables: Vec<_> = KITS.iter().flat_map(|kit| kit.variables).collect();
        let count = variables.len();
        variables.sort();
        variables.dedup();
        assert_eq!(variables.len(), count);
    }
}
