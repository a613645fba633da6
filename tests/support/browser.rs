//! A headless Chromium, driven over WebDriver: what a person sees and does on a page.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::clients::Client;
use crate::http::exchange;
use crate::wait::eventually;
use crate::worker::lasting_port;

const START_MAX: Duration = Duration::from_secs(60);
const QUIT_MAX: Duration = Duration::from_secs(10);

/// A running one with one page. Dropping it ends it.
#[derive(Debug)]
pub struct Browser {
    address: SocketAddr,
    session: String,
    driver: Child,
    _profile: TempDir,
}

impl Browser {
    /// Starts one; none with a line on stderr if the machine does not have it.
    ///
    /// # Panics
    /// When it does not start, or when there is none and `CI=true`.
    pub async fn start(test: &str) -> Option<Self> {
        Self::start_with(test, &[]).await
    }

    /// Starts one with more arguments on its command line.
    ///
    /// # Panics
    /// When it does not start, or when there is none and `CI=true`.
    pub async fn start_with(test: &str, more: &[&str]) -> Option<Self> {
        let chromium = PathBuf::from(Client::Chromium.program(test)?.get_program());
        let mut command = Client::Chromedriver.program(test)?;
        let profile = tempfile::Builder::new().prefix("wasmill-chromium-").tempdir().unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, lasting_port()));
        command
            .arg(format!("--port={}", address.port()))
            .env("LD_LIBRARY_PATH", std::env::join_paths(library_folders(&chromium)).unwrap())
            .env("HOME", profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut browser = Self { address, session: String::new(), driver: command.spawn().unwrap(), _profile: profile };
        eventually(START_MAX, async || browser.ask("GET", "/status", &Value::Null).await).await;
        let usual = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"];
        let arguments = [&usual, more].concat();
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {"binary": chromium, "args": arguments},
        }}});
        let session = browser.ask("POST", "/session", &wanted).await.unwrap();
        browser.session = format!("/session/{}", session["sessionId"].as_str().unwrap());
        Some(browser)
    }

    async fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let body = if method == "GET" { Vec::new() } else { body.to_string().into_bytes() };
        let headers = [("content-type", "application/json")];
        let answer = exchange(self.address, method, path, &headers, &body).await?;
        if answer.status == 200 { Ok(answer.json()["value"].clone()) } else { Err(answer.body) }
    }

    async fn tell(&self, path: &str, body: &Value) -> Value {
        self.ask("POST", &format!("{}{path}", self.session), body).await.unwrap()
    }

    /// Opens a page.
    pub async fn open(&self, url: &str) {
        self.tell("/url", &json!({ "url": url })).await;
    }

    /// Runs a script in the page; gives what it returns.
    pub async fn script(&self, script: &str) -> Value {
        self.tell("/execute/sync", &json!({"script": script, "args": []})).await
    }

    /// Presses keys, one after the other.
    pub async fn press(&self, keys: &str) {
        let strokes = keys.chars().flat_map(|key| {
            let key = key.to_string();
            [json!({"type": "keyDown", "value": key}), json!({"type": "keyUp", "value": key})]
        });
        let strokes: Vec<Value> = strokes.collect();
        self.tell("/actions", &json!({"actions": [{"type": "key", "id": "keys", "actions": strokes}]})).await;
    }

    /// Makes it so wide and high, and light or dark.
    pub async fn look(&self, width: u32, height: u32, scheme: &str) {
        let is_phone = width < 600;
        for (command, parameters) in [
            (
                "Emulation.setDeviceMetricsOverride",
                json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone}),
            ),
            ("Emulation.setEmulatedMedia", json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]})),
        ] {
            self.tell("/goog/cdp/execute", &json!({"cmd": command, "params": parameters})).await;
        }
    }

    /// What went wrong in the page since it was asked last: errors, and what its policy refused.
    pub async fn complaints(&self) -> Vec<String> {
        let log = self.tell("/se/log", &json!({"type": "browser"})).await;
        let severe = log.as_array().unwrap().iter().filter(|entry| entry["level"] == "SEVERE");
        severe.map(|entry| entry["message"].as_str().unwrap().to_owned()).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser first, by the driver: it outlives a driver that is killed.
        if let Ok(mut driver) = TcpStream::connect(self.address) {
            let quit =
                format!("DELETE {} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.session, self.address);
            let _ = driver.set_read_timeout(Some(QUIT_MAX));
            let _ = driver.write_all(quit.as_bytes()).and_then(|()| driver.read(&mut [0; 1024]));
        }
        if let Some(pid) = rustix::process::Pid::from_raw(self.driver.id().cast_signed()) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.driver.wait();
    }
}

/// Where the libraries are that came with it, if it was unpacked and not installed.
fn library_folders(chromium: &Path) -> Vec<PathBuf> {
    let lib = chromium.ancestors().nth(2).unwrap_or(Path::new("/usr/lib"));
    let folders = std::fs::read_dir(lib).into_iter().flatten().flatten().map(|entry| entry.path());
    let of_machine = folders.filter(|path| path.to_string_lossy().ends_with("-linux-gnu"));
    of_machine.flat_map(|folder| [folder.clone(), folder.join("pulseaudio"), folder.join("nss")]).collect()
}
