//! Traces at a collector: what spans there are, whom they are linked to, what the handler and those that it asks learn of them; and that
//! a collector that is not there is nobody's trouble.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use aws_sdk_sqs::types::{MessageAttributeValue, MessageSystemAttributeNameForSends, MessageSystemAttributeValue};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustix::process::Signal;
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;
use support::config::{IN_MEMORY, function, mapping, queue};
use support::otlp::{Collector, Protocol, Taken};
use support::wait::holds;
use support::{Counts, Home, PATIENCE, Sqs, Wasmill, eventually, places};

use crate::languages::{acts, compile_once, file_function};

const HEADER: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// OTLP's numbers for the kinds of spans.
const INTERNAL: i32 = 1;
const CLIENT: i32 = 3;
const CONSUMER: i32 = 5;
const ERROR: i32 = 2;

async fn send(sqs: &Sqs, queue: &str, body: &str, attributes: &[(&str, &str)], trace_header: Option<&str>) {
    let text = |value: &str| MessageAttributeValue::builder().data_type("String").string_value(value).build().unwrap();
    let mut call = sqs.client().send_message().queue_url(sqs.url(queue)).message_body(body);
    for (name, value) in attributes {
        call = call.message_attributes(*name, text(value));
    }
    if let Some(header) = trace_header {
        let value = MessageSystemAttributeValue::builder().data_type("String").string_value(header).build().unwrap();
        call = call.message_system_attributes(MessageSystemAttributeNameForSends::AwsTraceHeader, value);
    }
    call.send().await.unwrap();
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// As X-Ray writes the place of a span.
fn xray(taken: &Taken) -> String {
    let trace = hex(&taken.span.trace_id);
    let (time, unique) = trace.split_at(8);
    format!("Root=1-{time}-{unique};Parent={};Sampled=1", hex(&taken.span.span_id))
}

fn assert_below(child: &Taken, parent: &Taken) {
    let (child, parent) = (&child.span, &parent.span);
    assert_eq!((&child.trace_id, &child.parent_span_id), (&parent.trace_id, &parent.span_id), "{}", child.name);
    assert!(parent.start_time_unix_nano <= child.start_time_unix_nano, "{} begins before its parent", child.name);
    assert!(child.end_time_unix_nano <= parent.end_time_unix_nano, "{} ends after its parent", child.name);
}

#[track_caller]
fn assert_attributes(taken: &Taken, expected: &[(&str, &str)]) {
    for (name, value) in expected {
        assert_eq!(taken.attribute(name), *value, "{name} of {:?}", taken.span);
    }
}

#[tokio::test]
async fn a_batch_is_a_trace_with_links_to_its_producers_over_either_protocol() {
    for protocol in [Protocol::Http, Protocol::Grpc] {
        let collector = Collector::start(protocol, None).await;
        let config = format!(
            "{IN_MEMORY}\n[traces]\nendpoint = \"{}\"\nprotocol = \"{}\"\nservice_name = \"orders-worker\"\n\
             resource_attributes = {{ \"deployment.environment.name\" = \"test\" }}\n\
             headers = {{ X-Team = \"a\", authorization = {{ from_env = \"TRACES_TOKEN\" }} }}\n",
            collector.endpoint(),
            protocol.name()
        ) + &queue("q", "")
            + &function("f", "faulty", "")
            + &mapping("q", "f", "batch_size = 10\nmaximum_batching_window_in_seconds = 1");
        let worker = Home::new()
            .run_as(&config, |command| {
                command.env("TRACES_TOKEN", "Bearer t0ken");
            })
            .await;
        let sqs = worker.sqs();
        let look = json!({"do": "context"}).to_string();
        send(&sqs, "q", &look, &[], Some(HEADER)).await;
        send(&sqs, "q", &look, &[("traceparent", PARENT), ("tracestate", "vendor=v")], None).await;
        send(&sqs, "q", &json!({"do": "fail"}).to_string(), &[("traceparent", "rubbish")], None).await;

        let batch = collector.wait_for(PATIENCE, "process q", 1).await.remove(0);
        let [window, invocation, settling] = ["receive q", "invoke f", "settle q"]
            .map(|name| collector.taken().into_iter().find(|taken| taken.span.name == name).unwrap());
        for child in [&window, &invocation, &settling] {
            assert_below(child, &batch);
        }
        let kinds = [&batch, &window, &invocation, &settling].map(|taken| taken.span.kind);
        assert_eq!(kinds, [CONSUMER, CLIENT, INTERNAL, CLIENT]);
        assert_eq!((&batch.span.parent_span_id[..], &batch.span.status), (&[][..], &Some(Default::default())));
        let messaging =
            [("messaging.system", "aws_sqs"), ("messaging.destination.name", "q"), ("wasmill.mapping", "q/f")];
        for (taken, operation) in [(&batch, "process"), (&window, "receive"), (&settling, "settle")] {
            assert_attributes(taken, &messaging);
            assert_attributes(
                taken,
                &[("messaging.operation.type", operation), ("messaging.operation.name", operation)],
            );
        }
        assert_attributes(
            &batch,
            &[("messaging.batch.message_count", "3"), ("wasmill.records.done", "2"), ("wasmill.records.retry", "1")],
        );
        assert_attributes(&settling, &[("wasmill.settle.deleted", "2"), ("wasmill.settle.returned", "1")]);
        assert_attributes(
            &invocation,
            &[
                ("faas.name", "f"),
                ("faas.version", "$LATEST"),
                ("faas.trigger", "pubsub"),
                ("messaging.batch.message_count", "3"),
            ],
        );
        let mut links: Vec<String> = batch
            .span
            .links
            .iter()
            .map(|link| format!("{} {} {:?}", hex(&link.trace_id), hex(&link.span_id), link.trace_state))
            .collect();
        links.sort();
        assert_eq!(
            links,
            [
                "4bf92f3577b34da6a3ce929d0e0e4736 00f067aa0ba902b7 \"vendor=v\"",
                "5759e988bd862e3fe1be46a994272793 53995c3f42cd8ad8 \"\""
            ]
        );
        // What the handler saw is its own span.
        let (request, context) = worker.log().said_by_request("f").pop_first().unwrap();
        assert_eq!(invocation.attribute("faas.invocation_id"), request);
        assert!(context.contains(&format!("\"traceId\":\"{}\"", xray(&invocation))), "{context}");
        let resource = &batch.resource;
        for (name, value) in [
            ("service.name", "orders-worker"),
            ("deployment.environment.name", "test"),
            ("telemetry.sdk.language", "rust"),
        ] {
            assert_eq!(resource.get(name).map(String::as_str), Some(value), "{resource:?}");
        }
        assert_eq!(batch.headers.get("authorization").map(String::as_str), Some("Bearer t0ken"));
        assert_eq!(batch.headers.get("x-team").map(String::as_str), Some("a"));
        let path = if protocol == Protocol::Http {
            "/v1/traces"
        } else {
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
        };
        assert_eq!(batch.headers[":path"], path);
        let log = worker.stop().await;
        assert!(log.pick(|line| line.text.contains("t0ken")).is_empty(), "{}", log.end());
    }
}

#[tokio::test]
async fn a_handler_that_crashes_has_a_span_for_each_run() {
    let collector = Collector::start(Protocol::Http, None).await;
    let config = format!("{IN_MEMORY}\n[traces]\nendpoint = \"{}\"\n", collector.endpoint())
        + &queue("q", "visibility_timeout = 300")
        + &function("f", "faulty", "")
        + &mapping("q", "f", "batch_size = 10\nmaximum_batching_window_in_seconds = 1");
    let worker = Wasmill::start(&config).await;
    let bodies = ["echo_to_log", "trap", "echo_to_log"].map(|word| json!({ "do": word }).to_string());
    worker.sqs().send_batch("q", &bodies).await;
    let batch = collector.wait_for(PATIENCE, "process q", 1).await.remove(0);
    assert_attributes(&batch, &[("error.type", "trap"), ("wasmill.records.done", "2"), ("wasmill.records.retry", "1")]);
    let mut runs: Vec<Taken> = collector.taken().into_iter().filter(|taken| taken.span.name == "invoke f").collect();
    runs.sort_by_key(|taken| taken.span.start_time_unix_nano);
    let steps: Vec<[String; 3]> = runs
        .iter()
        .map(|run| {
            ["wasmill.bisect.step", "messaging.batch.message_count", "error.type"].map(|name| run.attribute(name))
        })
        .collect();
    let expected = [["", "3", "trap"], ["1", "1", ""], ["2", "1", "trap"], ["3", "1", ""]];
    assert_eq!(steps, expected.map(|step| step.map(str::to_owned)));
    let codes: Vec<i32> = runs.iter().map(|run| run.span.status.as_ref().map_or(0, |status| status.code)).collect();
    assert_eq!(codes, [ERROR, 0, ERROR, 0]);
    runs.iter().for_each(|run| assert_below(run, &batch));
    worker.stop().await;
}

/// A server that notes the head of each request, and answers that all is well.
fn noting() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&heads);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read > 0) {
                head.push(byte[0]);
            }
            seen.lock().unwrap().push(String::from_utf8(head).unwrap().to_ascii_lowercase());
            // The client may be gone.
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
        }
    });
    (address, heads)
}

