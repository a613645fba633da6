//! Mistakes in the configuration: all of them in one go, each with its line, its key and the mend.

use serde_json::{Value, json};
use support::{Home, wasmill, wasmill_with_config};

const FIVE_MISTAKES: &str = r#"[local_queue]
listen = "0.0.0.0:9324"

[[queue]]
name = "orders"
vizibility_timeout = 30

[[function]]
name = "orders"
code = "absent.wasm"

[[event_source_mapping]]
event_source_arn = "order"
function_name = "orders"
batch_size = 0
"#;

/// Line and column, key, and the mistake's own words; then the words of its mend.
const REPORTED: [(&str, &str, &str, &str); 5] = [
    ("2:10", "local_queue.listen", "not a loopback address", "127.0.0.1"),
    ("6:1", "queue[0].vizibility_timeout", "unknown key", "did you mean visibility_timeout?"),
    ("10:8", "function[0].code", "\"absent.wasm\"", "build it, or correct the path"),
    ("13:20", "event_source_mapping[0].event_source_arn", "there is no queue \"order\"", "did you mean \"orders\"?"),
    ("15:14", "event_source_mapping[0].batch_size", "0 is not in 1–10", "write a whole number from 1 to 10"),
];

#[test]
fn five_mistakes_are_reported_in_one_go_by_check_and_by_run() {
    let home = Home::new();
    let config = home.write("five.toml", FIVE_MISTAKES);
    for command in ["check", "run"] {
        let refused = wasmill_with_config(command, &config);
        refused.assert_fails(3, &["error: the configuration has 5 mistakes\n"]);
        let lines: Vec<&str> = refused.stderr.lines().collect();
        assert_eq!(lines.len(), 1 + 2 * REPORTED.len(), "{command}: {refused}");
        for (index, (place, key, what, mend)) in REPORTED.iter().enumerate() {
            let (said, mended) = (lines[1 + 2 * index], lines[2 + 2 * index]);
            let address = format!("{}:{place}  {key}: ", config.display());
            assert!(said.starts_with(&address) && said.contains(what), "{said}");
            assert!(mended.starts_with("    mend: ") && mended.contains(mend), "{mended}");
        }
    }
}

#[test]
fn check_reports_them_as_json_for_scripts() {
    let home = Home::new();
    let config = home.write("five.toml", FIVE_MISTAKES);
    let refused = wasmill(["check".as_ref(), "--json".as_ref(), "--config".as_ref(), config.as_os_str()]);
    assert_eq!((refused.code, refused.stderr.as_str()), (Some(3), ""), "{refused}");
    let report: Value = serde_json::from_str(&refused.stdout).unwrap();
    assert_eq!(report["warnings"], json!([]));
    let mistakes = report["mistakes"].as_array().unwrap();
    assert_eq!(mistakes.len(), REPORTED.len());
    for (mistake, (place, key, what, mend)) in mistakes.iter().zip(REPORTED) {
        assert_eq!(format!("{}:{}", mistake["line"], mistake["column"]), place);
        assert_eq!(mistake["key"], key);
        assert_eq!(mistake["file"], config.display().to_string());
        assert!(mistake["what"].as_str().unwrap().contains(what), "{mistake}");
        assert!(mistake["mend"].as_str().unwrap().contains(mend), "{mistake}");
    }
}

#[test]
fn unknown_keys_are_refused_wherever_they_stand() {
    let home = Home::new();
    let config = "regoin = \"us-east-1\"\n[local_queue]\ndata_dri = \"data\"\n[admin]\nport = 1\n[[queue]]\nname = \"q\"\n\
                  redrive_policy = { max_receive_cuont = 3 }\n[quue]\n";
    let config = home.write("keys.toml", config);
    let refused = wasmill_with_config("check", &config);
    let parts = [
        ":1:1  regoin: unknown key\n    mend: did you mean region?\n",
        ":3:1  local_queue.data_dri: unknown key\n    mend: did you mean data_dir?\n",
        ":5:1  admin.port: unknown key\n",
        "queue[0].redrive_policy.max_receive_cuont: unknown key\n    mend: did you mean max_receive_count?\n",
        "  quue: unknown key\n    mend: did you mean queue?",
    ];
    refused.assert_fails(3, &parts);
}

