//! `[traces]` and OpenTelemetry's variables: what they come to together, and what is said of mistakes in them.

#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::config::{Draft, Finding, parse};

/// Reads a config with these variables set, in a folder with a file `token`.
fn draft(text: &str, variables: &[(&str, &str)]) -> Draft {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "Bearer s3cret\n").unwrap();
    let env = |name: &str| match name {
        "HOME" => Some("/home/someone".to_owned()),
        _ => variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| (*value).to_owned()),
    };
    parse(Path::new("wasmill.toml"), folder.path(), text, &env)
}

/// Without a mistake.
fn read(text: &str, variables: &[(&str, &str)]) -> (Option<Traces>, Vec<Finding>) {
    let config = draft(text, variables).finish(Vec::new()).unwrap();
    (config.traces, config.warnings)
}

#[track_caller]
fn only_mistake(text: &str, variables: &[(&str, &str)]) -> String {
    let mistakes = draft(text, variables).mistakes;
    assert_eq!(mistakes.len(), 1, "{mistakes:?}");
    mistakes[0].to_string()
}

const BASE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const WHOLE: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";

#[test]
fn traces_are_off_unless_they_are_asked_for() {
    assert_eq!(read("", &[]), (None, Vec::new()));
    assert_eq!(
        read("", &[(BASE, " "), ("OTEL_SERVICE_NAME", "x"), ("OTEL_TRACES_EXPORTER", "none")]),
        (None, Vec::new())
    );
    let (traces, warnings) = read("[traces]\n", &[]);
    let traces = traces.unwrap();
    assert_eq!(
        (traces.endpoint.as_str(), traces.protocol),
        ("http://localhost:4318/v1/traces", Protocol::HttpProtobuf)
    );
    assert_eq!(traces.resource, BTreeMap::from([("service.name".to_owned(), "wasmill".to_owned())]));
    assert_eq!(traces.sampling, Sampling { follows_producers: true, ratio: 1.0 });
    assert_eq!((traces.timeout.as_secs(), traces.max_queued_spans, warnings), (10, 2048, Vec::new()));
    let grpc = read("[traces]\nprotocol = \"grpc\"\n", &[]).0.unwrap();
    assert_eq!((grpc.endpoint.as_str(), grpc.protocol), ("http://localhost:4317", Protocol::Grpc));
    assert!(read("", &[("OTEL_TRACES_EXPORTER", "otlp")]).0.is_some());
}

