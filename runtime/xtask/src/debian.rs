//! Programs from Debian's packages, unpacked into a folder of ours: a Rust compiler with the source of its standard library, and
//! what the tests drive.
//!
//! Nothing is installed: apt works on lists and a cache of its own below that folder, and no root is needed. The
//! compiler's packages are `rustc-web` and `rust-web-src` (the Rust that Debian keeps new enough for its browsers), their
//! dependencies, and `wasi-libc`: 140 MB to fetch, 480 MB unpacked.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};

use crate::guests::TARGETS;
use crate::step;

const PACKAGES: [&str; 4] = ["rustc-web", "rust-web-src", "libstd-rust-web-dev", "wasi-libc"];

/// What rustc looks for beside a WASI target's standard library, and `wasi-libc` has.
const SELF_CONTAINED: [&str; 3] = ["crt1-command.o", "crt1-reactor.o", "libc.a"];

/// The toolchain's `usr` folder. Made when it is not there yet; a folder of that name is a whole one.
pub(crate) fn private_toolchain(folder: &Path) -> Result<PathBuf, String> {
    let what = "a compiler for guests from Debian's packages (140 MB, once)";
    whole(folder, what, |folder| {
        fetch(folder, &PACKAGES)?;
        let usr = folder.join("usr");
        link_library_source(&usr)?;
        TARGETS.into_iter().try_for_each(|target| give_wasi_libc(&usr, target))
    })
}

/// The `usr` folder of packages with what they depend on and the machine lacks. Made when it is not there yet.
pub(crate) fn programs(folder: &Path, packages: &[&str]) -> Result<PathBuf, String> {
    let what = format!("{} from Debian's packages (once)", packages.join(" and "));
    whole(folder, &what, |folder| fetch(folder, packages))
}

/// Makes a folder whole or not at all.
fn whole(folder: &Path, what: &str, make: impl FnOnce(&Path) -> Result<(), String>) -> Result<PathBuf, String> {
    let usr = folder.join("usr");
    if usr.is_dir() {
        return Ok(usr);
    }
    for tool in ["apt-get", "dpkg-deb"] {
        step::read(Command::new(tool).arg("--version"))?;
    }
    step::step(&format!("fetching {what}"));
    let unfinished = folder.with_extension(process::id().to_string());
    let made = make(&unfinished).and_then(|()| {
        fs::rename(&unfinished, folder).map_err(|error| format!("cannot name {}: {error}", folder.display()))
    });
    if made.is_err() {
        // What is half done only takes space; the error worth telling is the first one.
        let _ = fs::remove_dir_all(&unfinished);
    }
    made.map(|()| usr)
}

/// The folder of the compiler's shared libraries, whose name differs between machine types.
pub(crate) fn library_folder(usr: &Path) -> Result<PathBuf, String> {
    let lib = usr.join("lib");
    let has_compiler = |folder: &PathBuf| {
        folder_entries(folder)
            .is_ok_and(|names| names.iter().any(|name| file_name(name).starts_with("librustc_driver")))
    };
    let found = folder_entries(&lib)?.into_iter().find(has_compiler);
    found.ok_or_else(|| format!("no compiler library below {}; remove the folder and try again", lib.display()))
}

fn fetch(folder: &Path, packages: &[&str]) -> Result<(), String> {
    let apt = folder.join("apt");
    for subfolder in ["lists/partial", "cache/archives/partial"] {
        let path = apt.join(subfolder);
        fs::create_dir_all(&path).map_err(|error| format!("cannot make {}: {error}", path.display()))?;
    }
    // A machine may know package sources that do not answer. What counts is whether the packages can be had.
    let update = step::read(apt_get(&apt).arg("update"));
    let download = ["install", "--download-only", "--reinstall", "--yes", "--no-install-recommends"];
    step::read(apt_get(&apt).args(download).args(packages)).map_err(|error| match update {
        Ok(_) => error,
        Err(update_error) => format!("{error}; before that, {update_error}"),
    })?;
    for archive in folder_entries(&apt.join("cache/archives"))?.iter().filter(|path| path.is_file()) {
        unpack(archive, folder)?;
    }
    remove(&apt)
}

fn apt_get(apt: &Path) -> Command {
    let mut command = Command::new("apt-get");
    command
        .arg("-qq")
        .arg("-o")
        .arg(format!("Dir::State::lists={}", apt.join("lists").display()))
        .arg("-o")
        .arg(format!("Dir::Cache={}", apt.join("cache").display()))
        // Nothing of the system's is written, so its locks are not needed, nor is a user who may not read our folder.
        .args(["-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=root"]);
    command
}

/// Unpacks what is needed of one package: of the source only the standard library, of the rest no documentation. Valgrind has its
/// tools where others have helpers of the system's.
fn unpack(archive: &Path, folder: &Path) -> Result<(), String> {
    let wanted: &[&str] = if file_name(archive).starts_with("rust-web-src") {
        &["--wildcards", "./usr/src/*/library"]
    } else if file_name(archive).starts_with("valgrind_") {
        &["--exclude=./usr/share"]
    } else {
        &["--exclude=./usr/share", "--exclude=./usr/libexec"]
    };
    let context = |error: io::Error| format!("cannot unpack {}: {error}", archive.display());
    let mut package =
        Command::new("dpkg-deb").arg("--fsys-tarfile").arg(archive).stdout(Stdio::piped()).spawn().map_err(context)?;
    let content = package.stdout.take().map_or_else(Stdio::null, Stdio::from);
    let unpacked = step::read(Command::new("tar").arg("-x").arg("-C").arg(folder).args(wanted).stdin(content));
    let read_whole = package.wait().map_err(context)?;
    unpacked?;
    if read_whole.success() { Ok(()) } else { Err(format!("{} is damaged", archive.display())) }
}

/// Cargo looks for the source of the standard library below the compiler's own folder.
fn link_library_source(usr: &Path) -> Result<(), String> {
    let source = folder_entries(&usr.join("src"))?
        .into_iter()
        .find(|path| path.join("library/std").is_dir())
        .ok_or("rust-web-src has no library/std")?;
    let place = usr.join("lib/rustlib/src");
    fs::create_dir_all(&place)
        .and_then(|()| symlink(Path::new("../../../src").join(file_name(&source)), place.join("rust")))
        .map_err(|error| format!("cannot link the library source into {}: {error}", place.display()))
}

fn give_wasi_libc(usr: &Path, target: &str) -> Result<(), String> {
    let place = usr.join("lib/rustlib").join(target).join("lib/self-contained");
    fs::create_dir_all(&place).map_err(|error| format!("cannot make {}: {error}", place.display()))?;
    for file in SELF_CONTAINED {
        let from = usr.join("lib/wasm32-wasi").join(file);
        fs::copy(&from, place.join(file)).map_err(|error| format!("cannot copy {}: {error}", from.display()))?;
    }
    Ok(())
}

fn remove(folder: &Path) -> Result<(), String> {
    fs::remove_dir_all(folder).map_err(|error| format!("cannot remove {}: {error}", folder.display()))
}

/// The paths of everything directly in a folder.
fn folder_entries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let context = |error: io::Error| format!("cannot read the folder {}: {error}", folder.display());
    let entries = fs::read_dir(folder).map_err(context)?;
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(context)).collect()
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