#[test]
fn keys_of_a_later_version_are_refused_as_not_yet() {
    let home = Home::new();
    let config = home.write(
        "later.toml",
        support::config::IN_MEMORY.to_owned()
            + &support::config::queue("orders", "")
            + &support::config::function("orders", "orders", "")
            + &support::config::mapping("orders", "orders", "provisioned_poller_config = { minimum_pollers = 2 }"),
    );
    let refused = wasmill_with_config("check", &config);
    refused.assert_fails(3, &["has a mistake", "].provisioned_poller_config: ", "ot yet"]);
}

#[test]
fn secrets_from_the_environment_are_not_printed() {
    let home = Home::new();
    let config =
        home.write("secret.toml", "region = \"${AWS_SECRET_ACCESS_KEY} x\"\naccount_id = \"${NOT_SET_AT_ALL}\"\n");
    let mut command = support::command::wasmill_command(["check".as_ref(), "--config".as_ref(), config.as_os_str()]);
    command.env("AWS_SECRET_ACCESS_KEY", "hunter2");
    let refused = support::command::run(&mut command, "");
    refused.assert_fails(3, &["${AWS_SECRET_ACCESS_KEY}", "NOT_SET_AT_ALL is not set"]);
    assert!(!refused.stderr.contains("hunter2"), "{refused}");
}

#[test]
fn a_config_that_cannot_be_read_or_is_no_toml_is_one_mistake() {
    let home = Home::new();
    let absent = home.path().join("absent.toml");
    let torn = home.write("torn.toml", "[local_queue\nlisten = 1\n");
    let binary = home.write("binary.toml", b"region = \"\xff\xfe\"");
    let empty = home.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    for (config, part) in [
        (&absent, "the config file cannot be read: No such file"),
        (&torn, "torn.toml:1:"),
        (&binary, "not UTF-8 text"),
        (&empty, "there is no .toml file in this folder"),
    ] {
        for command in ["check", "run"] {
            let refused = wasmill_with_config(command, config);
            refused.assert_fails(3, &["error: the configuration has a mistake\n", part, "\n    mend: "]);
        }
    }
}

#[test]
fn wrong_usage_ends_with_2_and_says_what_is_right() {
    for (line, parts) in [
        ("", &["Usage: wasmill"] as &[&str]),
        ("run", &["--config <FILE>"]),
        ("frobnicate", &["unrecognized subcommand 'frobnicate'"]),
        ("chekc --config x", &["similar subcommand exists: 'check'"]),
        ("queue serve --in-memory --data-dir x", &["cannot be used with"]),
        ("queue serve --listen 0.0.0.0:9324", &["0.0.0.0:9324", "WASMILL_ACCESS_KEY_ID"]),
        ("queue peek q --endpoint-url http://127.0.0.1:1", &["--receive"]),
        ("queue peek q --admin-url 127.0.0.1:9325", &["is not the URL of an admin listener", "http://HOST:PORT"]),
        ("queue peek a/b%20c", &["neither a queue's name nor its URL"]),
        ("queue redrive q --cancel --wait", &["cannot be used with"]),
    ] {
        let refused = wasmill(line.split_whitespace());
        refused.assert_fails(2, parts);
    }
}

#[test]
fn help_has_an_example_and_the_exit_codes_for_every_command() {
    for line in [
        "",
        "run",
        "check",
        "invoke",
        "import",
        "config",
        "config show",
        "config schema",
        "queue",
        "queue serve",
        "queue ls",
        "queue stats",
        "queue send",
        "queue peek",
        "queue redrive",
        "queue purge",
        "demo",
        "completions",
        "man",
    ] {
        let help = wasmill(line.split_whitespace().chain(["--help"]));
        let text = help.assert_succeeds();
        assert!(text.contains("Exit codes:\n  0   success"), "{line}: {text}");
        assert!(line.is_empty() || text.contains("Example:\n  wasmill "), "{line}: {text}");
    }
    let version = wasmill(["--version"]);
    assert!(version.assert_succeeds().starts_with("wasmill 0."), "{version}");
}
