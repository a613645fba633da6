//! A handler's `/tmp`: its own, as large as was said, and gone with the instance.

use std::path::Path;
use std::time::Duration;

use wasmill_sandbox::{EngineConfig, Function, FunctionSpec, LoadError, Mount, Reuse};

use crate::disk::{NO_ENTRY, NO_SPACE, NOT_PERMITTED, disk};
use crate::support::{House, call, eventually, spec, text};
use crate::wat::command_module;

/// The answers for `error-code.cross-device` and `error-code.name-too-long`.
const CROSS_DEVICE: &str = "37";
const NAME_TOO_LONG: &str = "19";

fn house(scratch: &Path) -> House {
    House::with(EngineConfig { scratch_dir: scratch.to_owned(), ..EngineConfig::default() })
}

fn function(house: &House, mib: u32, reuse: Option<Reuse>) -> Function {
    let timeout = Duration::from_secs(60);
    house.sandbox.load(FunctionSpec { ephemeral_storage_mib: Some(mib), reuse, timeout, ..spec(disk("disk")) }).unwrap()
}

/// What the guest answers to these lines, in its folder.
async fn does(function: &Function, lines: &[&str]) -> Vec<String> {
    let answer = text(call(function, "disk", &format!("@0\n{}", lines.join("\n"))).await);
    answer.trim_end_matches('|').split('|').skip(1).map(str::to_owned).collect()
}

/// Folders of instances below the scratch folder.
fn disks(scratch: &Path) -> usize {
    let process = std::fs::read_dir(scratch).unwrap().next();
    process.map_or(0, |folder| std::fs::read_dir(folder.unwrap().path()).unwrap().count() - 1)
}

#[tokio::test]
async fn each_invocation_has_an_empty_folder_and_a_warm_instance_keeps_its_own() {
    let scratch = tempfile::tempdir().unwrap();
    let house = house(scratch.path());
    let fresh = function(&house, 1, None);
    for _ in 0..2 {
        assert_eq!(does(&fresh, &["rmine", "cmine", "w10"]).await, [NO_ENTRY, "0", "0"]);
    }
    eventually("the folders are gone", || disks(scratch.path()) == 0).await;
    let warm = function(&house, 1, Some(Reuse::default()));
    assert_eq!(does(&warm, &["rmine", "cmine", "w10"]).await, [NO_ENTRY, "0", "0"]);
    assert_eq!(does(&warm, &["rmine"]).await, ["0"]);
    assert_eq!(disks(scratch.path()), 1);
    // Another instance does not see it.
    let other = function(&house, 1, Some(Reuse::default()));
    assert_eq!(does(&other, &["rmine", "cother"]).await, [NO_ENTRY, "0"]);
    assert_eq!(does(&warm, &["rmine", "rother"]).await, ["0", NO_ENTRY]);
    assert_eq!(disks(scratch.path()), 2);
    drop((fresh, warm, other));
    drop(house);
    eventually("everything is gone", || std::fs::read_dir(scratch.path()).unwrap().next().is_none()).await;
}

#[tokio::test]
async fn a_full_disk_is_enospc_in_every_way_of_writing_and_deleting_makes_room() {
    let scratch = tempfile::tempdir().unwrap();
    let house = house(scratch.path());
    let function = function(&house, 1, None);
    // Write until it is full; what is there can be read, overwritten and deleted.
    let answers =
        does(&function, &["clarge", "w1048576", "w1", "a1", "t1048577", "t1048576", "csmall", "w1", "a1"]).await;
    assert_eq!(answers, ["0", "0", NO_SPACE, NO_SPACE, NO_SPACE, "0", "0", NO_SPACE, NO_SPACE]);
    let answers =
        does(&function, &["ca", "w1000000", "q", "ua", "cb", "w1000000", "t0", "a1000000", "cc", "w100000"]).await;
    assert_eq!(answers, ["0", "0", "0", "0", "0", "0", "0", "0", "0", NO_SPACE]);
    // A sparse file takes its length, a file that is deleted and open takes its room, as often as it is tried.
    assert_eq!(
        does(&function, &["csparse", "t1048577", "t1048576", "cmore", "w1"]).await,
        ["0", NO_SPACE, "0", "0", NO_SPACE]
    );
    let answers = does(&function, &["ca", "w1000000", "ua", "cb", "w1000000"]).await;
    assert_eq!(answers, ["0", "0", "0", "0", NO_SPACE]);
    // A hard link takes no second room, and keeps the first.
    let answers = does(&function, &["ca", "w1000000", "q", "ha b", "ua", "cc", "w1000000", "ub", "w1000000"]).await;
    assert_eq!(answers, ["0", "0", "0", "0", "0", "0", NO_SPACE, "0", "0"]);
}

