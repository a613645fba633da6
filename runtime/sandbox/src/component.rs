//! From code to something that can be called: compiled, its way in recognised by its types, its imports checked,
//! pre-instantiated. Whatever would fail at every message fails here, once, with the mend.

use std::sync::Arc;

use wasmtime::component::types::{ComponentFunc, ComponentItem};
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker as ComponentLinker};
use wasmtime::{
    Engine, ExternType, Linker as CoreLinker, Module, ResourcesRequired, StoreContextMut, UnknownImportError,
};
use wasmtime_wasi::p2::bindings::{CommandPre, filesystem};

use crate::cache::ModuleCache;
use crate::code::{Format, Source};
use crate::describe::describe_function;
use crate::engine::{Home, Sandbox};
use crate::error::{EngineError, LoadError, one_line};
use crate::files::HasFiles;
use crate::host::Host;

/// Longest reason that a message quotes from wasmtime, in bytes.
const REASON_BYTES_MAX: usize = 1 << 10;

/// The type of `handle` in the Lambda JSON world. Parameter names do not matter to a call, so they are not in it.
const LAMBDA_JSON: &str = "func(string, record { request-id: string, function-name: string, function-version: string, \
                           function-arn: string, deadline-ms: u64, memory-limit-mb: u32, trace-id: option<string> }) \
                           -> result<string, string>";

/// The type of `handle` in the typed world.
const MESSAGES: &str = "func(list<record { message-id: string, receipt-handle: string, body: string, attributes: \
                        list<tuple<string, string>>, message-attributes: list<record { name: string, data-type: string, \
                        value: variant { text(string), binary(list<u8>) } }>, md5-of-body: string, event-source-arn: \
                        string, aws-region: string }>, record { request-id: string, function-name: string, \
                        function-version: string, function-arn: string, deadline-ms: u64, memory-limit-mb: u32, trace-id: \
                        option<string> }) -> result<list<variant { done, retry(option<u32>), dead-letter(string), release \
                        }>, string>";

/// Larger code is an interpreter, or brings a runtime along: inlining helps it little, and costs memory by its size.
const SMALL_CODE_BYTES_MAX: usize = 2 << 20;

/// What a component should export.
const EXPECTED: &str = "a component that exports `handle` of one of the worlds of wit/handler.wit (lambda-handler, \
                        lambda-handler-async: event and context in, response out; message-handler: messages in, verdicts \
                        out), or `wasi:cli/run@0.2` (a program with a main: event on stdin, response on stdout)";

/// The interface that gives an interpreter the user's code.
const SCRIPT: &str = "wasmill:handler/script@0.1.0";

/// What a core module should export.
const EXPECTED_OF_CORE: &str = "`_start` (a WASI preview-1 command: event on stdin, response on stdout); to use \
                                `handle`, make the module a component: build for wasm32-wasip2, or run \
                                `wasm-tools component new IN.wasm -o OUT.wasm`";

/// How a function's code is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FunctionKind {
    /// A component of world `lambda-handler`: JSON in, JSON out.
    LambdaJson,
    /// A component of world `lambda-handler-async`: the same, lifted asynchronously.
    LambdaJsonAsync,
    /// A component of world `message-handler`: messages in, verdicts out.
    Messages,
    /// A component that exports `wasi:cli/run`: event on stdin, response on stdout.
    CommandComponent,
    /// A core module that exports `_start`: the same, through WASI preview 1.
    CommandModule,
}

impl FunctionKind {
    /// A few words for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LambdaJson => "Lambda JSON component",
            Self::LambdaJsonAsync => "asynchronous Lambda JSON component",
            Self::Messages => "typed component",
            Self::CommandComponent => "WASI command component",
            Self::CommandModule => "WASI preview-1 command module",
        }
    }
}

/// A module that is ready to be instantiated.
pub(crate) enum Handler {
    LambdaJson { pre: InstancePre<Host>, export: ComponentExportIndex, is_async: bool },
    Messages { pre: InstancePre<Host>, export: ComponentExportIndex },
    CommandComponent(CommandPre<Host>),
    CommandModule(wasmtime::InstancePre<Host>),
}

