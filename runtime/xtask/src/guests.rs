//! `cargo xtask guests`: builds the handlers of `handlers/` from source and compares them with those in the repository.

use std::fs;
use std::path::{Path, PathBuf};

use crate::guest_toolchain::GuestToolchain;
use crate::layout::{self, Layout};
use crate::step;

const WASIP1: &str = "wasm32-wasip1";
const WASIP2: &str = "wasm32-wasip2";
/// What a guest needs from a toolchain.
pub(crate) const TARGETS: [&str; 2] = [WASIP2, WASIP1];

/// One file to build.
struct Guest {
    package: &'static str,
    target: &'static str,
    /// The file's name among the results.
    file: &'static str,
}

/// Everything the demo and the tests run. `faulty-command` is built in both shapes a command may have.
const GUESTS: [Guest; 5] = [
    Guest { package: "orders", target: WASIP2, file: "orders.wasm" },
    Guest { package: "echo", target: WASIP2, file: "echo.wasm" },
    Guest { package: "faulty", target: WASIP2, file: "faulty.wasm" },
    Guest { package: "faulty-command", target: WASIP2, file: "command.wasm" },
    Guest { package: "faulty-command", target: WASIP1, file: "command-p1.wasm" },
];

/// The command line of the verb.
pub(crate) struct Options {
    out: Option<PathBuf>,
}

impl Options {
    /// Reads the arguments after the verb; the error is one line.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        match arguments {
            [] => Ok(Self { out: None }),
            [flag, dir] if flag == "--out" => Ok(Self { out: Some(PathBuf::from(dir)) }),
            [flag] if flag == "--out" => Err("--out needs a folder".to_owned()),
            [unknown, ..] if unknown != "--out" => Err(format!("guests does not know {unknown}")),
            _ => Err("guests takes one --out DIR and nothing else".to_owned()),
        }
    }
}

/// Builds all guests and copies them to the folder asked for.
pub(crate) fn run(layout: &Layout, options: &Options) -> Result<(), String> {
    let out = match &options.out {
        Some(dir) => layout::absolute(dir)?,
        None => layout.target.join("guests"),
    };
    let manifest = layout.root.join("handlers/Cargo.toml");
    let toolchain = GuestToolchain::prepare(layout)?;
    // Fetched first: the compiler flags below name the folders the sources are unpacked to.
    step::run(layout::cargo().args(["fetch", "--quiet", "--locked", "--manifest-path"]).arg(&manifest))?;
    let build_dir = layout.target.join("guests-build");
    for target in TARGETS {
        step::step(&format!("building the guests for {target} with {}", toolchain.describe()));
        let mut build = toolchain.cargo_build(target)?;
        build.arg("--manifest-path").arg(&manifest).env("CARGO_TARGET_DIR", &build_dir);
        for guest in GUESTS.iter().filter(|guest| guest.target == target) {
            build.args(["--package", guest.package]);
        }
        step::run(&mut build)?;
    }
    fs::create_dir_all(&out).map_err(|error| format!("cannot make the folder {}: {error}", out.display()))?;
    for guest in &GUESTS {
        let artefact = format!("{}/release/{}.wasm", guest.target, guest.package);
        deliver(guest, &build_dir.join(artefact), &out, &layout.prebuilt_guests())?;
    }
    step::step(&format!("the guests are in {}", out.display()));
    Ok(())
}

/// Copies one result to where it belongs and says how it compares with the one kept in the repository.
fn deliver(guest: &Guest, artefact: &Path, out: &Path, prebuilt: &Path) -> Result<(), String> {
    let built = fs::read(artefact).map_err(|error| format!("cannot read {}: {error}", artefact.display()))?;
    check_shape(guest, &built)?;
    let comparison = match fs::read(prebuilt.join(guest.file)) {
        Ok(kept) if kept == built => "the same as the prebuilt one".to_owned(),
        // Another compiler or another dependency's patch release does that; the tests decide whether it matters.
        Ok(kept) => format!("differs from the prebuilt one ({} bytes)", kept.len()),
        Err(_) => "no prebuilt one to compare with".to_owned(),
    };
    let destination = out.join(guest.file);
    fs::write(&destination, &built).map_err(|error| format!("cannot write {}: {error}", destination.display()))?;
    step::step(&format!("{}: {} bytes, {comparison}", guest.file, built.len()));
    Ok(())
}

/// A linker that was set up wrongly makes core modules where components are wanted: better said here than by a test.
fn check_shape(guest: &Guest, wasm: &[u8]) -> Result<(), String> {
    // The magic, then version 1 of a core module or version 13, layer 1, of a component.
    let expected: &[u8] = if guest.target == WASIP1 { b"\0asm\x01\0\0\0" } else { b"\0asm\x0d\0\x01\0" };
    if wasm.starts_with(expected) {
        return Ok(());
    }
    let shape = if guest.target == WASIP1 { "core module" } else { "component" };
    Err(format!("{} is not a {shape}: its linker is not the one for {}", guest.file, guest.target))
}
