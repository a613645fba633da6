//! `[traces]`: where the spans of each batch go. OpenTelemetry's own variables (`traces/standard.rs`) fill in what is not
//! written here, turn traces on where the section is not, and off where it is.

mod standard;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue};
use serde_json::Value;

use self::standard::Standard;
use super::address::{AddressError, parse_http_url};
use super::reader::{Entry, Section};
use super::source::Located;
use super::world::read_elsewhere;

/// What a service is called that nobody named.
const SERVICE_NAME: &str = "wasmill";
const SERVICE_NAME_KEY: &str = "service.name";
/// Where a collector listens by custom: for HTTP, and for gRPC.
const HTTP_ENDPOINT: &str = "http://localhost:4318";
const GRPC_ENDPOINT: &str = "http://localhost:4317";
const GRPC_PORT: u16 = 4317;
/// Below a collector's address.
const HTTP_PATH: &str = "/v1/traces";
const TIMEOUT_SECONDS: u32 = 10;
const TIMEOUT_SECONDS_MAX: u32 = 60;
const QUEUED_SPANS: u32 = 2048;
const QUEUED_SPANS_MAX: u32 = 65_536;

/// What is sent to a collector, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Traces {
    /// Of HTTP the URL that is posted to; of gRPC the collector's origin.
    pub(crate) endpoint: String,
    pub(crate) protocol: Protocol,
    /// Those that this file names. Those of the environment are read where they are sent.
    pub(crate) headers: Headers,
    /// How long one export may take, with what is tried again of it.
    pub(crate) timeout: Duration,
    /// What all spans are of: `service.name` and more.
    pub(crate) resource: BTreeMap<String, String>,
    pub(crate) sampling: Sampling,
    /// How many spans may wait to be exported.
    pub(crate) max_queued_spans: u32,
}

/// A protocol of OTLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    HttpProtobuf,
    Grpc,
}

const PROTOCOLS: [(&str, Protocol); 2] = [("http/protobuf", Protocol::HttpProtobuf), ("grpc", Protocol::Grpc)];

impl Protocol {
    /// As the standard's variables write it.
    pub(crate) fn word(self) -> &'static str {
        PROTOCOLS.iter().find(|(_, protocol)| *protocol == self).map_or("", |(word, _)| word)
    }
}

/// Which traces are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sampling {
    /// Whether what a producer decided holds for the batch that continues its trace.
    pub(crate) follows_producers: bool,
    /// Of the others: from 0 to 1.
    pub(crate) ratio: f64,
}

impl PartialEq for Sampling {
    fn eq(&self, other: &Self) -> bool {
        (self.follows_producers, self.ratio.to_bits()) == (other.follows_producers, other.ratio.to_bits())
    }
}

impl Eq for Sampling {}

/// Headers of an export. `Debug` shows their names only: values may be secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Headers(pub(crate) BTreeMap<String, String>);

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Reads `[traces]` and the variables; none: there are no traces.
pub(super) fn read_traces(root: &mut Section<'_, '_>, folder: &Path) -> Option<Traces> {
    let standard = Standard::new(root.source());
    let section = root.table("traces");
    let turned_off = standard.turned_off();
    if section.is_none() && (turned_off.is_some() || !standard.turns_on()) {
        return None;
    }
    if let (Some(variable), Some(section)) = (turned_off, &section) {
        let what = format!("{variable} turns traces off, whatever stands here");
        section.source().warning(section.place(), what, "unset the variable, or remove [traces]");
    }
    let traces = Reading { root, section, standard }.read(folder);
    traces.filter(|_| turned_off.is_none())
}

struct Reading<'r, 's, 'a> {
    root: &'r Section<'s, 'a>,
    section: Option<Section<'s, 'a>>,
    standard: Standard<'s, 'a>,
}

