//! The operations on functions: from a request to what is done and what is answered. What each needs is read beside what it
//! does; here they are only brought together.

use std::collections::BTreeMap;

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::functions::changes::{Publish, Shown};
use crate::functions::code_store::TOTAL_MAX_BYTES;
use crate::functions::downloads::NotThere;
use crate::functions::pages::{self, Page};
use crate::functions::record::CodePlace;
use crate::functions::{Functions, aliases, downloads, policies, request, shown, upload};
use crate::members::{self, Members};
use crate::names::{FunctionRef, LATEST};
use crate::operations::Asked;
use crate::request::named_function;
use crate::response::Reply;

/// AWS's default for an account; here it is what one worker says of itself where clients ask.
const CONCURRENT_EXECUTIONS: u32 = 1000;
const UNPACKED_MAX_BYTES: u64 = 262_144_000;
/// Stands in addresses when a client sends no usable `Host`: the default listener.
const FALLBACK_HOST: &str = "127.0.0.1:9324";
const BINARY: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// A request, as far as it is read for every operation.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) asked: &'a Asked,
    pub(crate) query: &'a str,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) request_id: &'a str,
}

impl Request<'_> {
    /// A parameter of the query; an empty one is none.
    fn parameter(&self, name: &str) -> Option<String> {
        let mut pairs = form_urlencoded::parse(self.query.as_bytes());
        pairs.find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.into_owned())
    }
}

impl Functions {
    /// Answers an operation on functions; none when it is not one of those that there are.
    pub(crate) async fn answer(&self, request: &Request<'_>, body: Bytes) -> Option<Result<Reply, ApiError>> {
        let operation = request.asked.operation;
        Some(match operation {
            "CreateFunction" => self.answer_create(body).await,
            "ListFunctions" => self.answer_list(request),
            "GetAccountSettings" => self.answer_account().await,
            "GetFunction" => self.answer_get(request),
            "GetFunctionConfiguration" => self.answer_configuration(request),
            "ListVersionsByFunction" => self.answer_versions(request),
            "DeleteFunction" => self.answer_delete(request).await,
            "Invoke" => self.answer_invoke(request, body).await,
            "UpdateFunctionCode" | "UpdateFunctionConfiguration" | "PublishVersion" => {
                self.answer_update(request, body).await
            }
            "CreateAlias" | "GetAlias" | "UpdateAlias" | "DeleteAlias" | "ListAliases" => {
                self.answer_alias(request, &body).await
            }
            "PutFunctionConcurrency" | "GetFunctionConcurrency" | "DeleteFunctionConcurrency" => {
                self.answer_concurrency(request, &body).await
            }
            "AddPermission" | "GetPolicy" | "RemovePermission" => self.answer_policy(request, &body).await,
            "GetFunctionCodeSigningConfig"
            | "GetRuntimeManagementConfig"
            | "GetFunctionRecursionConfig"
            | "GetFunctionEventInvokeConfig" => self.answer_fixed(request),
            _ => return None,
        })
    }

    /// The function that the path names, and the qualifier of the name or of the query.
    fn function(&self, request: &Request<'_>) -> Result<FunctionRef, ApiError> {
        let mut function = named_function(request.asked.resource(), &self.inner.identity)?;
        let Some(asked) = request.parameter("Qualifier") else { return Ok(function) };
        let is_made_of = |byte: u8| byte.is_ascii_alphanumeric() || b"$_-".contains(&byte);
        if asked.len() > 128 || !asked.bytes().all(is_made_of) {
            let constraint =
                "Member must satisfy regular expression pattern: \\$(LATEST(\\.PUBLISHED)?)|[a-zA-Z0-9-_$]+";
            let problem = format!("Value '{asked}' at 'qualifier' failed to satisfy constraint: {constraint}");
            return Err(ApiError::Validation(vec![problem]));
        }
        if function.qualifier.as_ref().is_some_and(|derived| *derived != asked) {
            return Err(ApiError::QualifierConflict);
        }
        function.qualifier = Some(asked);
        Ok(function)
    }

