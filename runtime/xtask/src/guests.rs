//! `cargo xtask guests`: builds the handlers of `handlers/` from source and compares them with those in the repository.
//!
//! Those in Rust are built here, those in other languages in `languages.rs`.

mod languages;

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

/// Everything in Rust that the demo and the tests run. `faulty-command` is built in both shapes a command may have.
const GUESTS: [Guest; 5] = [
    Guest { package: "orders", target: WASIP2, file: "orders.wasm" },
    Guest { package: "echo", target: WASIP2, file: "echo.wasm" },
    Guest { package: "faulty", target: WASIP2, file: "faulty.wasm" },
    Guest { package: "faulty-command", target: WASIP2, file: "command.wasm" },
    Guest { package: "faulty-command", target: WASIP1, file: "command-p1.wasm" },
];

/// A handler that was built.
struct Built {
    /// The file's name among the results.
    file: &'static str,
    /// Where it was built.
    artefact: PathBuf,
    /// Whether it has to be a component, not a core module.
    is_component: bool,
}

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
    let mut built = in_rust(layout)?;
    built.append(&mut languages::build(layout)?);
    fs::create_dir_all(&out).map_err(|error| format!("cannot make the folder {}: {error}", out.display()))?;
    for guest in &built {
        deliver(guest, &out, &layout.prebuilt_guests())?;
    }
    step::step(&format!("the guests are in {}", out.display()));
    Ok(())
}

/// Builds the members of the workspace `handlers/`.
fn in_rust(layout: &Layout) -> Result<Vec<Built>, String> {
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
    let built = |guest: &Guest| Built {
        file: guest.file,
        artefact: build_dir.join(format!("{}/release/{}.wasm", guest.target, guest.package)),
        is_component: guest.target == WASIP2,
    };
    Ok(GUESTS.iter().map(built).collect())
}

/// Copies one result to where it belongs and says how it compares with the one kept in the repository.
fn deliver(guest: &Built, out: &Path, prebuilt: &Path) -> Result<(), String> {
    let artefact = guest.artefact.display();
    let built = fs::read(&guest.artefact).map_err(|error| format!("cannot read {artefact}: {error}"))?;
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
fn check_shape(guest: &Built, wasm: &[u8]) -> Result<(), String> {
    // The magic, then version 1 of a core module or version 13, layer 1, of a component.
    let (shape, expected) =
        if guest.is_component { ("component", b"\0asm\x0d\0\x01\0") } else { ("core module", b"\0asm\x01\0\0\0") };
    if wasm.starts_with(expected) {
        Ok(())
    } else {
        Err(format!("{} is not a {shape}: it was linked wrongly", guest.file))
    }
}
