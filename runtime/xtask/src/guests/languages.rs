//! Handlers in C, Go and Zig: WASI commands, built by compilers from PyPI that are installed below the target folder.
//!
//! Without Python they are left out, but not on CI. What is built of the same sources by the same compiler is not built again.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::Built;
use crate::inputs::Inputs;
use crate::layout::Layout;
use crate::python::Environment;
use crate::step;

/// Zig is a compiler of C, too, and carries a libc for WASI.
const ZIG: Environment = Environment { folder: "guest-zig", pinned: include_str!("zig.txt"), module: "ziglang" };
const GO: Environment = Environment { folder: "guest-go", pinned: include_str!("go.txt"), module: "go" };

/// One handler.
struct Guest {
    /// The file's name among the results.
    file: &'static str,
    compiler: Compiler,
    /// The program's file, for Go its module's folder; in the repository.
    source: &'static str,
}

/// The example of each language, and what the tests look through into each.
const GUESTS: [Guest; 6] = [
    Guest { file: "orders-c.wasm", compiler: Compiler::C, source: "handlers/c/orders.c" },
    Guest { file: "orders-go.wasm", compiler: Compiler::Go, source: "handlers/go" },
    Guest { file: "orders-zig.wasm", compiler: Compiler::Zig, source: "handlers/zig/orders.zig" },
    Guest { file: "acts-c.wasm", compiler: Compiler::C, source: "tests/handlers/acts.c" },
    Guest { file: "acts-go.wasm", compiler: Compiler::Go, source: "tests/handlers/go" },
    Guest { file: "acts-zig.wasm", compiler: Compiler::Zig, source: "tests/handlers/acts.zig" },
];

/// The headers of handlers in C.
const HEADERS: &str = "handlers/c";

#[derive(Clone, Copy)]
enum Compiler {
    C,
    Go,
    Zig,
}

/// Builds all of them, or none where Python is missing.
pub(super) fn build(layout: &Layout) -> Result<Vec<Built>, String> {
    GUESTS.iter().map(|guest| guest.build(layout)).collect::<Result<_, _>>().or_else(|failure| match failure {
        Failure::NoCompiler(mend) if env::var("CI").is_ok_and(|ci| ci == "true") => Err(mend),
        Failure::NoCompiler(mend) => {
            step::step(&format!("the handlers in C, Go and Zig are left out: {mend}"));
            Ok(Vec::new())
        }
        Failure::Build(error) => Err(error),
    })
}

/// Why a handler was not built.
enum Failure {
    /// With the mend.
    NoCompiler(String),
    Build(String),
}

impl Guest {
    fn build(&self, layout: &Layout) -> Result<Built, Failure> {
        let folder = layout.target.join("guests-build/languages");
        let artefact = folder.join(self.file);
        let inputs = self.inputs(layout).map_err(Failure::Build)?;
        if !inputs.made(&artefact) {
            let bin = self.compiler.environment().prepare(layout, self.compiler.name()).map_err(Failure::NoCompiler)?;
            step::step(&format!("building {}", self.file));
            fs::create_dir_all(&folder)
                .map_err(|error| format!("cannot make the folder {}: {error}", folder.display()))
                .and_then(|()| step::run(&mut self.compile(layout, &bin, &folder, &artefact)))
                .and_then(|()| inputs.remember(&artefact))
                .map_err(Failure::Build)?;
        }
        Ok(Built { file: self.file, artefact, is_component: false })
    }

    fn inputs(&self, layout: &Layout) -> Result<Inputs, String> {
        // The command belongs to them: it is in this file.
        let mut inputs =
            Inputs::new(concat!(include_str!("zig.txt"), include_str!("go.txt"), include_str!("languages.rs")));
        inputs.add(&layout.root.join(self.source))?;
        if matches!(self.compiler, Compiler::C) {
            inputs.add(&layout.root.join(HEADERS).join("json.h"))?;
        }
        Ok(inputs)
    }

    /// The compiler's command line. Its caches are ours.
    fn compile(&self, layout: &Layout, bin: &Path, folder: &Path, artefact: &Path) -> Command {
        let source = layout.root.join(self.source);
        match self.compiler {
            Compiler::C => {
                let mut zig = zig(bin, folder);
                zig.args(["cc", "-target", "wasm32-wasi", "-O2", "-s", "-Wall", "-Wextra", "-Werror", "-I"]);
                zig.arg(layout.root.join(HEADERS)).arg(source).arg("-o").arg(artefact);
                zig
            }
            Compiler::Zig => {
                let mut zig = zig(bin, folder);
                zig.arg("build-exe").arg(source).args(["-target", "wasm32-wasi", "-O", "ReleaseSmall", "-fstrip"]);
                zig.arg(format!("-femit-bin={}", artefact.display()));
                zig
            }
            Compiler::Go => {
                let mut go = Command::new(bin.join("go"));
                // Neither the machine's paths nor the repository's state become part of it.
                go.args(["build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o"]).arg(artefact);
                go.current_dir(source)
                    .envs([("GOOS", "wasip1"), ("GOARCH", "wasm"), ("CGO_ENABLED", "0"), ("GOTOOLCHAIN", "local")])
                    .envs([("GOENV", "off"), ("GOWORK", "off"), ("GOFLAGS", "")])
                    .envs([("GOCACHE", folder.join("go-cache")), ("GOPATH", folder.join("go-path"))]);
                go
            }
        }
    }
}

fn zig(bin: &Path, folder: &Path) -> Command {
    let caches = ["ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR"];
    let mut zig = Command::new(bin.join("python"));
    zig.args(["-m", "ziglang"]).current_dir(folder).envs(caches.map(|cache| (cache, folder.join("zig-cache"))));
    zig
}

impl Compiler {
    const fn environment(self) -> Environment {
        match self {
            Self::C | Self::Zig => ZIG,
            Self::Go => GO,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::C | Self::Zig => "Zig, which compiles C too (100 MB),",
            Self::Go => "Go (70 MB)",
        }
    }
}
