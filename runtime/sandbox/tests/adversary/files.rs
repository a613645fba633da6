//! Guests that try to leave their folder, and those that hoard what they may open.

use std::os::unix::fs::symlink;

use wasmill_event::{FaultKind, Reply};
use wasmill_sandbox::{FunctionSpec, Mount};

use crate::disk::{NOT_PERMITTED, QUOTA, disk};
use crate::stage::{Stage, Turn, call};

/// A function that sees `folder` at `/app`.
fn spec(folder: &std::path::Path) -> FunctionSpec {
    FunctionSpec { mounts: vec![Mount { folder: folder.to_owned(), at: "/app".into() }], ..Stage::spec(disk("files")) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_path_leads_out_of_a_mounted_folder() {
    let turn = &Turn::take();
    let stage = Stage::new(turn);
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), "the host's own").unwrap();
    let app = outside.path().join("app");
    std::fs::create_dir_all(app.join("deep/er")).unwrap();
    std::fs::write(app.join("mine"), "the handler's own").unwrap();
    symlink("mine", app.join("inside")).unwrap();
    symlink("../secret", app.join("up")).unwrap();
    symlink(outside.path().join("secret"), app.join("absolute")).unwrap();
    symlink(outside.path(), app.join("folder")).unwrap();
    symlink("..", app.join("deep/up")).unwrap();
    symlink("/proc/self/environ", app.join("environ")).unwrap();
    let function = stage.sandbox.load(spec(&app)).unwrap();
    let read = async |path: &str| match call(&function, &format!("@0\nr{path}\ng")).await {
        Ok(Reply::Json(answer)) => answer,
        other => panic!("{path}: {other:?}"),
    };
    for inside in ["mine", "./mine", "inside", "deep/../mine", "deep/up/mine", "deep/er/../../mine"] {
        assert_eq!(read(inside).await, "0|0|the handler's own|", "{inside}");
    }
    let secret = outside.path().join("secret");
    for outside in [
        "../secret",
        "up",
        "absolute",
        "folder/secret",
        "deep/../../secret",
        "deep/up/../secret",
        "environ",
        "/etc/passwd",
        "/proc/self/environ",
        "//etc/passwd",
        "deep/up/up",
        ".../secret",
        "mine/../../secret",
        secret.to_str().unwrap(),
    ] {
        let answer = call(&function, &format!("@0\nr{outside}")).await;
        let answer = match answer {
            Ok(Reply::Json(answer)) => answer,
            other => panic!("{outside}: {other:?}"),
        };
        assert_ne!(answer, "0|0|", "{outside} was opened");
    }
    // And nothing is changed.
    for change in ["cnew", "omine", "dnew", "umine", "xdeep/er", "lmine other", "hmine other", "mmine other"] {
        let answer = call(&function, &format!("@0\n{change}")).await;
        assert!(
            matches!(&answer, Ok(Reply::Json(text)) if *text == format!("0|{NOT_PERMITTED}|")),
            "{change}: {answer:?}"
        );
    }
    assert_eq!(std::fs::read_to_string(app.join("mine")).unwrap(), "the handler's own");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_opens_no_more_files_than_it_may() {
    let turn = &Turn::take();
    let stage = Stage::new(turn);
    let app = tempfile::tempdir().unwrap();
    std::fs::write(app.path().join("mine"), "x").unwrap();
    // All stay open; the answer to the last says what became of it.
    let event = format!("@0\n{}", "rmine\n".repeat(2000));
    let (ended, toll) = stage.attack_as("hoards of open files", spec(app.path()), &event).await;
    for answer in ended {
        match answer {
            Ok(Reply::Json(text)) => assert!(text.ends_with(&format!("{QUOTA}|")), "{}", text.len()),
            other => panic!("{other:?}"),
        }
    }
    toll.is_bearable();
    // One that closes what it opens goes on for ever.
    let function = stage.sandbox.load(spec(app.path())).unwrap();
    let event = format!("@0\n{}", "rmine\nq\n".repeat(1000));
    let answer = call(&function, &event).await;
    assert!(matches!(&answer, Ok(Reply::Json(text)) if !text.contains(QUOTA)), "{answer:?}");
    assert_ne!(call(&function, "nonsense").await.map_err(|fault| fault.kind), Err(FaultKind::Host));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_full_of_names_and_filled_and_emptied_again_does_not_keep_a_thread() {
    let turn = &Turn::take();
    let stage = Stage::new(turn);
    let names: String = (0..1000).map(|name| format!("d{name}\n")).collect();
    // Each of the last writes finds the disk full, and whether that is still so has to be measured.
    let again = "cmore\nw1\numore\nq\n".repeat(300);
    let event = format!("@0\n{names}clarge\nw1048576\n{again}");
    let spec = FunctionSpec { ephemeral_storage_mib: Some(1), ..Stage::spec(disk("filled")) };
    let (ended, toll) = stage.attack_as("a disk filled again and again", spec, &event).await;
    for answer in ended {
        assert!(answer.is_ok() || answer.is_err_and(|fault| fault.kind == FaultKind::Timeout));
    }
    toll.is_bearable();
}