#[test]
fn an_endpoint_is_a_collectors_address_or_a_whole_url() {
    let of_file = |endpoint: &str| read(&format!("[traces]\nendpoint = \"{endpoint}\"\n"), &[]).0.unwrap().endpoint;
    assert_eq!(of_file("http://collector:4318"), "http://collector:4318/v1/traces");
    assert_eq!(of_file("https://collector/"), "https://collector/v1/traces");
    assert_eq!(of_file("https://api.example.com/otlp/v1/traces"), "https://api.example.com/otlp/v1/traces");
    let of_env = |variables: &[(&str, &str)]| read("", variables).0.unwrap().endpoint;
    assert_eq!(of_env(&[(BASE, "http://collector:4318")]), "http://collector:4318/v1/traces");
    assert_eq!(of_env(&[(BASE, "https://api.example.com/otlp/")]), "https://api.example.com/otlp/v1/traces");
    assert_eq!(of_env(&[(BASE, "http://other"), (WHOLE, "http://collector:1/mine")]), "http://collector:1/mine");
    assert_eq!(of_env(&[(WHOLE, "http://collector:1")]), "http://collector:1/");
    assert_eq!(of_env(&[(BASE, "http://c:4317"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]), "http://c:4317");
}

#[test]
fn the_file_says_and_variables_fill_in() {
    let variables = [
        (BASE, "http://env:4318"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
        ("OTEL_SERVICE_NAME", "of-env"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=less,team=a%2Cb,zone=1"),
        ("OTEL_TRACES_SAMPLER", "traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "99"),
    ];
    let (traces, warnings) = read("", &variables);
    let traces = traces.unwrap();
    assert_eq!((traces.endpoint.as_str(), traces.protocol), ("http://env:4318/v1/traces", Protocol::HttpProtobuf));
    let attribute = |traces: &Traces, name: &str| traces.resource.get(name).cloned().unwrap_or_default();
    assert_eq!(["service.name", "team", "zone"].map(|name| attribute(&traces, name)), ["of-env", "a,b", "1"]);
    assert_eq!(traces.sampling, Sampling { follows_producers: false, ratio: 0.25 });
    assert_eq!((traces.timeout.as_millis(), traces.max_queued_spans, warnings), (1500, 99, Vec::new()));

    let text = "[traces]\nendpoint = \"http://file:4317\"\nprotocol = \"grpc\"\ntimeout_seconds = 3\nservice_name = \"of-file\"\n\
                resource_attributes = { zone = \"2\" }\nsampling_ratio = 0.5\nmax_queued_spans = 7\n";
    let traces = read(text, &variables).0.unwrap();
    assert_eq!((traces.endpoint.as_str(), traces.protocol), ("http://file:4317", Protocol::Grpc));
    assert_eq!(["service.name", "team", "zone"].map(|name| attribute(&traces, name)), ["of-file", "a,b", "2"]);
    assert_eq!(traces.sampling, Sampling { follows_producers: true, ratio: 0.5 });
    assert_eq!((traces.timeout.as_secs(), traces.max_queued_spans), (3, 7));
}

#[test]
fn samplers() {
    for (sampler, expected) in [
        ("always_on", (false, 1.0)),
        ("always_off", (false, 0.0)),
        ("traceidratio", (false, 1.0)),
        ("parentbased_always_on", (true, 1.0)),
        ("parentbased_always_off", (true, 0.0)),
        ("parentbased_traceidratio", (true, 1.0)),
    ] {
        let Sampling { follows_producers, ratio } =
            read("[traces]\n", &[("OTEL_TRACES_SAMPLER", sampler)]).0.unwrap().sampling;
        assert_eq!((follows_producers, ratio), expected, "{sampler}");
    }
    for ratio in ["0", "1", "0.001", "1e-3", "\"${RATIO}\""] {
        assert!(
            draft(&format!("[traces]\nsampling_ratio = {ratio}\n"), &[("RATIO", "0.5")]).mistakes.is_empty(),
            "{ratio}"
        );
    }
}

#[test]
fn variables_turn_traces_off_whatever_the_file_says() {
    for (name, value) in [("OTEL_SDK_DISABLED", "TRUE"), ("OTEL_TRACES_EXPORTER", "none")] {
        assert_eq!(read("", &[(BASE, "http://c"), (name, value)]), (None, Vec::new()));
        let (traces, warnings) = read("[traces]\n", &[(name, value)]);
        assert_eq!((traces, warnings.len()), (None, 1));
        assert!(warnings[0].what.contains(name), "{warnings:?}");
    }
    assert!(read("[traces]\n", &[("OTEL_SDK_DISABLED", "false")]).0.is_some());
}

#[test]
fn headers_may_be_secrets_and_never_print() {
    let text = "[traces]\nheaders = { Authorization = { from_file = \"token\" }, x-key = \"${KEY}\", x-env = { from_env = \"KEY\" } }\n";
    let traces = read(text, &[("KEY", "s3cret")]).0.unwrap();
    let expected = [("authorization", "Bearer s3cret"), ("x-env", "s3cret"), ("x-key", "s3cret")];
    assert_eq!(traces.headers.0, BTreeMap::from(expected.map(|(name, value)| (name.to_owned(), value.to_owned()))));
    let shown = format!("{traces:?}");
    assert!(shown.contains("authorization") && !shown.contains("s3cret"), "{shown}");
    for (entry, part) in [
        ("\"content-type\" = \"s3cret\"", "\"content-type\" is a header that the protocol sets itself"),
        ("\"grpc-timeout\" = \"s3cret\"", "sets itself"),
        ("\"x y\" = \"s3cret\"", "\"x y\" is not the name of a header"),
        ("x = \"s3cret\\n\"", "has a value that no header can hold"),
    ] {
        let said = only_mistake(&format!("[traces]\nheaders = {{ {entry} }}\n"), &[]);
        assert!(said.contains(part) && !said.contains("s3cret"), "{said}");
    }
    for value in ["s3cret", "x=1,s3cret", "x y=s3cret", "x=s3cret%0A"] {
        let said = only_mistake("[traces]\n", &[("OTEL_EXPORTER_OTLP_HEADERS", value)]);
        assert!(
            said.starts_with("environment  OTEL_EXPORTER_OTLP_HEADERS: header ") && !said.contains("s3cret"),
            "{said}"
        );
    }
}

#[test]
fn what_is_wrong_is_said_with_its_mend() {
    for (text, part) in [
        ("endpoint = \"collector:4318\"", "is not an http(s) URL"),
        ("endpoint = \"http://user:s3cret@collector\"", "holds a user or a password"),
        ("endpoint = \"http://collector/?token=s3cret\"", "holds a query"),
        ("endpoint = \"http://collector/v1\"\nprotocol = \"grpc\"", "holds a path, and gRPC has none"),
        ("protocol = \"http/json\"", "\"http/json\" is not one of \"http/protobuf\", \"grpc\""),
        ("sampling_ratio = 1.5", "1.5 is not a number from 0 to 1"),
        ("sampling_ratio = \"0.5\"", "\"0.5\" is not a number from 0 to 1"),
        ("sampling_ratio = true", "a boolean is not a number from 0 to 1"),
        ("service_name = \"\"", "it is empty"),
        ("timeout_seconds = 0", "0 is not in 1–60 s"),
        ("max_queued_spans = 0", "0 is not in 1–65536"),
        ("endpiont = \"x\"", "did you mean endpoint?"),
    ] {
        let said = only_mistake(&format!("[traces]\n{text}\n"), &[]);
        assert!(said.starts_with("wasmill.toml:") && said.contains(part) && !said.contains("s3cret"), "{said}");
    }
    for (name, value, part) in [
        (BASE, "collector:4317", "is not an http(s) URL"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "is not a protocol that wasmill has"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1.5", "is not a whole number of milliseconds"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=1,b", "\"b\" is not KEY=VALUE"),
        ("OTEL_TRACES_SAMPLER", "jaeger_remote", "is not a sampler that wasmill has"),
        ("OTEL_TRACES_EXPORTER", "zipkin", "is not an exporter that wasmill has"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "-1", "is not a whole number from 1"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem", "no certificates of its own"),
    ] {
        let said = only_mistake("[traces]\n", &[(name, value)]);
        assert!(said.starts_with(&format!("environment  {name}: ")) && said.contains(part), "{said}");
    }
    let sampler = [("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "2")];
    assert!(
        only_mistake("[traces]\n", &sampler).contains("OTEL_TRACES_SAMPLER_ARG: \"2\" is not a number from 0 to 1")
    );
}

#[test]
fn what_has_no_effect_is_said() {
    for (name, value) in [
        ("OTEL_PROPAGATORS", "b3"),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.1"),
        ("OTEL_SDK_DISABLED", "yes"),
    ] {
        let warnings = read("[traces]\n", &[(name, value)]).1;
        assert_eq!(warnings.iter().map(|warning| warning.key.as_str()).collect::<Vec<_>>(), [name]);
        assert_eq!(read("", &[(name, value)]), (None, Vec::new()), "without traces they are others' business");
    }
    let port = read("[traces]\nendpoint = \"http://collector:4317\"\n", &[]).1;
    assert!(port[0].what.contains("port for gRPC"), "{port:?}");
    assert_eq!(read("[traces]\n", &[("OTEL_EXPORTER_OTLP_COMPRESSION", "none")]).1, Vec::new());
}
