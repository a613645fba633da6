//! Compiled modules on disk: used, verified, replaced, never required.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use wasmill_sandbox::{Code, EngineConfig, Function};

use crate::support::{House, call, lines, text};
use crate::wat::{command_module, json};

fn house(dir: &Path) -> House {
    House::with(EngineConfig { cache_dir: Some(dir.to_path_buf()), ..EngineConfig::default() })
}

fn artefacts(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn echo() -> Code {
    json("cached-echo", "(call $ok (local.get $event) (local.get $event-len))")
}

/// Loads in a sandbox of its own, as after a restart; true when the cache was used.
async fn loads_from_cache(dir: &Path, code: Code) -> bool {
    let house = house(dir);
    let function = house.load(code);
    let _ = text(call(&function, "r", "hi").await);
    let cached = house.metric(r#"wasmill_function_loads_total{function="orders",kind="cached"}"#);
    let compiled = house.metric(r#"wasmill_function_loads_total{function="orders",kind="compiled"}"#);
    assert_eq!(cached + compiled, 1.0);
    cached == 1.0
}

#[tokio::test]
async fn the_second_load_is_taken_from_the_cache() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("made");
    let command = || command_module("cached-p1", "", "");
    assert!(!loads_from_cache(&dir, echo()).await);
    assert!(!loads_from_cache(&dir, command()).await);
    assert!(loads_from_cache(&dir, echo()).await);
    assert!(loads_from_cache(&dir, command()).await);
    assert_eq!(artefacts(&dir).len(), 2);
    assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn a_damaged_or_cut_artefact_is_compiled_again_and_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("cache");
    assert!(!loads_from_cache(&dir, echo()).await);
    let artefact = artefacts(&dir).remove(0);
    let good = fs::read(&artefact).unwrap();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    for bad in [flipped.as_slice(), &good[..good.len() - 1], &[]] {
        fs::write(&artefact, bad).unwrap();
        assert!(!loads_from_cache(&dir, echo()).await, "a bad artefact of {} bytes was used", bad.len());
        let replaced = artefacts(&dir);
        assert_eq!(replaced.len(), 1);
        assert!(fs::read(&replaced[0]).unwrap().len() >= good.len() - 1);
        assert!(loads_from_cache(&dir, echo()).await);
        fs::rename(&replaced[0], &artefact).unwrap();
    }
    // An artefact with a sum that fits but which wasmtime did not write.
    let foreign = b"\x7fELF not really".as_slice();
    let name = artefact.file_name().unwrap().to_str().unwrap().split_once('.').unwrap().0.to_owned();
    fs::remove_file(&artefact).unwrap();
    let sum = {
        use sha2::Digest;
        sha2::Sha256::digest(foreign).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    fs::write(dir.join(format!("{name}.{sum}.cwasm")), foreign).unwrap();
    assert!(!loads_from_cache(&dir, echo()).await);
    assert!(loads_from_cache(&dir, echo()).await);
}

#[tokio::test]
async fn a_folder_that_others_can_write_to_is_not_used_and_that_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("open");
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, PermissionsExt::from_mode(0o777)).unwrap();
    assert!(!loads_from_cache(&dir, echo()).await);
    assert!(!loads_from_cache(&dir, echo()).await);
    assert!(artefacts(&dir).is_empty());
    let shown = dir.display().to_string();
    let line = lines().into_iter().find(|line| line.get("dir").is_some_and(|dir| *dir == shown)).unwrap();
    assert_eq!(line["level"], "WARN");
    assert!(line["reason"].contains("other users can write to it"), "{line:?}");
}

#[tokio::test]
async fn code_that_a_function_has_is_not_compiled_again_even_for_those_who_want_it_at_once() {
    let house = House::new();
    let loads =
        |kind: &str| house.metric(&format!("wasmill_function_loads_total{{function=\"orders\",kind=\"{kind}\"}}"));
    let functions: Vec<Function> = thread::scope(|scope| {
        let loading: Vec<_> = (0..4).map(|_| scope.spawn(|| house.load(echo()))).collect();
        loading.into_iter().map(|load| load.join().unwrap()).collect()
    });
    assert_eq!((loads("compiled"), loads("cached")), (1.0, 3.0));
    drop(functions);
    let again = house.load(echo());
    assert_eq!(loads("compiled"), 2.0, "what nobody has any more was kept");
    assert_eq!(text(call(&again, "r", "hi").await), "hi");
}

#[tokio::test]
async fn code_that_a_function_has_counts_as_used_where_room_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("cache");
    let house = house(&dir);
    let _first = house.load(echo());
    let artefact = artefacts(&dir).remove(0);
    let long_ago = SystemTime::now() - Duration::from_secs(3600);
    File::options().append(true).open(&artefact).unwrap().set_modified(long_ago).unwrap();
    let _second = house.load(echo());
    let used = fs::metadata(&artefact).unwrap().modified().unwrap();
    assert!(used > long_ago + Duration::from_secs(1800), "it would be the first to go");
}
