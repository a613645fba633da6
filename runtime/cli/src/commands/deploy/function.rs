//! A function behind Lambda's API, as deploying and stepping back see it.

use std::time::{Duration, Instant};

use axum::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::commands::lambda_client::LambdaClient;
use crate::error::CliError;

const LATEST: &str = "$LATEST";
/// Lambda wants a role, and here it is for nothing.
const ROLE: &str = "arn:aws:iam::000000000000:role/wasmill";
/// Between two looks at a function that is being compiled.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// A Python runtime may have to be compiled, on a busy machine.
const COMPILE_PATIENCE: Duration = Duration::from_secs(300);
/// The tag that says which version `$LATEST` is, for `rollback`.
const DEPLOYED: &str = "wasmill:deployed";

/// One function at an endpoint.
#[derive(Debug)]
pub(in crate::commands) struct Function {
    client: LambdaClient,
    pub(in crate::commands) name: String,
}

/// An alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::commands) struct Alias {
    pub(in crate::commands) version: String,
    /// Whether a second version has a share.
    pub(in crate::commands) is_weighted: bool,
}

impl Function {
    pub(in crate::commands) async fn new(endpoint_url: &str, name: &str) -> Result<Self, CliError> {
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if !is_name {
            return Err(CliError::usage(format!("{name:?} is no function's bare name"))
                .with_mend("write letters, digits, - and _; an alias is named with --alias"));
        }
        Ok(Self { client: LambdaClient::new(endpoint_url).await?, name: name.to_owned() })
    }

    fn path(&self, rest: &str) -> String {
        format!("/2015-03-31/functions/{}{rest}", self.name)
    }

    /// Its configuration; none when there is no such function.
    pub(in crate::commands) async fn configuration(&self) -> Result<Option<Value>, CliError> {
        match self.client.call(Method::GET, &self.path("/configuration"), None).await? {
            Ok(configuration) => Ok(Some(configuration)),
            Err(refused) if refused.is_not_found() => Ok(None),
            Err(refused) => Err(self.client.refusal(&refused)),
        }
    }

    /// Makes it.
    pub(super) async fn create(&self, code: &[u8], settings: Map<String, Value>) -> Result<(), CliError> {
        let mut body = settings;
        body.insert("FunctionName".to_owned(), json!(self.name));
        body.insert("Role".to_owned(), json!(ROLE));
        body.insert("Code".to_owned(), json!({"ZipFile": STANDARD.encode(code)}));
        let path = "/2015-03-31/functions";
        self.client.demand(Method::POST, path, Some(&Value::Object(body))).await?;
        Ok(())
    }

    /// Replaces the code, and the settings that it needs with it.
    pub(in crate::commands) async fn update_code(
        &self,
        code: &[u8],
        settings: Map<String, Value>,
    ) -> Result<(), CliError> {
        let mut body = settings;
        body.insert("ZipFile".to_owned(), json!(STANDARD.encode(code)));
        self.client.demand(Method::PUT, &self.path("/code"), Some(&Value::Object(body))).await?;
        Ok(())
    }