#[tokio::test]
async fn what_a_handler_asks_of_others_is_in_the_trace_and_they_are_told_of_it() {
    let Some(runtimes) = places::runtimes() else { return };
    let (server, heads) = noting();
    let collector = Collector::start(Protocol::Http, None).await;
    let home = Home::new();
    compile_once(&home, Some(&runtimes));
    let mut config =
        format!("runtimes_dir = {runtimes:?}\n{IN_MEMORY}\n[traces]\nendpoint = \"{}\"\n", collector.endpoint());
    for language in ["py", "mjs"] {
        let keys = format!("timeout = 30\nenvironment = {{ SECRET = \"s\" }}\nallowed_hosts = [\"http://{server}\"]");
        config += &(queue(language, "") + &file_function(language, &acts(language), &keys));
        config += &mapping(language, language, "batch_size = 1");
    }
    let worker = home.run(&config).await;
    for language in ["py", "mjs"] {
        let sqs = worker.sqs();
        let fetch = json!({"do": "fetch", "url": format!("http://{server}/path/s3cret?token=s3cret")}).to_string();
        send(&sqs, language, &fetch, &[("traceparent", PARENT)], None).await;
        let batch = collector.wait_for(PATIENCE, &format!("process {language}"), 1).await.remove(0);
        // A batch of one goes on with its message's trace.
        assert_eq!(hex(&batch.span.trace_id), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!((hex(&batch.span.parent_span_id), batch.span.links.len()), ("00f067aa0ba902b7".to_owned(), 1));
        let taken = collector.taken();
        let of_trace = |name: &str| taken.iter().rfind(|taken| taken.span.name == name).unwrap();
        let (invocation, request) = (of_trace(&format!("invoke {language}")), of_trace("GET"));
        assert_below(request, invocation);
        assert_eq!(request.span.kind, CLIENT);
        let port = server.port().to_string();
        assert_attributes(
            request,
            &[
                ("http.request.method", "GET"),
                ("server.address", "127.0.0.1"),
                ("server.port", &port),
                ("http.response.status_code", "200"),
            ],
        );
        assert!(!format!("{request:?}").contains("s3cret"));
        let head = heads.lock().unwrap().pop().unwrap();
        let expected =
            format!("traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-{}-01\r\n", hex(&request.span.span_id));
        assert!(head.contains(&expected), "{head} lacks {expected}");

        send(&sqs, language, &json!({"do": "trace"}).to_string(), &[], None).await;
        let invocation = collector.wait_for(PATIENCE, &format!("invoke {language}"), 2).await.remove(1);
        let said = worker.log().said_by(language);
        let expected = format!("trace {}", xray(&invocation));
        assert!(said.iter().any(|line| line.message().ends_with(&expected)), "no {expected:?} in {said:?}");
    }
    worker.stop().await;
}

/// A certificate for localhost, and in PEM that of the authority that signed it.
fn certificate() -> (ServerConfig, String) {
    use base64::Engine as _;
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder().with_no_client_auth();
    let text = base64::engine::general_purpose::STANDARD.encode(authority.der());
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"));
    (config.with_single_cert(vec![certificate.der().clone()], key).unwrap(), pem)
}

#[tokio::test]
async fn a_collector_with_a_certificate_is_reached_by_tls_if_its_authority_is_known() {
    // The first to install one wins; all are the same.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    for protocol in [Protocol::Http, Protocol::Grpc] {
        let (tls, authority) = certificate();
        let collector = Collector::start(protocol, Some(tls)).await;
        let config = format!(
            "{IN_MEMORY}\n[traces]\nendpoint = \"{}\"\nprotocol = \"{}\"\ntimeout_seconds = 2\n",
            collector.endpoint(),
            protocol.name()
        ) + &queue("q", "")
            + &function("f", "faulty", "")
            + &mapping("q", "f", "");
        for is_known in [true, false] {
            let home = Home::new();
            let certificates =
                home.write("certificates.pem", if is_known { authority.clone() } else { certificate().1 });
            let worker = home
                .run_as(&config, |command| {
                    command.env("SSL_CERT_FILE", &certificates).env_remove("SSL_CERT_DIR");
                })
                .await;
            worker.sqs().send("q", "{}").await;
            if is_known {
                collector.wait_for(PATIENCE, "process q", 1).await;
            } else {
                let said = worker.log().wait_for_event(PATIENCE, "spans are lost").await;
                assert!(said.field("reason").to_lowercase().contains("certificate"), "{}", said.text);
            }
            worker.stop().await;
        }
        assert_eq!(collector.taken().iter().filter(|taken| taken.span.name == "process q").count(), 1);
    }
}

