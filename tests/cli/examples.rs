//! The repository's own examples, in a copy of its layout so that their data does not end up in the repository.

use std::path::PathBuf;

use serde_json::json;
use support::{Counts, Home, PATIENCE, Sqs, Wasmill, places, wasmill_with_config};

/// A copy of the examples and of what they name.
fn copy() -> Home {
    let home = Home::new();
    for name in ["minimal.toml", "full.toml"] {
        home.write(&format!("config/{name}"), std::fs::read(original(name)).unwrap());
    }
    home.write("handlers/prebuilt/orders.wasm", std::fs::read(places::guest("orders")).unwrap());
    home
}

fn original(name: &str) -> PathBuf {
    places::repository().join("config").join(name)
}

#[test]
fn check_finds_no_mistake_in_the_examples() {
    for name in ["minimal.toml", "full.toml"] {
        let config = original(name);
        let checked = wasmill_with_config("check", &config);
        assert_eq!(checked.assert_succeeds(), format!("{}: no mistakes\n", config.display()));
    }
}

#[tokio::test]
async fn the_examples_run_as_they_are() {
    // With other ports only if somebody has theirs: both examples use the default ones, so one after the other.
    for name in ["minimal.toml", "full.toml"] {
        let home = copy();
        let mut worker = start(&home, name).await;
        let sqs = match name {
            "full.toml" => Sqs::signing(&worker.endpoint(), "AKIAWASMILLORDERS", "an-example-and-no-secret"),
            _ => worker.sqs(),
        };
        let good = json!({"id": "o-1", "sku": "tea-green", "quantity": 2}).to_string();
        let poison = "two green teas, please".to_owned();
        let ids = sqs.send_batch("orders", &[good, poison]).await;
        worker.log().wait_for_said(PATIENCE, "orders", "order o-1: charged 2 x tea-green", 1).await;
        let dead = sqs.receive_all(PATIENCE, "orders-dlq", 1).await;
        assert_eq!(dead[0].message_id(), Some(ids[1].as_str()), "{name}");
        sqs.wait_for_counts(PATIENCE, "orders", Counts::EMPTY).await;
        worker.assert_sound().await;
        assert!(home.path().join("config/data").is_dir(), "{name}: relative paths start at the config file's folder");
        worker.stop().await;
    }
}

async fn start(home: &Home, name: &str) -> Wasmill {
    let path = home.path().join("config").join(name);
    let mut as_is = home.launch_file(&path);
    if as_is.becomes_ready().await {
        return as_is;
    }
    assert_eq!(as_is.wait_exit(PATIENCE).await.code(), Some(4));
    assert!(!as_is.log().pick(|line| line.text.contains("cannot listen")).is_empty(), "{}", as_is.log().end());
    let text = std::fs::read_to_string(&path).unwrap();
    let elsewhere = if name == "minimal.toml" {
        let admin = "\n[admin]\nlisten = \"127.0.0.1:0\"\n[local_queue]\nlisten = \"127.0.0.1:0\"\n";
        text.replace("\n[local_queue]\n", admin)
    } else {
        text.replace("\"127.0.0.1:9324\"", "\"127.0.0.1:0\"").replace("\"127.0.0.1:9325\"", "\"127.0.0.1:0\"")
    };
    let path = home.write(&format!("config/elsewhere-{name}"), elsewhere);
    let mut worker = home.launch_file(&path);
    worker.wait_until_ready().await;
    worker
}
