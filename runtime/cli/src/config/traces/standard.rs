//! OpenTelemetry's variables: those that are honoured, with what they say and which of them said so, and those that are not,
//! which is said. As the standard has it an empty one counts as not set. Values that may be secrets are never repeated.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

use super::{Protocol, Sampling, check_header};
use crate::config::source::Source;

const ENDPOINT: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
const PROTOCOL: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
const HEADERS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"];
const TIMEOUT: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"];
const COMPRESSION: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"];
const EXPORTER: &str = "OTEL_TRACES_EXPORTER";
const DISABLED: &str = "OTEL_SDK_DISABLED";
const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";
const RESOURCE: &str = "OTEL_RESOURCE_ATTRIBUTES";
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
const QUEUE_SIZE: &str = "OTEL_BSP_MAX_QUEUE_SIZE";

/// Those that would make an export safer than it is without them.
const REFUSED: [&str; 6] = [
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_CLIENT_KEY",
    "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY",
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE",
];
/// Those without which spans arrive all the same.
const PASSED_OVER: [&str; 10] = [
    "OTEL_BSP_SCHEDULE_DELAY",
    "OTEL_BSP_EXPORT_TIMEOUT",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
    "OTEL_SPAN_LINK_COUNT_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_PROPAGATORS",
    "OTEL_CONFIG_FILE",
];

pub(super) struct Standard<'s, 'a> {
    source: &'s Source<'a>,
}

