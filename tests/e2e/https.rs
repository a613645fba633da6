//! Handlers over HTTPS, in Python and JavaScript: TLS is wasmill's, with the machine's certificates, and a redirect is one more request.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;
use support::config::{IN_MEMORY, mapping, queue};
use support::{Home, Wasmill, eventually, places};

use crate::languages::{acts, compile_once, file_function};

const PATIENCE: Duration = Duration::from_secs(60);

/// A certificate authority that nobody knows.
fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A server for `name`, certified by that authority, that answers each request with its first line; to `/away` it answers that it is
/// at `elsewhere`.
fn server(authority: &CertifiedIssuer<'static, KeyPair>, name: &str, elsewhere: &str) -> SocketAddr {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, authority).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder().with_no_client_auth();
    let config = Arc::new(config.with_single_cert(vec![certificate.der().clone()], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let elsewhere = elsewhere.to_owned();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream.unwrap());
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read > 0) {
                head.push(byte[0]);
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            let answer = if head.starts_with("GET /away") {
                format!("HTTP/1.1 302 Found\r\nLocation: {elsewhere}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            } else {
                let body = format!("hello from {}", head.split(" HTTP").next().unwrap_or_default());
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
            };
            // The client may be gone, or may never have been one.
            let _ = stream.write_all(answer.as_bytes());
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    address
}

/// The certificate as files of certificates have it.
fn write_pem(authority: &CertifiedIssuer<'static, KeyPair>, path: &Path) {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(authority.der());
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"));
    std::fs::write(path, pem).unwrap();
}

async fn wait_for_said(worker: &Wasmill, function: &str, part: &str, times: usize) {
    eventually(PATIENCE, async || {
        let lines = worker.log().said_by(function);
        let seen = lines.iter().filter(|line| line.message().contains(part)).count();
        if seen == times { Ok(()) } else { Err(format!("{function} said {part:?} {seen} times, not {times}")) }
    })
    .await;
}

#[tokio::test]
async fn a_certificate_counts_when_its_authority_is_known_and_its_name_is_right() {
    let Some(runtimes) = places::runtimes() else { return };
    // The first to install one wins; all are the same.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (known, unknown) = (authority(), authority());
    let denied = server(&known, "localhost", "");
    let good = server(&known, "localhost", &format!("https://localhost:{}/denied", denied.port()));
    let stranger = server(&unknown, "localhost", "");
    let misnamed = server(&known, "another.example", "");
    let home = Home::new();
    compile_once(&home, Some(&runtimes));
    let certificates = home.path().join("certificates.pem");
    write_pem(&known, &certificates);
    let allowed: Vec<String> =
        [good, stranger, misnamed].iter().map(|server| format!("\"https://localhost:{}\"", server.port())).collect();
    let mut config = format!("runtimes_dir = {runtimes:?}\n{IN_MEMORY}");
    for language in ["py", "mjs"] {
        let keys =
            format!("timeout = 30\nenvironment = {{ SECRET = \"s\" }}\nallowed_hosts = [{}]", allowed.join(", "));
        config += &(queue(language, "") + &file_function(language, &acts(language), &keys));
        config += &mapping(language, language, "");
    }
    let worker = home
        .run_as(&config, |command| {
            command.env("SSL_CERT_FILE", &certificates).env_remove("SSL_CERT_DIR");
        })
        .await;
    let sqs = worker.sqs();
    let fetch = |server: SocketAddr, path: &str| {
        json!({"do": "fetch", "url": format!("https://localhost:{}{path}", server.port())}).to_string()
    };
    for language in ["py", "mjs"] {
        sqs.send(language, &fetch(good, "/x")).await;
        wait_for_said(&worker, language, "fetched 200 hello from GET /x", 1).await;
        for (refused, server) in [(1, stranger), (2, misnamed)] {
            sqs.send(language, &fetch(server, "/y")).await;
            wait_for_said(&worker, language, "not fetched: ", refused).await;
        }
        // The handler's library follows the redirect, to where the function may not go.
        sqs.send(language, &fetch(good, "/away")).await;
        wait_for_said(&worker, language, "not fetched: ", 3).await;
        assert!(worker.log().said_by(language).iter().all(|line| !line.message().contains("/denied")));
    }
    let refusals = worker.log().events("is not among the function's allowed_hosts");
    assert!(refusals.len() >= 2, "{}", worker.log().end());
    worker.stop().await;
}