impl Reading<'_, '_, '_> {
    /// With a mistake in where it goes there are no traces.
    fn read(mut self, folder: &Path) -> Option<Traces> {
        self.standard.check_the_others();
        let (protocol, endpoint) = self.place();
        let headers = self.headers(folder);
        let timeout = self.timeout();
        let resource = self.resource();
        let sampling = self.sampling();
        let max_queued_spans = self.max_queued_spans();
        if let Some(section) = self.section {
            section.finish();
        }
        Some(Traces { endpoint: endpoint?, protocol, headers, timeout, resource, sampling, max_queued_spans })
    }

    /// Says what a key is that is not written, and which variable says so.
    fn otherwise(&self, key: &str, value: impl Into<Value>, variable: Option<&str>) {
        match &self.section {
            Some(section) => section.default_of(key, value),
            None => self.root.absent(&format!("traces.{key}"), value),
        }
        if let Some(variable) = variable {
            self.root.source().record_variable(&format!("traces.{key}"), variable);
        }
    }

    fn text(&mut self, key: &'static str) -> Option<Located<String>> {
        self.section.as_mut().and_then(|section| section.string(key))
    }

    /// How, and where to.
    fn place(&mut self) -> (Protocol, Option<String>) {
        let endpoint = self.text("endpoint");
        let written = self.section.as_mut().and_then(|section| section.choice("protocol", &PROTOCOLS));
        let said = self.standard.protocol(&PROTOCOLS);
        let protocol = match (written, said) {
            (Some(written), _) => written.value,
            (None, Some((protocol, _))) => protocol,
            (None, None) => Protocol::HttpProtobuf,
        };
        let by = said.map(|(_, variable)| variable);
        self.otherwise("protocol", by.map_or(Protocol::HttpProtobuf.word(), |_| protocol.word()), by);
        let source = self.root.source();
        if let Some(text) = endpoint {
            let place = text.place;
            let checked =
                checked(&text.value, protocol, |uri| if uri == "/" { HTTP_PATH.to_owned() } else { uri.to_owned() });
            return match checked {
                Ok((endpoint, port)) => {
                    if port == Some(GRPC_PORT) && protocol == Protocol::HttpProtobuf {
                        let what = "4317 is by custom the port for gRPC, and the protocol is http/protobuf";
                        source.warning(&place, what, "write protocol = \"grpc\", or port 4318");
                    }
                    (protocol, Some(endpoint))
                }
                Err((what, mend)) => {
                    source.mistake(&place, what, mend);
                    (protocol, None)
                }
            };
        }
        match self.standard.endpoint() {
            Some((text, variable, is_whole)) => {
                let path = |path: &str| match is_whole {
                    true => path.to_owned(),
                    false => format!("{}{HTTP_PATH}", path.trim_end_matches('/')),
                };
                match checked(&text, protocol, path) {
                    Ok((endpoint, _)) => {
                        self.otherwise("endpoint", endpoint.clone(), Some(variable));
                        (protocol, Some(endpoint))
                    }
                    Err((what, mend)) => {
                        source.variable_mistake(variable, what, mend);
                        (protocol, None)
                    }
                }
            }
            None => {
                let endpoint = match protocol {
                    Protocol::HttpProtobuf => HTTP_ENDPOINT,
                    Protocol::Grpc => GRPC_ENDPOINT,
                };
                self.otherwise("endpoint", endpoint, None);
                let path = if protocol == Protocol::Grpc { "" } else { HTTP_PATH };
                (protocol, Some(format!("{endpoint}{path}")))
            }
        }
    }

    fn headers(&mut self, folder: &Path) -> Headers {
        let entries = self.section.as_mut().map(|section| section.secret_map("headers")).unwrap_or_default();
        let mut headers = BTreeMap::new();
        for (name, entry) in entries {
            let value = match entry {
                Entry::Text(text) => Some(text),
                Entry::Table(table) => read_elsewhere(table, folder),
            };
            let Some(value) = value else { continue };
            match check_header(&name, &value.value) {
                Ok(()) => drop(headers.insert(name.to_ascii_lowercase(), value.value)),
                Err((what, mend)) => self.root.source().mistake(&value.place, format!("{name:?} {what}"), mend),
            }
        }
        self.standard.check_headers();
        Headers(headers)
    }

    fn timeout(&mut self) -> Duration {
        let range = 1..=TIMEOUT_SECONDS_MAX;
        let written =
            self.section.as_mut().and_then(|section| section.optional_integer("timeout_seconds", range, " s"));
        let said = self.standard.timeout_ms(u64::from(TIMEOUT_SECONDS_MAX) * 1000);
        if let Some(written) = written {
            return Duration::from_secs(written.value.into());
        }
        let timeout = said.map_or(Duration::from_secs(TIMEOUT_SECONDS.into()), |(ms, _)| Duration::from_millis(ms));
        let shown = if said.is_some() { Value::from(timeout.as_secs_f64()) } else { Value::from(TIMEOUT_SECONDS) };
        self.otherwise("timeout_seconds", shown, said.map(|(_, variable)| variable));
        timeout
    }

    /// What all spans are of. What is written wins over what a variable says, by name.
    fn resource(&mut self) -> BTreeMap<String, String> {
        let mut resource = self.standard.resource();
        let service_name = self.text("service_name");
        let written =
            self.section.as_mut().map(|section| section.string_map("resource_attributes")).unwrap_or_default();
        let said = self.standard.service_name();
        if let Some((name, _)) = &said {
            resource.insert(SERVICE_NAME_KEY.to_owned(), name.clone());
        }
        resource.extend(written.into_iter().map(|(name, value)| (name, value.value)));
        if let Some(name) = &service_name {
            if name.value.trim().is_empty() {
                self.root.source().mistake(&name.place, "it is empty", "write a name, or remove the key");
            }
            resource.insert(SERVICE_NAME_KEY.to_owned(), name.value.clone());
        }
        let name = resource.entry(SERVICE_NAME_KEY.to_owned()).or_insert_with(|| SERVICE_NAME.to_owned()).clone();
        let variable = said.filter(|(said, _)| *said == name).map(|(_, variable)| variable);
        self.otherwise("service_name", name, variable);
        resource
    }

    fn sampling(&mut self) -> Sampling {
        let written = self.section.as_mut().and_then(|section| section.optional_share("sampling_ratio"));
        let (said, variable) = self.standard.sampling().unzip();
        let said = said.unwrap_or(Sampling { follows_producers: true, ratio: 1.0 });
        self.otherwise("sampling_ratio", said.ratio, variable);
        written.map_or(said, |ratio| Sampling { follows_producers: true, ratio: ratio.value })
    }

    fn max_queued_spans(&mut self) -> u32 {
        let range = 1..=QUEUED_SPANS_MAX;
        let written = self.section.as_mut().and_then(|section| section.optional_integer("max_queued_spans", range, ""));
        let (said, variable) = self.standard.queue_size(QUEUED_SPANS_MAX).unzip();
        let otherwise = said.unwrap_or(QUEUED_SPANS);
        self.otherwise("max_queued_spans", otherwise, variable);
        written.map_or(otherwise, |written| written.value)
    }
}