    /// A function that the path names alone.
    fn bare(&self, request: &Request<'_>) -> Result<String, ApiError> {
        let function = self.function(request)?;
        match function.qualifier.as_deref() {
            None | Some(LATEST) => Ok(function.name),
            Some(_) => Err(ApiError::FunctionsOnly),
        }
    }

    /// The version that a qualifier leads to now.
    fn shown(&self, function: &FunctionRef) -> Result<Shown, ApiError> {
        self.inner.check_qualifier(&function.name, function.qualifier.as_deref())?;
        let entry = self.inner.entry(&function.name)?;
        let qualifier = function.qualifier.as_deref().unwrap_or(LATEST);
        let version = entry.record.aliases.get(qualifier).map_or(qualifier, |alias| &alias.function_version).to_owned();
        Ok(Shown { name: function.name.clone(), entry, version })
    }

    fn configuration(&self, shown: &Shown, qualifier: Option<&str>) -> Value {
        shown::configuration(shown, &self.inner.identity, qualifier)
    }

    async fn answer_create(&self, body: Bytes) -> Result<Reply, ApiError> {
        let object = members::body(&body)?;
        // The request may be large: from here on what was read of it counts.
        drop(body);
        let shown = self.create(request::create(object, &self.inner.identity)?).await?;
        // As on AWS, the ARN is unqualified here though a version was published.
        Ok(Reply::json(StatusCode::CREATED, self.configuration(&shown, None)))
    }

    async fn answer_update(&self, request: &Request<'_>, body: Bytes) -> Result<Reply, ApiError> {
        let name = self.bare(request)?;
        let object = members::body(&body)?;
        drop(body);
        let (status, shown) = match request.asked.operation {
            "UpdateFunctionCode" => {
                self.inner.entry(&name)?;
                (StatusCode::OK, self.update_code(name, request::update_code(object)?).await?)
            }
            "UpdateFunctionConfiguration" => {
                let (changes, revision_id) = request::update_configuration(&object)?;
                (StatusCode::OK, self.update_configuration(name, changes, revision_id).await?)
            }
            _ => {
                let mut members = Members::new(&object);
                let owned = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
                let publish = Publish {
                    code_sha256: owned(members.text("CodeSha256")?),
                    revision_id: owned(members.text("RevisionId")?),
                    description: owned(members.text_up_to("Description", 256)?),
                };
                members.finish()?;
                (StatusCode::CREATED, self.publish(name, publish).await?)
            }
        };
        let qualifier = (shown.version != LATEST).then_some(shown.version.as_str());
        Ok(Reply::json(status, self.configuration(&shown, qualifier)))
    }

    fn answer_get(&self, request: &Request<'_>) -> Result<Reply, ApiError> {
        let function = self.function(request)?;
        let shown = self.shown(&function)?;
        let record = &shown.entry.record;
        let next = record.next.as_ref().filter(|_| shown.version == LATEST);
        let code = &next.or(record.version(&shown.version)).unwrap_or(&record.latest).code;
        let mut place = Map::new();
        match code.place {
            CodePlace::Uploaded => {
                place.insert("RepositoryType".to_owned(), json!("S3"));
                let path = self.inner.downloads.path(code.sha256);
                place.insert("Location".to_owned(), json!(format!("http://{}{path}", host(request.headers))));
            }
            // It is in files of whoever runs the worker, and was never sent here.
            CodePlace::Config => {
                place.insert("RepositoryType".to_owned(), json!("Config"));
            }
        }
        let mut body = Map::new();
        body.insert("Configuration".to_owned(), self.configuration(&shown, function.qualifier.as_deref()));
        body.insert("Code".to_owned(), place.into());
        if !record.tags.is_empty() {
            body.insert("Tags".to_owned(), json!(record.tags));
        }
        if let Some(reserved) = record.reserved_concurrent_executions {
            body.insert("Concurrency".to_owned(), json!({"ReservedConcurrentExecutions": reserved}));
        }
        Ok(Reply::json(StatusCode::OK, body.into()))
    }

    fn answer_configuration(&self, request: &Request<'_>) -> Result<Reply, ApiError> {
        let function = self.function(request)?;
        let shown = self.shown(&function)?;
        Ok(Reply::json(StatusCode::OK, self.configuration(&shown, function.qualifier.as_deref())))
    }

