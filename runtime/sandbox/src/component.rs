//! From code to something that can be called: compiled, its way in recognised by its types, its imports checked,
//! pre-instantiated. Whatever would fail at every message fails here, once, with the mend.
//!
//! The asynchronous and the typed world are recognised and refused: they are not called yet.

use std::fmt::Write as _;

use wasmtime::component::types::{ComponentFunc, ComponentItem, Type};
use wasmtime::component::{Component, InstancePre, Linker as ComponentLinker};
use wasmtime::{Engine, ExternType, Linker as CoreLinker, Module, ResourcesRequired, UnknownImportError};
use wasmtime_wasi::p2::bindings::CommandPre;

use crate::bindings::LambdaHandlerPre;
use crate::cache::ModuleCache;
use crate::code::{Format, Source};
use crate::error::{LoadError, one_line};
use crate::host::Host;

/// Longest reason that a message quotes from wasmtime, in bytes.
const REASON_BYTES_MAX: usize = 1 << 10;

/// The type of `handle` in the Lambda JSON world. Parameter names do not matter to a call, so they are not in it.
const LAMBDA_JSON: &str = "func(string, record { request-id: string, function-name: string, function-version: string, \
                           function-arn: string, deadline-ms: u64, memory-limit-mb: u32, trace-id: option<string> }) \
                           -> result<string, string>";

/// What a component should export.
const EXPECTED: &str = "a component that exports `handle: func(event: string, ctx: context) -> result<string, string>` \
                        of world wasmill:handler/lambda-handler, or `wasi:cli/run@0.2` (a program with a main: event \
                        on stdin, response on stdout)";

/// What a core module should export.
const EXPECTED_OF_CORE: &str = "`_start` (a WASI preview-1 command: event on stdin, response on stdout); to use \
                                `handle`, make the module a component: build for wasm32-wasip2, or run \
                                `wasm-tools component new IN.wasm -o OUT.wasm`";

/// How a function's code is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FunctionKind {
    /// A component of world `lambda-handler`: JSON in, JSON out.
    LambdaJson,
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
            Self::CommandComponent => "WASI command component",
            Self::CommandModule => "WASI preview-1 command module",
        }
    }
}

/// A module that is ready to be instantiated.
pub(crate) enum Handler {
    LambdaJson(LambdaHandlerPre<Host>),
    CommandComponent(CommandPre<Host>),
    CommandModule(wasmtime::InstancePre<Host>),
}

impl Handler {
    pub(crate) fn kind(&self) -> FunctionKind {
        match self {
            Self::LambdaJson(_) => FunctionKind::LambdaJson,
            Self::CommandComponent(_) => FunctionKind::CommandComponent,
            Self::CommandModule(_) => FunctionKind::CommandModule,
        }
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
        let mut core = CoreLinker::new(engine);
        wasmtime_wasi::p1::add_to_linker_async(&mut core, Host::preview1)?;
        Ok(Self { component, core })
    }
}

/// A handler and what is known of its needs.
pub(crate) struct Prepared {
    pub(crate) handler: Handler,
    pub(crate) cached: bool,
    /// What an instance takes from the pool; unknown for components that are handed modules, which nobody does here.
    pub(crate) resources: Option<ResourcesRequired>,
}

pub(crate) fn prepare(
    engine: &Engine,
    linkers: &Linkers,
    cache: &ModuleCache,
    source: &Source,
) -> Result<Prepared, LoadError> {
    match source.format {
        Format::Component => {
            let loaded = cache.component(engine, source).map_err(|error| not_compiled(source, &error))?;
            let handler = prepare_component(engine, &linkers.component, &loaded.module, &source.name)?;
            Ok(Prepared { handler, cached: loaded.cached, resources: loaded.module.resources_required() })
        }
        Format::CoreModule => {
            let loaded = cache.module(engine, source).map_err(|error| not_compiled(source, &error))?;
            let handler = prepare_module(&linkers.core, &loaded.module, &source.name)?;
            Ok(Prepared { handler, cached: loaded.cached, resources: Some(loaded.module.resources_required()) })
        }
    }
}

fn not_compiled(source: &Source, error: &wasmtime::Error) -> LoadError {
    let reason = one_line(&format!("{error:#}"), REASON_BYTES_MAX);
    // Such components do not get as far as having types: the validator stops at their first asynchronous builtin.
    if reason.contains("component model async") {
        return async_handler(&source.name);
    }
    LoadError::Invalid { code: source.name.clone(), reason }
}

fn async_handler(code: &str) -> LoadError {
    LoadError::NotYet {
        code: code.to_owned(),
        what: "an asynchronous export (world lambda-handler-async, or WASI 0.3)",
        mend: "export the synchronous `handle` of world lambda-handler",
    }
}

fn prepare_component(
    engine: &Engine,
    linker: &ComponentLinker<Host>,
    component: &Component,
    code: &str,
) -> Result<Handler, LoadError> {
    let way_in = recognise(engine, component, code)?;
    let instance_pre =
        linker.instantiate_pre(component).map_err(|error| refused_import(engine, component, code, &error))?;
    let not_bound = |error: wasmtime::Error| LoadError::Invalid {
        code: code.to_owned(),
        reason: one_line(&format!("{error:#}"), REASON_BYTES_MAX),
    };
    bind(way_in, instance_pre).map_err(not_bound)
}