    /// Waits until nothing of it is being compiled. The error says why it was not taken.
    pub(in crate::commands) async fn settled(&self) -> Result<(), CliError> {
        let begun = Instant::now();
        loop {
            let found = self.configuration().await?;
            let found = found.ok_or_else(|| CliError::failure(format!("function {} is gone", self.name)))?;
            let text = |name: &str| found.get(name).and_then(Value::as_str).unwrap_or_default();
            let failed = |reason: &str, what: &str| {
                Err(CliError::config(format!("{what}: {reason}")).at(format!("function {}", self.name)))
            };
            match (text("State"), text("LastUpdateStatus")) {
                ("Failed", _) => return failed(text("StateReason"), "it cannot run"),
                ("Active", "Failed") => {
                    let what = "not deployed, and what ran before still runs";
                    return failed(text("LastUpdateStatusReason"), what);
                }
                ("Active", "InProgress") | ("Pending", _) if begun.elapsed() < COMPILE_PATIENCE => {}
                ("Active", "InProgress") | ("Pending", _) => {
                    let what = format!("it is still being compiled after {} s", COMPILE_PATIENCE.as_secs());
                    return Err(CliError::unavailable(what).at(format!("function {}", self.name)));
                }
                _ => return Ok(()),
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Publishes what `$LATEST` is; gives the version, which is an older one if nothing has changed since.
    pub(super) async fn publish(&self) -> Result<String, CliError> {
        let published = self.client.demand(Method::POST, &self.path("/versions"), Some(&json!({}))).await?;
        text(&published, "Version")
    }

    /// All versions with a number, the oldest first.
    pub(in crate::commands) async fn versions(&self) -> Result<Vec<Value>, CliError> {
        let mut versions: Vec<Value> = Vec::new();
        let mut marker = String::new();
        loop {
            let page = self.client.demand(Method::GET, &self.path(&format!("/versions{marker}")), None).await?;
            let listed = page.get("Versions").and_then(Value::as_array).into_iter().flatten();
            versions.extend(listed.filter(|one| one["Version"] != LATEST).cloned());
            match page.get("NextMarker").and_then(Value::as_str).filter(|marker| !marker.is_empty()) {
                Some(next) => marker = format!("?Marker={next}"),
                None => break,
            }
        }
        versions.sort_by_key(number);
        Ok(versions)
    }

    /// The code of a version, as it was uploaded.
    pub(in crate::commands) async fn code_of(&self, version: &str) -> Result<Vec<u8>, CliError> {
        let found = self.client.demand(Method::GET, &self.path(&format!("?Qualifier={version}")), None).await?;
        let location = found["Code"]["Location"].as_str().unwrap_or_default().to_owned();
        self.client.download(&location).await
    }

    /// An alias, if it is there.
    pub(in crate::commands) async fn alias(&self, name: &str) -> Result<Option<Alias>, CliError> {
        match self.client.call(Method::GET, &self.path(&format!("/aliases/{name}")), None).await? {
            Ok(alias) => {
                let weights = alias.pointer("/RoutingConfig/AdditionalVersionWeights").and_then(Value::as_object);
                let is_weighted = weights.is_some_and(|weights| !weights.is_empty());
                Ok(Some(Alias { version: text(&alias, "FunctionVersion")?, is_weighted }))
            }
            Err(refused) if refused.is_not_found() => Ok(None),
            Err(refused) => Err(self.client.refusal(&refused)),
        }
    }

    pub(super) async fn create_alias(&self, name: &str, version: &str) -> Result<(), CliError> {
        let body = json!({"Name": name, "FunctionVersion": version});
        self.client.demand(Method::POST, &self.path("/aliases"), Some(&body)).await?;
        Ok(())
    }

    /// Leads an alias to a version, and with `also` by its share to another one.
    pub(in crate::commands) async fn lead_alias(
        &self,
        name: &str,
        version: &str,
        also: Option<(&str, f64)>,
    ) -> Result<(), CliError> {
        let weights: Map<String, Value> =
            also.into_iter().map(|(other, share)| (other.to_owned(), json!(share))).collect();
        let body = json!({"FunctionVersion": version, "RoutingConfig": {"AdditionalVersionWeights": weights}});
        self.client.demand(Method::PUT, &self.path(&format!("/aliases/{name}")), Some(&body)).await?;
        Ok(())
    }

    /// Leads the mappings that name the function alone to one of its aliases; says how many those were.
    pub(super) async fn move_mappings(&self, alias: &str) -> Result<usize, CliError> {
        let path = format!("/2015-03-31/event-source-mappings?FunctionName={}", self.name);
        let listed = self.client.demand(Method::GET, &path, None).await?;
        let mut moved = 0;
        for mapping in listed.get("EventSourceMappings").and_then(Value::as_array).into_iter().flatten() {
            let arn = mapping["FunctionArn"].as_str().unwrap_or_default();
            let ends = [format!(":function:{}", self.name), format!(":function:{}:{LATEST}", self.name)];
            if !ends.iter().any(|end| arn.ends_with(end.as_str())) {
                continue;
            }
            let uuid = text(mapping, "UUID")?;
            let path = format!("/2015-03-31/event-source-mappings/{uuid}");
            let body = json!({"FunctionName": format!("{}:{alias}", self.name)});
            self.client.demand(Method::PUT, &path, Some(&body)).await?;
            moved += 1;
            self.at_rest(&path).await?;
        }
        Ok(moved)
    }

    /// Waits until a mapping is in force.
    async fn at_rest(&self, path: &str) -> Result<(), CliError> {
        let begun = Instant::now();
        loop {
            let mapping = self.client.demand(Method::GET, path, None).await?;
            if matches!(mapping["State"].as_str(), Some("Enabled" | "Disabled")) || begun.elapsed() > COMPILE_PATIENCE {
                return Ok(());
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    fn tags_path(arn: &str) -> String {
        format!("/2017-03-31/tags/{}", arn.replace(':', "%3A"))
    }

    /// The function's bare ARN.
    async fn arn(&self) -> Result<String, CliError> {
        let found = self.client.demand(Method::GET, &self.path("/configuration"), None).await?;
        text(&found, "FunctionArn")
    }

    /// Sets a tag, or takes it away.
    pub(in crate::commands) async fn tag(&self, name: &str, value: Option<&str>) -> Result<(), CliError> {
        let path = Self::tags_path(&self.arn().await?);
        match value {
            Some(value) => {
                let body = json!({"Tags": {name: value}});
                self.client.demand(Method::POST, &path, Some(&body)).await?;
            }
            None => {
                let path = format!("{path}?tagKeys={}", name.replace(':', "%3A"));
                self.client.demand(Method::DELETE, &path, None).await?;
            }
        }
        Ok(())
    }

    /// Notes which version `$LATEST` is.
    pub(in crate::commands) async fn note_deployed(&self, version: &str) -> Result<(), CliError> {
        self.tag(DEPLOYED, Some(version)).await
    }

    /// Which version `$LATEST` was noted to be.
    pub(in crate::commands) async fn noted(&self) -> Result<Option<String>, CliError> {
        let tags = self.client.demand(Method::GET, &Self::tags_path(&self.arn().await?), None).await?;
        Ok(tags["Tags"][DEPLOYED].as_str().map(str::to_owned))
    }
}

/// The number of a version in a listing.
pub(in crate::commands) fn number(version: &Value) -> u64 {
    version["Version"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn text(value: &Value, name: &str) -> Result<String, CliError> {
    let found = value.get(name).and_then(Value::as_str).map(str::to_owned);
    found.ok_or_else(|| CliError::unavailable(format!("Lambda's API answers without {name}")))
}
