//! Is `charges.py` idempotent? `wasmill dev` runs it on a queue that delivers twice, out of order, and again after a delete, and
//! whose time the tests skip. What language the handler is in does not matter, and nothing but `std` is needed:
//!
//! ```sh
//! cd handlers/testing && cargo test
//! ```
//!
//! `WASMILL` names the binary where it is not on the PATH.

use std::collections::BTreeSet;
use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

/// What the payment service has seen.
#[derive(Default)]
struct Payments {
    requests: usize,
    /// So many of the next requests fail.
    away: usize,
    keys: BTreeSet<String>,
    charged: Vec<String>,
}

impl Payments {
    /// A payment service that charges once per idempotency key; and its port.
    fn start() -> (Arc<Mutex<Self>>, u16) {
        let payments = Arc::new(Mutex::new(Self::default()));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::clone(&payments);
        thread::spawn(move || {
            for stream in listener.incoming() {
                shared.lock().unwrap().answer(stream.unwrap());
            }
        });
        (payments, port)
    }

    fn answer(&mut self, mut stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let (mut key, mut length) = (String::new(), 0);
        for line in reader.by_ref().lines().map(Result::unwrap).take_while(|line| !line.is_empty()) {
            match line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value)) {
                Some((name, value)) if name == "idempotency-key" => key = value.to_owned(),
                Some((name, value)) if name == "content-length" => length = value.parse().unwrap(),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        self.requests += 1;
        let status = if self.away > 0 {
            self.away -= 1;
            "503 Service Unavailable"
        } else {
            if self.keys.insert(key) {
                let body = String::from_utf8(body).unwrap();
                self.charged.push(body.split('"').nth(3).unwrap().to_owned());
            }
            "200 OK"
        };
        write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
    }
}

/// A running `wasmill dev`.
struct Dev {
    process: Child,
    endpoint: String,
    admin: String,
    data: PathBuf,
}

fn wasmill() -> Command {
    Command::new(env::var_os("WASMILL").unwrap_or_else(|| "wasmill".into()))
}

impl Dev {
    fn start(name: &str, payments_port: u16, flags: &[&str]) -> Self {
        let data = env::temp_dir().join(format!("charges-{name}-{}", std::process::id()));
        let payments = format!("http://localhost:{payments_port}");
        let mut command = wasmill();
        command.args(["dev", concat!(env!("CARGO_MANIFEST_DIR"), "/charges.py"), "--time-control"]).args(flags);
        command.arg("--data-dir").arg(&data).args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
        command.args(["--allow-host", &payments, "--env", &format!("PAYMENTS_URL={payments}")]);
        let mut process = command.stdout(Stdio::piped()).spawn().expect("wasmill starts");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut said = |what: &str| {
            let found = lines.find_map(|line| Some(line.split_once(what)?.1.to_owned()));
            let rest = found.unwrap_or_else(|| panic!("wasmill dev ended before it said {what:?}"));
            rest.trim().trim_end_matches(", any credentials").to_owned()
        };
        let (endpoint, admin) = (said("endpoint http://"), said("metrics, health     http://"));
        thread::spawn(move || lines.for_each(drop));
        Self { process, endpoint, admin, data }
    }

    fn send(&self, order: &str) {
        let body = format!(r#"{{"id":"{order}","cents":250}}"#);
        let endpoint = format!("http://{}", self.endpoint);
        let sent = wasmill().args(["queue", "send", "charges", &body, "--endpoint-url", &endpoint]).output().unwrap();
        assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.admin).unwrap();
        let (host, length) = (&self.admin, body.len());
        let head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {length}");
        write!(stream, "{head}\r\n\r\n{body}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answer
    }

    /// Lets time pass: when it returns, all that fell due has happened, and the handler has run.
    fn skip(&self, body: &str) {
        let answer = self.ask("POST", "/api/time/advance", body);
        assert!(answer.contains(r#""settled":true"#), "{answer}");
    }

    /// Whether the queue has no message, in whatever state.
    fn is_empty(&self, queue: &str) -> bool {
        let shown = self.ask("GET", &format!("/api/queues/{queue}"), "");
        ["visible", "in_flight", "delayed"].iter().all(|state| shown.contains(&format!("\"{state}\":0")))
    }

    /// How often chaos has injected a fault.
    fn faults(&self, fault: &str) -> usize {
        let label = format!("wasmill_chaos_faults_total{{fault=\"{fault}\"");
        let metrics = self.ask("GET", "/metrics", "");
        let counts = metrics.lines().filter(|line| line.starts_with(&label));
        counts.map(|line| line.rsplit(' ').next().unwrap().parse::<usize>().unwrap()).sum()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.data);
    }
}

#[test]
fn each_order_is_charged_once_although_messages_come_twice() {
    let (payments, port) = Payments::start();
    let dev = Dev::start("twice", port, &["--chaos", "seed=7,duplicate=20%,reorder=20%,lost_ack=20%"]);
    let orders: Vec<String> = (0..20).map(|n| format!("o-{n}")).collect();
    orders.iter().for_each(|order| dev.send(order));
    dev.skip(r#"{"seconds": 86400, "until": "idle"}"#);
    let payments = payments.lock().unwrap();
    let mut charged = payments.charged.clone();
    charged.sort_by_key(|order| order[2..].parse::<u32>().unwrap());
    assert_eq!(charged, orders);
    assert!(dev.is_empty("charges") && dev.is_empty("charges-dlq"));
    // Or the queue was too kind for this to say anything.
    let (duplicate, lost_ack) = (dev.faults("duplicate"), dev.faults("lost_ack"));
    assert!(duplicate > 0 && lost_ack > 0);
    assert!(payments.requests >= orders.len() + duplicate + lost_ack);
}

#[test]
fn an_order_is_charged_when_the_service_is_back() {
    let (payments, port) = Payments::start();
    payments.lock().unwrap().away = 1;
    let dev = Dev::start("back", port, &[]);
    dev.send("o-1");
    dev.skip(r#"{"seconds": 5}"#);
    assert!(payments.lock().unwrap().charged.is_empty() && !dev.is_empty("charges"));
    // Ten seconds is the visibility timeout in `wasmill dev`.
    dev.skip(r#"{"seconds": 5}"#);
    assert_eq!(payments.lock().unwrap().charged, ["o-1"]);
    assert!(dev.is_empty("charges"));
}