fn bind(way_in: WayIn, instance_pre: InstancePre<Host>) -> wasmtime::Result<Handler> {
    Ok(match way_in {
        WayIn::LambdaJson => Handler::LambdaJson(LambdaHandlerPre::new(instance_pre)?),
        WayIn::Command => Handler::CommandComponent(CommandPre::new(instance_pre)?),
    })
}

/// The ways into a component that are called.
#[derive(Clone, Copy)]
enum WayIn {
    LambdaJson,
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
            return Err(async_handler(code));
        }
        exports.push(name);
    }
    Err(LoadError::NoHandler { code: code.to_owned(), found: list_exports(&exports), expected: EXPECTED })
}

fn recognise_handle(function: &ComponentFunc, code: &str) -> Result<WayIn, LoadError> {
    if function.async_() {
        return Err(async_handler(code));
    }
    let signature = describe_function(function);
    if signature == LAMBDA_JSON {
        return Ok(WayIn::LambdaJson);
    }
    let takes_messages = function.params().next().is_some_and(|(_, ty)| matches!(ty, Type::List(_)));
    if takes_messages {
        return Err(LoadError::NotYet {
            code: code.to_owned(),
            what: "the typed world message-handler",
            mend: "export `handle` of world lambda-handler (JSON in, JSON out)",
        });
    }
    let found = format!("its export `handle` has the type {signature}");
    Err(LoadError::NoHandler { code: code.to_owned(), found, expected: EXPECTED })
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
        ("wasi:http", _) => {
            "a handler has no network in this version; let the host's side of the queue make the call".to_owned()
        }
        (_, Some(version)) if version.starts_with("0.3") => {
            "WASI 0.3 is not yet supported by this version; build for WASI 0.2 (wasm32-wasip2)".to_owned()
        }
        // The interface is there and something in it is not, or has another type: wasmtime says what.
        ("wasi:io" | "wasi:cli" | "wasi:clocks" | "wasi:random" | "wasi:filesystem" | "wasi:sockets", _) => reason,
        ("wasmill:handler", _) => {
            "only its types are to be used; build against the wit/handler.wit of this version".to_owned()
        }
        _ => "a handler may import WASI 0.2 (cli, clocks, filesystem, io, random, sockets) and nothing else".to_owned(),
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

/// A function's type in WIT's words, without parameter names. Cut when it gets long: types can be nested so that
/// writing them out takes exponentially more than declaring them.
fn describe_function(function: &ComponentFunc) -> String {
    let mut out = String::from("func(");
    for (index, (_, ty)) in function.params().enumerate() {
        separate(&mut out, index);
        describe(&mut out, &ty);
    }
    out.push(')');
    for ty in function.results() {
        out.push_str(" -> ");
        describe(&mut out, &ty);
    }
    out
}

fn describe(out: &mut String, ty: &Type) {
    if out.len() > REASON_BYTES_MAX {
        if !out.ends_with('…') {
            out.push('…');
        }
        return;
    }
    let simple = match ty {
        Type::Bool => "bool",
        Type::S8 => "s8",
        Type::U8 => "u8",
        Type::S16 => "s16",
        Type::U16 => "u16",
        Type::S32 => "s32",
        Type::U32 => "u32",
        Type::S64 => "s64",
        Type::U64 => "u64",
        Type::Float32 => "f32",
        Type::Float64 => "f64",
        Type::Char => "char",
        Type::String => "string",
        Type::List(list) => return describe_in(out, "list", &[Some(list.ty())]),
        Type::Option(option) => return describe_in(out, "option", &[Some(option.ty())]),
        Type::Result(result) => return describe_in(out, "result", &[result.ok(), result.err()]),
        Type::Tuple(tuple) => {
            let types: Vec<Option<Type>> = tuple.types().map(Some).collect();
            return describe_in(out, "tuple", &types);
        }
        Type::Record(record) => {
            out.push_str("record { ");
            for (index, field) in record.fields().enumerate() {
                separate(out, index);
                let _ = write!(out, "{}: ", field.name);
                describe(out, &field.ty);
            }
            out.push_str(" }");
            return;
        }
        Type::Variant(_) => "variant",
        Type::Enum(_) => "enum",
        Type::Flags(_) => "flags",
        Type::Own(_) | Type::Borrow(_) => "resource",
        _ => "type of another kind",
    };
    out.push_str(simple);
}

fn describe_in(out: &mut String, name: &str, types: &[Option<Type>]) {
    out.push_str(name);
    out.push('<');
    for (index, ty) in types.iter().enumerate() {
        separate(out, index);
        match ty {
            Some(ty) => describe(out, ty),
            None => out.push('_'),
        }
    }
    out.push('>');
}

fn separate(out: &mut String, index: usize) {
    if index > 0 {
        out.push_str(", ");
    }
}