impl Handler {
    pub(crate) fn kind(&self) -> FunctionKind {
        match self {
            Self::LambdaJson { is_async: false, .. } => FunctionKind::LambdaJson,
            Self::LambdaJson { is_async: true, .. } => FunctionKind::LambdaJsonAsync,
            Self::Messages { .. } => FunctionKind::Messages,
            Self::CommandComponent(_) => FunctionKind::CommandComponent,
            Self::CommandModule(_) => FunctionKind::CommandModule,
        }
    }

    /// True for a program that runs once and ends.
    pub(crate) fn is_command(&self) -> bool {
        matches!(self, Self::CommandComponent(_) | Self::CommandModule(_))
    }
}

/// What handlers may import.
pub(crate) struct Linkers {
    component: ComponentLinker<Host>,
    core: CoreLinker<Host>,
}

impl Linkers {
    pub(crate) fn new(engine: &Engine) -> wasmtime::Result<Self> {
        let mut component = ComponentLinker::new(engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut component)?;
        // In the place of wasmtime's own.
        component.allow_shadowing(true);
        filesystem::types::add_to_linker::<Host, HasFiles>(&mut component, Host::files)?;
        component.allow_shadowing(false);
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut component)?;
        component.instance(SCRIPT)?.func_wrap("source", |store: StoreContextMut<'_, Host>, (): ()| {
            let source: Arc<str> = store.data().script.clone().unwrap_or_default();
            Ok((source,))
        })?;
        let mut core = CoreLinker::new(engine);
        wasmtime_wasi::p1::add_to_linker_async(&mut core, Host::preview1)?;
        Ok(Self { component, core })
    }
}

/// A handler, the engine it was compiled for, and what is known of its needs.
pub(crate) struct Prepared {
    pub(crate) handler: Handler,
    pub(crate) home: Arc<Home>,
    /// It came from the cache on disk.
    cached: bool,
    /// What an instance takes from the pool; unknown for components that are handed modules, which nobody does here.
    pub(crate) resources: Option<ResourcesRequired>,
}

/// Code that is ready, and whether that took no compiling. `has_script`: the function brings the user's code for an interpreter.
pub(crate) fn ready(sandbox: &Sandbox, source: &Source, has_script: bool) -> Result<(Arc<Prepared>, bool), LoadError> {
    let (prepared, was_in_use) =
        sandbox.code_in_use().get_or(source, has_script, || prepare(sandbox, source, has_script))?;
    if was_in_use {
        sandbox.cache().mark_used(prepared.home.engine(), source);
    }
    let cached = was_in_use || prepared.cached;
    Ok((prepared, cached))
}

fn prepare(sandbox: &Sandbox, source: &Source, has_script: bool) -> Result<Prepared, LoadError> {
    let roomy = || {
        let refused = |error: EngineError| LoadError::Invalid { code: source.name.clone(), reason: error.to_string() };
        sandbox.roomy().map_err(refused)
    };
    let home = if source.bytes.len() > SMALL_CODE_BYTES_MAX { roomy()? } else { Arc::clone(sandbox.plain()) };
    if source.format == Format::CoreModule {
        let loaded = sandbox.cache().module(home.engine(), source).map_err(|error| not_compiled(source, &error))?;
        let handler = prepare_module(&home.linkers().core, &loaded.module, &source.name)?;
        let resources = Some(loaded.module.resources_required());
        return Ok(Prepared { handler, home, cached: loaded.cached, resources });
    }
    let prepared = match prepare_component(home, sandbox.cache(), source, has_script)? {
        Some(prepared) => Some(prepared),
        None => prepare_component(roomy()?, sandbox.cache(), source, has_script)?,
    };
    prepared.ok_or_else(|| LoadError::Invalid {
        code: source.name.clone(),
        reason: "it needs more of the component model's asynchrony than there is".to_owned(),
    })
}

fn not_compiled(source: &Source, error: &wasmtime::Error) -> LoadError {
    LoadError::Invalid { code: source.name.clone(), reason: one_line(&format!("{error:#}"), REASON_BYTES_MAX) }
}