    fn answer_list(&self, request: &Request<'_>) -> Result<Reply, ApiError> {
        let page = Page::read(request.query)?;
        let all = match request.parameter("FunctionVersion").as_deref() {
            None => false,
            Some("ALL") => true,
            Some(other) => {
                let constraint = "Member must satisfy enum value set: [ALL]";
                let problem =
                    format!("Value '{other}' at 'functionVersion' failed to satisfy constraint: {constraint}");
                return Err(ApiError::Validation(vec![problem]));
            }
        };
        let mut listed = BTreeMap::new();
        for (name, entry) in &*self.inner.entries() {
            let numbers = entry.record.versions.keys().filter(|_| all).map(u64::to_string);
            for version in std::iter::once(LATEST.to_owned()).chain(numbers) {
                let qualifier = all.then(|| version.clone());
                let key = pages::version_key(name, &version);
                let shown = Shown { name: name.clone(), entry: entry.clone(), version };
                listed.insert(key, (shown, qualifier));
            }
        }
        let show = |(shown, qualifier): &(Shown, Option<String>)| self.configuration(shown, qualifier.as_deref());
        Ok(Reply::json(StatusCode::OK, page.of("Functions", &listed, show)))
    }

    fn answer_versions(&self, request: &Request<'_>) -> Result<Reply, ApiError> {
        let name = self.bare(request)?;
        let page = Page::read(request.query)?;
        let entry = self.inner.entry(&name)?;
        let numbers = entry.record.versions.keys().map(u64::to_string);
        let versions = std::iter::once(LATEST.to_owned()).chain(numbers).map(|version| {
            let key = pages::version_key(&name, &version);
            (key, Shown { name: name.clone(), entry: entry.clone(), version })
        });
        let show = |shown: &Shown| self.configuration(shown, Some(&shown.version));
        Ok(Reply::json(StatusCode::OK, page.of("Versions", &versions.collect(), show)))
    }

    async fn answer_delete(&self, request: &Request<'_>) -> Result<Reply, ApiError> {
        self.delete(self.function(request)?).await?;
        Ok(Reply::empty(StatusCode::NO_CONTENT))
    }

    async fn answer_invoke(&self, request: &Request<'_>, body: Bytes) -> Result<Reply, ApiError> {
        let function = self.function(request)?;
        self.invoke(&function, request.headers, body, request.request_id).await
    }

    async fn answer_alias(&self, request: &Request<'_>, body: &[u8]) -> Result<Reply, ApiError> {
        let name = self.bare(request)?;
        self.inner.entry(&name)?;
        let alias = request.asked.part().to_owned();
        match request.asked.operation {
            "CreateAlias" => {
                let (alias, changes) = aliases::create(&members::body(body)?)?;
                Ok(Reply::json(StatusCode::CREATED, self.create_alias(name, alias, changes).await?))
            }
            "UpdateAlias" => {
                let changes = aliases::update(&members::body(body)?)?;
                Ok(Reply::json(StatusCode::OK, self.update_alias(name, alias, changes).await?))
            }
            "DeleteAlias" => {
                self.delete_alias(name, alias).await?;
                Ok(Reply::empty(StatusCode::NO_CONTENT))
            }
            "GetAlias" => Ok(Reply::json(StatusCode::OK, self.alias(&name, &alias)?)),
            _ => {
                let page = Page::read(request.query)?;
                let aliases = self.aliases(&name, request.parameter("FunctionVersion").as_deref())?;
                Ok(Reply::json(StatusCode::OK, page.of("Aliases", &aliases, Value::clone)))
            }
        }
    }

    async fn answer_concurrency(&self, request: &Request<'_>, body: &[u8]) -> Result<Reply, ApiError> {
        let name = self.bare(request)?;
        let shown = |reserved: Option<u32>| {
            let body = reserved.map_or_else(|| json!({}), |reserved| json!({"ReservedConcurrentExecutions": reserved}));
            Reply::json(StatusCode::OK, body)
        };
        match request.asked.operation {
            "PutFunctionConcurrency" => {
                let object = members::body(body)?;
                let mut members = Members::new(&object);
                let reserved = members.integer("ReservedConcurrentExecutions", 0, u32::MAX)?;
                if members.value("ReservedConcurrentExecutions").is_none() {
                    members.refuse_missing("ReservedConcurrentExecutions");
                }
                members.finish()?;
                self.reserve(name, reserved).await?;
                Ok(shown(reserved))
            }
            "DeleteFunctionConcurrency" => {
                self.reserve(name, None).await?;
                Ok(Reply::empty(StatusCode::NO_CONTENT))
            }
            _ => Ok(shown(self.inner.entry(&name)?.record.reserved_concurrent_executions)),
        }
    }