#[tokio::test]
async fn the_standards_variables_turn_traces_on_and_off() {
    let collector = Collector::start(Protocol::Grpc, None).await;
    let config = IN_MEMORY.to_owned() + &queue("q", "") + &function("f", "faulty", "") + &mapping("q", "f", "");
    let variables = BTreeMap::from([
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc".to_owned()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20t0ken".to_owned()),
        ("OTEL_SERVICE_NAME", "of-env".to_owned()),
        ("OTEL_RESOURCE_ATTRIBUTES", "team=a%20b,service.name=overruled".to_owned()),
        ("OTEL_PROPAGATORS", "b3".to_owned()),
    ]);
    for (disabled, sampler) in
        [("", "parentbased_always_on"), ("true", "always_on"), ("false", "parentbased_always_off")]
    {
        let worker = Home::new()
            .run_as(&config, |command| {
                command.envs(&variables).env("OTEL_SDK_DISABLED", disabled).env("OTEL_TRACES_SAMPLER", sampler);
            })
            .await;
        worker.sqs().send("q", &json!({"do": "context"}).to_string()).await;
        eventually(PATIENCE, async || {
            let has_said = worker.log().said_by("f").len() == 1;
            holds(has_said, || "the handler has said nothing".to_owned())
        })
        .await;
        if disabled.is_empty() {
            let batch = collector.wait_for(PATIENCE, "process q", 1).await.remove(0);
            assert_eq!(batch.resource.get("service.name").map(String::as_str), Some("of-env"));
            assert_eq!(batch.resource.get("team").map(String::as_str), Some("a b"));
            assert_eq!(batch.headers.get("authorization").map(String::as_str), Some("Bearer t0ken"));
        }
        let passed_over = worker.log().events("it has no effect on wasmill").len();
        let is_on = usize::from(disabled != "true");
        assert_eq!((worker.log().events("traces are exported").len(), passed_over), (is_on, is_on));
        let log = worker.stop().await;
        assert!(log.pick(|line| line.text.contains("t0ken")).is_empty(), "{}", log.end());
    }
    assert_eq!(collector.taken().iter().filter(|taken| taken.span.name == "process q").count(), 1);
}