/// None when the component needs an engine with concurrency and this is none.
fn prepare_component(
    home: Arc<Home>,
    cache: &ModuleCache,
    source: &Source,
    has_script: bool,
) -> Result<Option<Prepared>, LoadError> {
    let (engine, code) = (home.engine(), source.name.as_str());
    let is_plain = !home.is_roomy();
    let loaded = match cache.component(engine, source) {
        Ok(loaded) => loaded,
        // The validator stops at the first asynchronous builtin.
        Err(error) if is_plain && format!("{error:#}").contains("component model async") => return Ok(None),
        Err(error) => return Err(not_compiled(source, &error)),
    };
    let component = &loaded.module;
    let way_in = recognise(engine, component, code)?;
    if is_plain && matches!(way_in, WayIn::LambdaJson { is_async: true }) {
        return Ok(None);
    }
    if !has_script && component.component_type().get_import(engine, SCRIPT).is_some() {
        return Err(LoadError::Import {
            code: code.to_owned(),
            import: format!("`{SCRIPT}`"),
            hint: "it is an interpreter: name the user's code and its runtime (runtime = \"js\")".to_owned(),
        });
    }
    let instance_pre = home
        .linkers()
        .component
        .instantiate_pre(component)
        .map_err(|error| refused_import(engine, component, code, &error))?;
    let handler = bind(way_in, instance_pre).map_err(|error| not_compiled(source, &error))?;
    let resources = component.resources_required();
    Ok(Some(Prepared { handler, cached: loaded.cached, resources, home }))
}

fn bind(way_in: WayIn, pre: InstancePre<Host>) -> wasmtime::Result<Handler> {
    let export = || {
        let export = pre.component().get_export_index(None, "handle");
        export.ok_or_else(|| wasmtime::Error::msg("its export `handle` cannot be found"))
    };
    Ok(match way_in {
        WayIn::LambdaJson { is_async } => Handler::LambdaJson { export: export()?, pre, is_async },
        WayIn::Messages => Handler::Messages { export: export()?, pre },
        WayIn::Command => Handler::CommandComponent(CommandPre::new(pre)?),
    })
}

/// The ways into a component that are called.
#[derive(Clone, Copy)]
enum WayIn {
    LambdaJson { is_async: bool },
    Messages,
    Command,
}

/// Finds the way into a component from the types of its exports.
fn recognise(engine: &Engine, component: &Component, code: &str) -> Result<WayIn, LoadError> {
    let component_type = component.component_type();
    if let Some(handle) = component_type.get_export(engine, "handle") {
        let ComponentItem::ComponentFunc(function) = handle.ty else {
            let found = "its export `handle` is no function".to_owned();
            return Err(LoadError::NoHandler { code: code.to_owned(), found, expected: EXPECTED });
        };
        return recognise_handle(&function, code);
    }
    let mut exports = Vec::new();
    for (name, export) in component_type.exports(engine) {
        if let (Some(version), ComponentItem::ComponentInstance(_)) = (name.strip_prefix("wasi:cli/run@"), &export.ty) {
            if version.starts_with("0.2.") {
                return Ok(WayIn::Command);
            }
            return Err(LoadError::NotYet {
                code: code.to_owned(),
                what: "a command of WASI 0.3",
                mend: "build it for WASI 0.2 (wasm32-wasip2)",
            });
        }
        exports.push(name);
    }
    Err(LoadError::NoHandler { code: code.to_owned(), found: list_exports(&exports), expected: EXPECTED })
}

fn recognise_handle(function: &ComponentFunc, code: &str) -> Result<WayIn, LoadError> {
    let signature = describe_function(function);
    match (signature.as_str(), function.async_()) {
        (LAMBDA_JSON, is_async) => Ok(WayIn::LambdaJson { is_async }),
        (MESSAGES, false) => Ok(WayIn::Messages),
        (_, is_async) => {
            let manner = if is_async { "async " } else { "" };
            let found = format!("its export `handle` has the type {manner}{signature}");
            Err(LoadError::NoHandler { code: code.to_owned(), found, expected: EXPECTED })
        }
    }
}