    async fn answer_policy(&self, request: &Request<'_>, body: &[u8]) -> Result<Reply, ApiError> {
        let FunctionRef { name, qualifier } = self.function(request)?;
        match request.asked.operation {
            "AddPermission" => {
                let permission = policies::permission(&members::body(body)?)?;
                Ok(Reply::json(StatusCode::CREATED, self.add_permission(name, qualifier, permission).await?))
            }
            "RemovePermission" => {
                let id = request.asked.part().to_owned();
                self.remove_permission(name, qualifier, id, request.parameter("RevisionId")).await?;
                Ok(Reply::empty(StatusCode::NO_CONTENT))
            }
            _ => Ok(Reply::json(StatusCode::OK, self.policy(&name, qualifier.as_deref())?)),
        }
    }

    /// What Terraform asks of every function, and is the same for all.
    fn answer_fixed(&self, request: &Request<'_>) -> Result<Reply, ApiError> {
        let function = self.function(request)?;
        self.inner.check_qualifier(&function.name, function.qualifier.as_deref())?;
        let body = match request.asked.operation {
            "GetFunctionCodeSigningConfig" => json!({"FunctionName": function.name}),
            "GetRuntimeManagementConfig" => {
                json!({"UpdateRuntimeOn": "Auto", "FunctionArn": self.inner.identity.function_arn(&function)})
            }
            "GetFunctionRecursionConfig" => json!({"RecursiveLoop": "Terminate"}),
            _ => return Err(ApiError::NothingThere),
        };
        Ok(Reply::json(StatusCode::OK, body))
    }

    async fn answer_account(&self) -> Result<Reply, ApiError> {
        let code = self.inner.code.clone();
        let used = tokio::task::spawn_blocking(move || code.total_bytes()).await.unwrap_or(0);
        let body = json!({
            "AccountLimit": {
                "TotalCodeSize": TOTAL_MAX_BYTES,
                "CodeSizeUnzipped": UNPACKED_MAX_BYTES,
                "CodeSizeZipped": upload::BLOB_MAX_BYTES,
                "ConcurrentExecutions": CONCURRENT_EXECUTIONS,
                "UnreservedConcurrentExecutions": CONCURRENT_EXECUTIONS,
            },
            "AccountUsage": {"TotalCodeSize": used, "FunctionCount": self.inner.entries().len()},
        });
        Ok(Reply::json(StatusCode::OK, body))
    }

    /// The code that an address of `GetFunction` leads to.
    pub(crate) async fn download(&self, path: &str) -> Result<Reply, ApiError> {
        let secret = path.strip_prefix(downloads::PATH).unwrap_or_default();
        match self.inner.downloads.open(secret, &self.inner.code).await {
            Ok(blob) => {
                let mut reply = Reply { status: StatusCode::OK, body: Some(blob), headers: Vec::new() };
                reply.headers.push((CONTENT_TYPE, BINARY));
                Ok(reply)
            }
            Err(NotThere::Unknown) => Err(ApiError::NothingThere),
            Err(NotThere::Busy) => Err(ApiError::Throttled { reason: "CallerRateLimitExceeded" }),
            Err(NotThere::Failed(error)) => {
                tracing::error!(%error, folder = %self.inner.code.folder().display(), "code cannot be read");
                Err(ApiError::Internal)
            }
        }
    }
}

/// Where the client found this listener, as far as that can stand in an address.
fn host(headers: &HeaderMap) -> &str {
    let is_made_of = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte);
    let host = headers.get(HOST).and_then(|value| value.to_str().ok());
    host.filter(|host| !host.is_empty() && host.bytes().all(is_made_of)).unwrap_or(FALLBACK_HOST)
}