#[tokio::test]
async fn nothing_leads_out_of_the_folder() {
    let scratch = tempfile::tempdir().unwrap();
    let house = house(scratch.path());
    let secret = scratch.path().join("secret");
    std::fs::write(&secret, "the host's own").unwrap();
    let app = tempfile::tempdir().unwrap();
    std::fs::write(app.path().join("mine"), "the handler's").unwrap();
    let mounts = vec![Mount { folder: app.path().to_owned(), at: "/app".into() }];
    let spec = FunctionSpec { ephemeral_storage_mib: Some(1), mounts, ..spec(disk("out")) };
    let function = house.sandbox.load(spec).unwrap();
    let outside = secret.display().to_string();
    for lines in [
        ["l../../secret link".to_owned(), "rlink".to_owned()],
        [format!("l{outside} link"), "rlink".to_owned()],
        ["h../../secret link".to_owned(), "rlink".to_owned()],
        [format!("h{outside} link"), "rlink".to_owned()],
        ["m../../secret mine".to_owned(), "rmine".to_owned()],
        ["c../new".to_owned(), "d../../new".to_owned()],
        [format!("o{outside}"), "u../lock".to_owned()],
        ["r/etc/passwd".to_owned(), "r../lock".to_owned()],
    ] {
        // The second folder is /tmp; the first, /app, can only be read.
        let answer = text(call(&function, "out", &format!("@1\n{}", lines.join("\n"))).await);
        let answers: Vec<&str> = answer.trim_end_matches('|').split('|').skip(1).collect();
        assert!(!answers.contains(&"0"), "{lines:?}: {answers:?}");
    }
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "the host's own");
    let answer = text(call(&function, "out", "@0\ncnew\nomine\nlmine x").await);
    assert_eq!(answer, format!("0|{NOT_PERMITTED}|{NOT_PERMITTED}|{NOT_PERMITTED}|"));
}

#[tokio::test]
async fn files_and_the_depth_of_folders_are_bounded_too() {
    let scratch = tempfile::tempdir().unwrap();
    let house = house(scratch.path());
    let function = function(&house, 1, Some(Reuse::default()));
    let deeper = "dd\npd\n".repeat(40);
    let answer = text(call(&function, "deep", &format!("@0\n{deeper}")).await);
    assert_eq!(answer.matches(NAME_TOO_LONG).count(), 8, "{answer}");
    // A folder may get another name, and no other place: it would take its depth along.
    let answers = does(&function, &["da", "db", "ma b/a", "ma c", "rc", "cfile", "mfile b/file"]).await;
    assert_eq!(answers, ["0", "0", CROSS_DEVICE, "0", "0", "0", "0"]);
    // 10 000 names are the most; each invocation makes a thousand, and a hundred are there.
    let mut full = 0;
    for round in 0..11 {
        let lines: String = (0..1000).map(|file| format!("df{round}-{file}\n")).collect();
        let answer = text(call(&function, "many", &format!("@0\n{lines}")).await);
        full += answer.split('|').filter(|answer| *answer == NO_SPACE).count();
    }
    assert!((1000..1100).contains(&full), "{full} were refused");
    let answers = does(&function, &["xf0-1", "cfinal"]).await;
    assert_eq!(answers, ["0", "0"]);
}

#[test]
fn what_cannot_have_a_disk_is_refused_with_the_mend() {
    let house = House::new();
    let refused = |spec: FunctionSpec| house.sandbox.load(spec).unwrap_err();
    let module = FunctionSpec { ephemeral_storage_mib: Some(1), ..spec(command_module("p1", "", "")) };
    let error = refused(module);
    assert!(matches!(error, LoadError::NoFolders { .. }));
    assert!(error.to_string().contains("make it a component (wasm32-wasip2)"), "{error}");
    let large = FunctionSpec { ephemeral_storage_mib: Some(10_241), ..spec(disk("large")) };
    assert_eq!(
        refused(large).to_string(),
        "large.wasm: ephemeral_storage in MiB is 10241: it must be between 1 and 10240"
    );
    let nowhere = EngineConfig { scratch_dir: "/nowhere/at/all".into(), ..EngineConfig::default() };
    let house = House::with(nowhere);
    let error = house.sandbox.load(FunctionSpec { ephemeral_storage_mib: Some(1), ..spec(disk("none")) }).unwrap_err();
    assert!(error.to_string().contains("set TMPDIR"), "{error}");
}