fn list_exports(names: &[&str]) -> String {
    const SHOWN: usize = 10;
    if names.is_empty() {
        return "it exports nothing".to_owned();
    }
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    let more = names.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    one_line(&format!("it exports {}{more}", shown.join(", ")), REASON_BYTES_MAX)
}

/// Says which import was not found, and why it never will be.
fn refused_import(engine: &Engine, component: &Component, code: &str, error: &wasmtime::Error) -> LoadError {
    let reason = one_line(&format!("{error:#}"), REASON_BYTES_MAX);
    let component_type = component.component_type();
    let refused =
        component_type.imports(engine).map(|(name, _)| name).find(|name| reason.contains(&format!("`{name}`")));
    let Some(import) = refused else {
        return LoadError::Invalid { code: code.to_owned(), reason };
    };
    let interface = import.split_once('@').map_or(import, |(interface, _)| interface);
    let wasi_version = import.starts_with("wasi:").then(|| import.split_once('@').map_or("", |(_, version)| version));
    let hint = match (interface.split_once('/').map_or(interface, |(package, _)| package), wasi_version) {
        ("wasi:http", _) => "of wasi:http a handler may import 0.2's types and outgoing-handler".to_owned(),
        (_, Some(version)) if version.starts_with("0.3") => {
            "WASI 0.3 is not yet supported by this version; build for WASI 0.2 (wasm32-wasip2)".to_owned()
        }
        // The interface is there and something in it is not, or has another type: wasmtime says what.
        ("wasi:io" | "wasi:cli" | "wasi:clocks" | "wasi:random" | "wasi:filesystem" | "wasi:sockets", _) => reason,
        ("wasmill:handler", _) => {
            "only its types are to be used; build against the wit/handler.wit of this version".to_owned()
        }
        _ => "a handler may import WASI 0.2 (cli, clocks, filesystem, http, io, random, sockets) and nothing else"
            .to_owned(),
    };
    LoadError::Import { code: code.to_owned(), import: format!("`{import}`"), hint }
}

fn prepare_module(linker: &CoreLinker<Host>, module: &Module, code: &str) -> Result<Handler, LoadError> {
    let start = match module.get_export("_start") {
        Some(ExternType::Func(function)) => Some(function),
        _ => None,
    };
    let no_handler = |found: String| LoadError::NoHandler { code: code.to_owned(), found, expected: EXPECTED_OF_CORE };
    let Some(start) = start else {
        let names: Vec<&str> = module.exports().map(|export| export.name()).collect();
        return Err(no_handler(format!("it is a core module and {}", list_exports(&names))));
    };
    if start.params().len() + start.results().len() > 0 {
        return Err(no_handler("its `_start` takes or gives values, so it is no command".to_owned()));
    }
    let uses_wasi = module.imports().any(|import| import.module() == "wasi_snapshot_preview1");
    if uses_wasi && !matches!(module.get_export("memory"), Some(ExternType::Memory(_))) {
        return Err(no_handler("it uses WASI and does not export its `memory`".to_owned()));
    }
    let instance_pre = linker.instantiate_pre(module).map_err(|error| refused_core_import(code, &error))?;
    Ok(Handler::CommandModule(instance_pre))
}

fn refused_core_import(code: &str, error: &wasmtime::Error) -> LoadError {
    let Some(unknown) = error.downcast_ref::<UnknownImportError>() else {
        return LoadError::Invalid { code: code.to_owned(), reason: one_line(&format!("{error:#}"), REASON_BYTES_MAX) };
    };
    let hint = match unknown.module() {
        "wasi_unstable" => {
            "it was built for an older WASI; build it for preview 1 (wasm32-wasip1) or 2 (wasm32-wasip2)"
        }
        "__wbindgen_placeholder__" | "wbg" => {
            "it was built for a browser; build it for wasm32-wasip2 without wasm-bindgen"
        }
        "env" | "a" => "it was built for another host, such as JavaScript; build it for WASI",
        _ => "a core module may import wasi_snapshot_preview1 and nothing else",
    };
    LoadError::Import {
        code: code.to_owned(),
        import: format!("`{}::{}`", unknown.module(), unknown.name()),
        hint: hint.to_owned(),
    }
}
