//! What a store holds for its guest: WASI, the limiter, the way out, an interpreter's script.
//!
//! A guest gets no folder but those its function mounts and a disk of its own if it has one, no argument but its name, no variable but its own, and of the
//! network only HTTP to the hosts its function names: `wasi:sockets` is there, and makes no socket.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

use wasmtime_wasi::filesystem::WasiFilesystemCtxView;
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p2::pipe::MemoryInputPipe;
use wasmtime_wasi::{FsPerms, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::disk::Disk;
use crate::files::{Files, GuestFiles};
use crate::function::FunctionShared;
use crate::limits::{HEADERS_BYTES_MAX, Limiter, RANDOM_BYTES_MAX, RESOURCES_PER_INSTANCE};
use crate::outgoing::Outgoing;
use crate::output::GuestStream;

/// Where a guest sees its disk.
const DISK: &str = "/tmp";

/// A folder of this machine that a guest may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The folder.
    pub folder: PathBuf,
    /// Where the guest sees it, e.g. `/app`.
    pub at: String,
}

/// A store's data. The preview-1 context contains a preview-2 one, so it serves components too.
pub(crate) struct Host {
    wasi: WasiP1Ctx,
    http: WasiHttpCtx,
    files: GuestFiles,
    pub(crate) outgoing: Outgoing,
    pub(crate) limiter: Limiter,
    pub(crate) script: Option<Arc<str>>,
}

/// The guest's three standard streams. Without stdin it reads end-of-file.
pub(crate) struct Streams {
    pub(crate) stdin: Option<String>,
    pub(crate) stdout: GuestStream,
    pub(crate) stderr: GuestStream,
}

impl Host {
    pub(crate) fn new(
        function: &FunctionShared,
        environment: &[(impl AsRef<str>, impl AsRef<str>)],
        streams: Streams,
        limiter: Limiter,
        disk: Option<Arc<Disk>>,
    ) -> wasmtime::Result<Self> {
        let spec = &function.spec;
        let mut builder = WasiCtxBuilder::new();
        builder.allow_tcp(false).allow_udp(false).max_random_size(RANDOM_BYTES_MAX);
        builder.arg(&spec.name).envs(environment).stdout(streams.stdout).stderr(streams.stderr);
        if let Some(stdin) = streams.stdin {
            builder.stdin(MemoryInputPipe::new(stdin));
        }
        // Files are read on the guest's own thread: a hop to another costs more than the read.
        builder.allow_blocking_current_thread(!spec.mounts.is_empty() || disk.is_some());
        for Mount { folder, at } in &spec.mounts {
            builder
                .preopened_dir(folder, at, FsPerms::ReadOnly)
                .map_err(|error| error.context(format!("{} cannot be opened", folder.display())))?;
        }
        if let Some(disk) = &disk {
            builder
                .preopened_dir(disk.path(), DISK, FsPerms::ReadWrite)
                .map_err(|error| error.context("its /tmp cannot be opened"))?;
        }
        let mut wasi = builder.build_p1();
        wasi.ctx().table.set_max_capacity(RESOURCES_PER_INSTANCE);
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(HEADERS_BYTES_MAX);
        let outgoing = Outgoing::new(Arc::clone(&function.way_out));
        let files = GuestFiles::new(disk);
        Ok(Self { wasi, http, files, outgoing, limiter, script: spec.script.clone() })
    }

    /// For the linker of components.
    pub(crate) fn files(&mut self) -> Files<'_> {
        let WasiCtxView { ctx, table } = self.wasi.ctx();
        Files { view: WasiFilesystemCtxView { ctx: ctx.filesystem(), table }, files: &mut self.files }
    }

    /// For the preview-1 linker.
    pub(crate) fn preview1(&mut self) -> &mut WasiP1Ctx {
        &mut self.wasi
    }
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.wasi.ctx()
    }
}

impl WasiHttpView for Host {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.outgoing, table: self.wasi.ctx().table, ctx: &mut self.http }
    }
}

/// The variables every invocation of a function has: those of its configuration, and Lambda's own, which win.
pub(crate) fn function_environment(
    configured: &[(String, String)],
    name: &str,
    version: &str,
    memory_mib: u32,
    region: &str,
) -> Vec<(String, String)> {
    let own = [
        ("AWS_LAMBDA_FUNCTION_NAME", name.to_owned()),
        ("AWS_LAMBDA_FUNCTION_VERSION", version.to_owned()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", memory_mib.to_string()),
        ("AWS_REGION", region.to_owned()),
        ("AWS_DEFAULT_REGION", region.to_owned()),
    ];
    let reserved = |key: &str| own.iter().any(|(name, _)| *name == key) || INVOCATION_VARIABLES.contains(&key);
    let mut environment: Vec<(String, String)> = configured.iter().filter(|(key, _)| !reserved(key)).cloned().collect();
    environment.extend(own.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    environment
}

const REQUEST_ID: &str = "WASMILL_REQUEST_ID";
const DEADLINE_MS: &str = "WASMILL_DEADLINE_MS";
const TRACE_ID: &str = "_X_AMZN_TRACE_ID";
const INVOCATION_VARIABLES: [&str; 3] = [REQUEST_ID, DEADLINE_MS, TRACE_ID];

/// A function's variables plus those of one invocation. `deadline_ms` is Unix time.
pub(crate) fn invocation_environment<'a>(
    function: &'a [(String, String)],
    request_id: &str,
    deadline_ms: u64,
    trace_id: Option<&str>,
) -> Vec<(&'a str, Cow<'a, str>)> {
    let mut environment = Vec::with_capacity(function.len() + INVOCATION_VARIABLES.len());
    environment.extend(function.iter().map(|(key, value)| (key.as_str(), Cow::from(value))));
    environment.push((REQUEST_ID, request_id.to_owned().into()));
    environment.push((DEADLINE_MS, deadline_ms.to_string().into()));
    environment.extend(trace_id.map(|trace_id| (TRACE_ID, trace_id.to_owned().into())));
    environment
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn lambdas_own_variables_win_over_configured_ones_and_appear_once() {
        let configured = [pair("TABLE", "orders"), pair("AWS_REGION", "mars"), pair("WASMILL_REQUEST_ID", "mine")];
        let function = function_environment(&configured, "orders", "$LATEST", 128, "us-east-1");
        let all = invocation_environment(&function, "r-1", 17, Some("Root=1-2"));
        assert_eq!(
            all,
            [
                ("TABLE", "orders".into()),
                ("AWS_LAMBDA_FUNCTION_NAME", "orders".into()),
                ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".into()),
                ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128".into()),
                ("AWS_REGION", "us-east-1".into()),
                ("AWS_DEFAULT_REGION", "us-east-1".into()),
                ("WASMILL_REQUEST_ID", "r-1".into()),
                ("WASMILL_DEADLINE_MS", "17".into()),
                ("_X_AMZN_TRACE_ID", "Root=1-2".into()),
            ]
        );
    }

    #[test]
    fn without_a_trace_there_is_no_trace_variable() {
        let all = invocation_environment(&[], "r-1", 17, None);
        assert!(all.iter().all(|(key, _)| *key != "_X_AMZN_TRACE_ID"));
    }
}
