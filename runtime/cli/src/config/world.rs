//! What a function gets of the world around it: variables, the network, a disk, instances that stay warm.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use wasmill_sandbox::{AllowedHosts, Outbound, Reuse};

use super::expand::is_variable_name;
use super::reader::{Entry, Section};
use super::source::Located;

/// Names and values of one function's environment together. Lambda stops at 4 KiB; certificates should fit here.
const ENVIRONMENT_BYTES_MAX: usize = 64 * 1024;
/// What wasmill sets itself for a handler that reads its context from variables.
const OWN_VARIABLES: [&str; 4] = ["AWS_REGION", "AWS_DEFAULT_REGION", "_X_AMZN_TRACE_ID", "_HANDLER"];
const OWN_PREFIXES: [&str; 3] = ["AWS_LAMBDA_", "LAMBDA_", "WASMILL_"];
/// The longest body that a handler may send or receive over HTTP.
const HTTP_BODY_BYTES_CEILING: u32 = 1 << 30;
/// The largest `/tmp`: Lambda's.
pub(crate) const EPHEMERAL_STORAGE_MIB_MAX: u32 = 10_240;
const YEAR_SECONDS: u32 = 365 * 24 * 3600;

/// A handler's variables. `Debug` shows their names only: values may be secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Environment(pub(crate) BTreeMap<String, String>);

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Checks the name of a variable for a handler. The error is a clause that fits after the name.
pub(crate) fn check_variable_name(name: &str) -> Result<(), &'static str> {
    if !is_variable_name(name) {
        return Err("is not a variable name: letters, digits and _, not beginning with a digit");
    }
    if OWN_VARIABLES.contains(&name) || OWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
        return Err("is set by wasmill itself");
    }
    Ok(())
}

/// Reads `environment`: each value a text, or a table that says where the value is. `folder` is the config file's.
pub(super) fn read_environment(section: &mut Section<'_, '_>, folder: &Path) -> Environment {
    let source = section.source();
    let mut written = Vec::new();
    for (name, entry) in section.secret_map("environment") {
        match entry {
            Entry::Text(text) => written.push((name, text)),
            Entry::Table(table) => written.extend(read_elsewhere(table, folder).map(|value| (name, value))),
        }
    }
    let bytes: usize = written.iter().map(|(name, value)| name.len() + value.value.len()).sum();
    if let Some((_, first)) = written.first()
        && bytes > ENVIRONMENT_BYTES_MAX
    {
        let what = format!("the environment has {bytes} bytes, more than {ENVIRONMENT_BYTES_MAX}");
        source.mistake(&first.place, what, "put large data into the module or into the messages");
    }
    for (name, value) in &written {
        if let Err(what) = check_variable_name(name) {
            source.mistake(&value.place, format!("{name:?} {what}"), "choose another name");
        }
        if value.value.contains('\0') {
            // The value itself is not shown: it may be a secret.
            source.mistake(&value.place, "the value contains a NUL character", "take it out; no variable can hold it");
        }
    }
    Environment(written.into_iter().map(|(name, value)| (name, value.value)).collect())
}

/// A value from wasmill's own environment or from a file, so that a secret need not stand in the config.
pub(super) fn read_elsewhere(mut table: Section<'_, '_>, folder: &Path) -> Option<Located<String>> {
    const MEND: &str = "write { from_env = \"NAME\" } or { from_file = \"PATH\" }";
    let source = table.source();
    let place = table.place().clone();
    let (from_env, from_file) = (table.string("from_env"), table.string("from_file"));
    table.finish();
    match (from_env, from_file) {
        (Some(name), None) => match source.env(&name.value) {
            Some(value) => Some(name.map(|_| value)),
            None => {
                let what = format!("the environment variable {} is not set", name.shown());
                source.mistake(&name.place, what, "set it before wasmill starts");
                None
            }
        },
        (None, Some(path)) => match read_secret(&folder.join(&path.value)) {
            Ok(text) => Some(path.map(|_| text)),
            Err(what) => {
                let what = format!("{} {what}", path.shown());
                source.mistake(
                    &path.place,
                    what,
                    "correct the path or the file; relative paths start at the config's folder",
                );
                None
            }
        },
        (Some(_), Some(_)) => {
            source.mistake(&place, "from_env and from_file exclude each other", MEND);
            None
        }
        (None, None) => {
            source.mistake(&place, "it does not say where the value is", MEND);
            None
        }
    }
}