/// A collector's address, made what is asked; its port, if it says one. The text is not repeated: it may hold a password.
fn checked(
    text: &str,
    protocol: Protocol,
    path: impl FnOnce(&str) -> String,
) -> Result<(String, Option<u16>), (&'static str, &'static str)> {
    let (origin, uri) = parse_http_url(text).map_err(|error| match error {
        AddressError::Credentials => ("the URL holds a user or a password", "write them as a header: [traces] headers"),
        _ => ("is not an http(s) URL", "write http://HOST:PORT or https://HOST:PORT"),
    })?;
    if uri.query().is_some() {
        return Err(("the URL holds a query", "take it out; tokens go into [traces] headers"));
    }
    match protocol {
        Protocol::Grpc if uri.path() != "/" => Err(("the URL holds a path, and gRPC has none", "take it out")),
        Protocol::Grpc => Ok((origin, uri.port_u16())),
        Protocol::HttpProtobuf => Ok((format!("{origin}{}", path(uri.path())), uri.port_u16())),
    }
}

/// Names that belong to the exporter, or that gRPC would read otherwise.
fn check_header(name: &str, value: &str) -> Result<(), (&'static str, &'static str)> {
    const OWN: [&str; 6] = ["content-type", "content-length", "content-encoding", "transfer-encoding", "host", "te"];
    let lower = name.to_ascii_lowercase();
    if HeaderName::try_from(name).is_err() {
        return Err(("is not the name of a header", "write a name such as \"authorization\""));
    }
    if OWN.contains(&lower.as_str()) || lower.starts_with("grpc-") || lower.ends_with("-bin") {
        return Err(("is a header that the protocol sets itself", "remove it"));
    }
    // The value is not shown: it may be a secret.
    HeaderValue::try_from(value)
        .map_err(|_| ("has a value that no header can hold", "take line breaks and the like out"))?;
    Ok(())
}