/// A listener that takes connections and says nothing.
fn silent() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let streams: Vec<_> = listener.incoming().collect();
        drop(streams);
    });
    address
}

/// An address at which nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn a_collector_that_is_away_or_hangs_costs_spans_and_nothing_else() {
    const MESSAGES: usize = 1000;
    for (collector, protocol) in
        [(nobody(), Protocol::Http), (nobody(), Protocol::Grpc), (silent(), Protocol::Http), (silent(), Protocol::Grpc)]
    {
        let config = format!(
            "drain_grace_seconds = 3\n{IN_MEMORY}\n[traces]\nendpoint = \"http://{collector}\"\nprotocol = \"{}\"\n\
             timeout_seconds = 60\nmax_queued_spans = 100\n",
            protocol.name()
        ) + &queue("q", "")
            + &function("f", "faulty", "")
            + &mapping("q", "f", "batch_size = 1");
        let mut worker = Wasmill::start(&config).await;
        let sqs = worker.sqs();
        let bodies = vec!["{}".to_owned(); 10];
        for _ in 0..MESSAGES / 10 {
            sqs.send_batch("q", &bodies).await;
        }
        sqs.wait_for_counts(PATIENCE, "q", Counts::EMPTY).await;
        let done = worker.metric("wasmill_mapping_verdicts_total", &[("verdict", "done")]).await;
        assert!((done - MESSAGES as f64).abs() < 1e-9, "{done}");
        let dropped = worker.metric("wasmill_traces_dropped_spans_total", &[]).await;
        // Three spans of each message, of which 100 wait and as many are on their way.
        assert!(dropped >= (3 * MESSAGES - 200) as f64, "{dropped} spans were dropped");
        assert_eq!(worker.metric("wasmill_traces_exported_spans_total", &[]).await, 0.0);
        let asked = Instant::now();
        worker.signal(Signal::TERM);
        assert_eq!(worker.wait_exit(PATIENCE).await.code(), Some(0));
        assert!(asked.elapsed() < Duration::from_secs(6), "it took {:?}", asked.elapsed());
        let said =
            worker.log().pick(|line| line.text.contains("collector of traces") || line.text.contains("spans are lost"));
        assert!((1..=3).contains(&said.len()), "{said:?}");
    }
}