/// A file's text without the newline that editors put at its end. The error is a clause that fits after the path.
fn read_secret(path: &Path) -> Result<String, String> {
    let size = std::fs::metadata(path).map_err(|error| format!("cannot be read: {error}"))?.len();
    if size > ENVIRONMENT_BYTES_MAX as u64 {
        return Err(format!("has {size} bytes, more than {ENVIRONMENT_BYTES_MAX}"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

/// Reads what a function may ask of the network.
pub(super) fn read_outbound(section: &mut Section<'_, '_>) -> Outbound {
    let hosts = AllowedHosts {
        origins: read_each(section, "allowed_hosts", "write an origin such as \"https://api.example.com\""),
        networks: read_each(section, "allowed_networks", "write a network such as \"10.0.0.0/8\""),
    };
    let default = Outbound::default();
    let bytes = u32::try_from(default.body_bytes_max).unwrap_or(HTTP_BODY_BYTES_CEILING);
    Outbound {
        hosts,
        requests_max: section.integer("max_http_requests", 1..=100_000, "", default.requests_max).value,
        body_bytes_max: section
            .integer("max_http_body_bytes", 1..=HTTP_BODY_BYTES_CEILING, " bytes", bytes)
            .value
            .into(),
    }
}

fn read_each<T: FromStr<Err = &'static str>>(section: &mut Section<'_, '_>, key: &'static str, mend: &str) -> Vec<T> {
    let source = section.source();
    let parse = |text: Located<String>| match text.value.parse() {
        Ok(value) => Some(value),
        Err(what) => {
            source.mistake(&text.place, format!("{} {what}", text.shown()), mend);
            None
        }
    };
    section.strings(key).into_iter().filter_map(parse).collect()
}

/// Reads `ephemeral_storage`: Lambda's `EphemeralStorage`, a table of a `Size` in MiB. Lambda's smallest is its default of 512; here none
/// is the default, so less than that may be wanted.
pub(super) fn read_ephemeral_storage(section: &mut Section<'_, '_>) -> Option<u32> {
    let source = section.source();
    let mut table = section.table("ephemeral_storage")?;
    let size = table.optional_integer("size", 1..=EPHEMERAL_STORAGE_MIB_MAX, " MiB");
    if size.is_none() && !table.has("size") {
        source.mistake(table.place(), "it does not say how large /tmp is to be", "write { size = 512 }, in MiB");
    }
    table.finish();
    size.map(|size| size.value)
}

/// Reads `reuse`: true, false, or a table of terms. `default` is for a function that does not say.
pub(super) fn read_reuse(section: &mut Section<'_, '_>, default: bool) -> Option<Reuse> {
    let terms = Reuse::default();
    if !section.is_table("reuse") {
        let wanted = section.optional_boolean("reuse").map_or(default, |written| written.value);
        section.default_of("reuse", default);
        return wanted.then_some(terms);
    }
    let mut table = section.table("reuse")?;
    let seconds = |duration: Duration| u32::try_from(duration.as_secs()).unwrap_or(YEAR_SECONDS);
    let reuse = Reuse {
        max_invocations: table.integer("max_invocations", 1..=u32::MAX, "", terms.max_invocations).value,
        max_age: Duration::from_secs(
            table.integer("max_age_seconds", 1..=YEAR_SECONDS, " s", seconds(terms.max_age)).value.into(),
        ),
        max_idle: Duration::from_secs(
            table.integer("max_idle_seconds", 1..=YEAR_SECONDS, " s", seconds(terms.max_idle)).value.into(),
        ),
        max_memory_percent: table.integer("max_memory_percent", 1..=100, " %", terms.max_memory_percent).value,
    };
    table.finish();
    Some(reuse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_that_wasmill_sets_are_refused() {
        for good in ["TABLE", "_", "AWS_ACCESS_KEY_ID", "lower_1"] {
            assert_eq!(check_variable_name(good), Ok(()), "{good}");
        }
        for own in [
            "AWS_REGION",
            "AWS_LAMBDA_FUNCTION_NAME",
            "_X_AMZN_TRACE_ID",
            "WASMILL_REQUEST_ID",
            "_HANDLER",
            "LAMBDA_TASK_ROOT",
        ] {
            assert_eq!(check_variable_name(own), Err("is set by wasmill itself"), "{own}");
        }
        for bad in ["", "1A", "A-B", "A B", "Ä"] {
            assert!(check_variable_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn debug_shows_no_values() {
        let environment = Environment([("TOKEN".to_owned(), "hunter2".to_owned())].into());
        let shown = format!("{environment:?}");
        assert!(shown.contains("TOKEN") && !shown.contains("hunter2"), "{shown}");
    }
}