/// What a variable says, and its name.
type Said<T> = (T, &'static str);

impl<'s, 'a> Standard<'s, 'a> {
    pub(super) fn new(source: &'s Source<'a>) -> Self {
        Self { source }
    }

    fn one(&self, name: &'static str) -> Option<Said<String>> {
        let value = self.source.env(name)?;
        let value = value.trim();
        (!value.is_empty()).then(|| (value.to_owned(), name))
    }

    /// The first of them that is set: of a pair that is the one for traces.
    fn first(&self, names: [&'static str; 2]) -> Option<Said<String>> {
        names.into_iter().find_map(|name| self.one(name))
    }

    /// The variable that turns traces off.
    pub(super) fn turned_off(&self) -> Option<&'static str> {
        let is = |name, word: &str| self.one(name).is_some_and(|(value, _)| value.eq_ignore_ascii_case(word));
        [(DISABLED, "true"), (EXPORTER, "none")].into_iter().find(|(name, word)| is(name, word)).map(|(name, _)| name)
    }

    /// Whether the variables alone turn traces on.
    pub(super) fn turns_on(&self) -> bool {
        self.first(ENDPOINT).is_some()
            || self.one(EXPORTER).is_some_and(|(value, _)| value.eq_ignore_ascii_case("otlp"))
    }

    /// Says what is set and has no effect.
    pub(super) fn check_the_others(&self) {
        for (_, name) in REFUSED.into_iter().filter_map(|name| self.one(name)) {
            let mend =
                "unset it; name the authority's certificates in SSL_CERT_FILE, or let a collector nearby take them on";
            self.source.variable_mistake(name, "wasmill has no certificates of its own for the collector", mend);
        }
        for (_, name) in PASSED_OVER.into_iter().filter_map(|name| self.one(name)) {
            self.source.variable_warning(name, "it has no effect on wasmill", "unset it, or leave it to others");
        }
        if let Some((value, name)) = self.first(COMPRESSION).filter(|(value, _)| !value.eq_ignore_ascii_case("none")) {
            let what = format!("{value:?} has no effect: spans are sent as they are");
            self.source.variable_warning(name, what, "unset it, or leave it to others");
        }
        if let Some((value, name)) = self.one(EXPORTER)
            && !["otlp", "none"].iter().any(|known| value.eq_ignore_ascii_case(known))
        {
            let what = format!("{value:?} is not an exporter that wasmill has");
            self.source.variable_mistake(name, what, "write otlp or none");
        }
        if let Some((value, name)) = self.one(DISABLED)
            && !["true", "false"].iter().any(|known| value.eq_ignore_ascii_case(known))
        {
            self.source.variable_warning(name, format!("{value:?} counts as false"), "write true or false");
        }
    }

    /// The endpoint, and whether it is a whole URL rather than the collector's.
    pub(super) fn endpoint(&self) -> Option<(String, &'static str, bool)> {
        self.first(ENDPOINT).map(|(value, name)| (value, name, name == ENDPOINT[0]))
    }

    pub(super) fn protocol(&self, known: &[(&str, Protocol)]) -> Option<Said<Protocol>> {
        let (value, name) = self.first(PROTOCOL)?;
        let found = known.iter().find(|(word, _)| value.eq_ignore_ascii_case(word));
        if found.is_none() {
            let what = format!("{value:?} is not a protocol that wasmill has");
            self.source.variable_mistake(name, what, "write http/protobuf or grpc");
        }
        found.map(|(_, protocol)| (*protocol, name))
    }

    /// The exporter reads the headers itself, and passes over what it cannot read.
    pub(super) fn check_headers(&self) {
        let Some((value, name)) = self.first(HEADERS) else { return };
        let pairs = value.split(',').filter(|pair| !pair.trim().is_empty());
        for (index, pair) in pairs.enumerate() {
            let decoded = pair.split_once('=').and_then(|(key, value)| {
                let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
                Some((key.trim(), value.into_owned()))
            });
            let checked = match decoded {
                Some((key, value)) => check_header(key, &value),
                None => Err((
                    "is not NAME=VALUE",
                    "write NAME=VALUE pairs with commas between them, values percent-encoded",
                )),
            };
            if let Err((what, mend)) = checked {
                self.source.variable_mistake(name, format!("header {} {what}", index + 1), mend);
            }
        }
    }

    /// In milliseconds.
    pub(super) fn timeout_ms(&self, most: u64) -> Option<Said<u64>> {
        let (value, name) = self.first(TIMEOUT)?;
        let parsed = value.parse().ok().filter(|ms| (1..=most).contains(ms));
        if parsed.is_none() {
            let what = format!("{value:?} is not a whole number of milliseconds from 1 to {most}");
            self.source.variable_mistake(name, what, "write one, such as 10000");
        }
        parsed.map(|ms| (ms, name))
    }

    pub(super) fn service_name(&self) -> Option<Said<String>> {
        self.one(SERVICE_NAME)
    }

    pub(super) fn resource(&self) -> BTreeMap<String, String> {
        let Some((value, name)) = self.one(RESOURCE) else { return BTreeMap::new() };
        let mut resource = BTreeMap::new();
        for pair in value.split(',').filter(|pair| !pair.trim().is_empty()) {
            let decoded = pair.split_once('=').and_then(|(key, value)| {
                let key = percent_decode_str(key.trim()).decode_utf8().ok()?;
                let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
                (!key.is_empty()).then(|| (key.into_owned(), value.into_owned()))
            });
            match decoded {
                Some((key, value)) => drop(resource.insert(key, value)),
                None => {
                    let what = format!("{:?} is not KEY=VALUE", pair.trim());
                    self.source.variable_mistake(name, what, "write KEY=VALUE pairs with commas between them");
                }
            }
        }
        resource
    }

    pub(super) fn sampling(&self) -> Option<Said<Sampling>> {
        let argument = self.one(SAMPLER_ARGUMENT);
        let Some((value, name)) = self.one(SAMPLER) else {
            if let Some((_, name)) = argument {
                let what = format!("it has no effect without {SAMPLER}");
                self.source.variable_warning(name, what, format!("set {SAMPLER} to parentbased_traceidratio"));
            }
            return None;
        };
        let (follows_producers, kind) = match value.strip_prefix("parentbased_") {
            Some(kind) => (true, kind),
            None => (false, value.as_str()),
        };
        let ratio = match kind {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => match argument {
                None => 1.0,
                Some((text, name)) => {
                    let ratio: Option<f64> = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
                    if ratio.is_none() {
                        let what = format!("{text:?} is not a number from 0 to 1");
                        self.source.variable_mistake(name, what, "write one, such as 0.1");
                    }
                    ratio?
                }
            },
            _ => {
                let what = format!("{value:?} is not a sampler that wasmill has");
                let mend = "write parentbased_always_on, parentbased_always_off, parentbased_traceidratio, or one of these without \
                            parentbased_";
                self.source.variable_mistake(name, what, mend);
                return None;
            }
        };
        Some((Sampling { follows_producers, ratio }, name))
    }

    pub(super) fn queue_size(&self, most: u32) -> Option<Said<u32>> {
        let (value, name) = self.one(QUEUE_SIZE)?;
        let parsed = value.parse().ok().filter(|size| (1..=most).contains(size));
        if parsed.is_none() {
            let what = format!("{value:?} is not a whole number from 1 to {most}");
            self.source.variable_mistake(name, what, "write one, such as 2048");
        }
        parsed.map(|size| (size, name))
    }
}
