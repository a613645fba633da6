//! Several files, variables that override them, and what the whole comes to.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};

use serde_json::json;

use super::document::Text;
use super::*;

/// A folder of these files, and `orders.wasm`.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("orders.wasm"), b"\0asm").unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// What is loaded with these variables, which override, and `HOME` and `PLACE`.
fn load_with(path: &Path, variables: &[(&str, &str)]) -> Result<Config, Mistakes> {
    let own = [("HOME", "/home/someone"), ("PLACE", "eu-west-1")];
    let env = |name: &str| {
        let found = variables.iter().chain(&own).find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let names: Vec<String> = variables.iter().map(|(name, _)| (*name).to_owned()).collect();
    load(path, &env, &names)?.finish(Vec::new())
}

#[track_caller]
fn only_mistake(path: &Path, variables: &[(&str, &str)]) -> String {
    let mistakes = load_with(path, variables).unwrap_err();
    assert_eq!(mistakes.findings().len(), 1, "{mistakes}");
    mistakes.to_string()
}

#[test]
fn a_folders_files_are_one_config_in_the_order_of_their_names() {
    let folder = folder(&[
        ("20-orders.toml", "[[queue]]\nname = \"orders\"\n[[function]]\nname = \"orders\"\ncode = \"orders.wasm\"\n"),
        ("10-base.toml", "region = \"eu-west-1\"\n[local_queue]\ndata_dir = \"data\"\n[[queue]]\nname = \"first\"\n"),
        ("30-map.toml", "[[event_source_mapping]]\nevent_source_arn = \"orders\"\nfunction_name = \"orders\"\n"),
        (".hidden.toml", "no = config"),
        ("notes.txt", "no config"),
    ]);
    let config = load_with(folder.path(), &[]).unwrap();
    let names: Vec<&str> = config.queues.iter().map(|queue| queue.name.as_str()).collect();
    assert_eq!(names, ["first", "orders"]);
    assert_eq!((config.region.as_str(), config.mappings.len()), ("eu-west-1", 1));
    assert_eq!(config.local_queue.unwrap().data_dir.unwrap(), folder.path().join("data"));
}

#[test]
fn mistakes_name_the_file_that_they_are_in() {
    let base = "[local_queue]\nlisten = \"127.0.0.1:9000\"\n[[queue]]\nname = \"orders\"\n";
    for (second, expected) in [
        ("\n[[queue]]\nname = \"a b\"\n", "b.toml:3:8  queue[1].name: "),
        ("x = 1\n[local_queue]\nlisten = \"127.0.0.1:1\"\n", "b.toml:1:1  x: unknown key"),
        ("[[queue]]\nname = \"orders\"\n", "b.toml:2:8  queue[1].name: there is a queue \"orders\" already, in "),
        ("[[queue]\n", "b.toml:1:"),
    ] {
        let folder = folder(&[("a.toml", base), ("b.toml", second)]);
        let said = load_with(folder.path(), &[]).unwrap_err().to_string();
        assert!(said.contains(expected), "{second}: {said}");
    }
    let folder = folder(&[("a.toml", base), ("b.toml", "\n[local_queue]\nlisten = \"127.0.0.1:1\"\n")]);
    let said = only_mistake(folder.path(), &[]);
    assert!(said.contains("b.toml:2:2  local_queue: is there already, in ") && said.contains("a.toml:1"), "{said}");
}

#[test]
fn variables_override_keys_and_make_sections() {
    let folder = folder(&[("w.toml", "[local_queue]\nlisten = \"127.0.0.1:9000\"\n[admin]\n")]);
    let file = folder.path().join("w.toml");
    let config = load_with(
        &file,
        &[
            ("WASMILL__LOCAL_QUEUE__LISTEN", "127.0.0.1:9999"),
            ("WASMILL__LOCAL_QUEUE__STRICT__DELETED_RECENTLY", "true"),
            ("WASMILL__LOCAL_QUEUE__ALLOWED_ORIGINS", "http://localhost:1, http://localhost:2"),
            ("WASMILL__DRAIN_GRACE_SECONDS", "7"),
            ("WASMILL__REGION", "${PLACE}"),
            ("WASMILL__AWS__ENDPOINT_URL", "http://localhost:4566"),
            ("WASMILL_LOG", "debug"),
        ],
    );
    // A value is not expanded: what a variable holds is nobody's text.
    assert!(config.unwrap_err().to_string().contains("WASMILL__REGION  region: "));
    let config = load_with(
        &file,
        &[
            ("WASMILL__LOCAL_QUEUE__LISTEN", "127.0.0.1:9999"),
            ("WASMILL__LOCAL_QUEUE__STRICT__DELETED_RECENTLY", "true"),
            ("WASMILL__LOCAL_QUEUE__ALLOWED_ORIGINS", "http://localhost:1, http://localhost:2"),
            ("WASMILL__DRAIN_GRACE_SECONDS", "7"),
            ("WASMILL__AWS__ENDPOINT_URL", "http://localhost:4566"),
        ],
    );
    let config = config.unwrap();
    let local_queue = config.local_queue.unwrap();
    assert_eq!(local_queue.listen.to_string(), "127.0.0.1:9999");
    assert!(local_queue.blocks_deleted_names);
    assert_eq!(local_queue.allowed_origins, ["http://localhost:1", "http://localhost:2"]);
    assert_eq!(config.drain_grace, Duration::from_secs(7));
    assert_eq!(config.aws.endpoint_url.as_deref(), Some("http://localhost:4566"));
}

#[test]
fn a_mistaken_variable_is_named_and_its_value_is_not_shown() {
    let folder = folder(&[("w.toml", "[local_queue]\n[[queue]]\nname = \"q\"\n")]);
    let file = folder.path().join("w.toml");
    for (name, parts) in [
        ("WASMILL__LOCAL_QUEUE__LISTN", ["unknown key", "did you mean WASMILL__LOCAL_QUEUE__LISTEN?"]),
        ("WASMILL__LOCAL_QUEU__LISTEN", ["local_queu: unknown key", "did you mean WASMILL__LOCAL_QUEUE?"]),
        ("WASMILL__LOCAL_QUEUE__LISTEN", ["is not an address", "after expansion"]),
        ("WASMILL__DRAIN_GRACE_SECONDS", ["is not a whole number", "from 0 to 3600"]),
        ("WASMILL__QUEUE__NAME", ["entries of [[queue]] have no names", "${NAME}"]),
        ("WASMILL__REGION__X", ["expected a string, found a table", "in quotes"]),
        ("WASMILL__", ["names no key", "WASMILL__SECTION__KEY"]),
    ] {
        let said = only_mistake(&file, &[(name, "hunter2!")]);
        assert!(
            said.starts_with(&format!("{name}  ")) && parts.iter().all(|part| said.contains(part)),
            "{name}: {said}"
        );
        assert!(!said.contains("hunter2"), "{said}");
    }
}

/// The settings of a text, as they are printed.
fn shown(text: &str, variables: &[(&str, &str)]) -> Vec<Setting> {
    let folder = folder(&[("w.toml", text)]);
    let env = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    let names: Vec<String> = variables.iter().map(|(name, _)| (*name).to_owned()).collect();
    let path = PathBuf::from("w.toml");
    let mut texts = document::read(&folder.path().join("w.toml"), &names).unwrap();
    texts[0] = Text::file(&path, text);
    let (draft, settings) = draft(&texts, folder.path(), &env);
    assert!(draft.mistakes.is_empty(), "{:?}", draft.mistakes);
    settings
}

#[test]
fn settings_say_where_each_value_is_from() {
    let text = "cache_dir = \"cache\"\n[local_queue]\nlisten = \"127.0.0.1:${PORT:-9000}\"\n[[queue]]\nname = \"${NAME}\"\n\
                visibility_timeout = \"${SECONDS}\"\ntags = { team = \"shop\" }\n[[function]]\nname = \"orders\"\ncode = \"orders.wasm\"\n";
    let variables = [("NAME", "orders"), ("SECONDS", "60"), ("WASMILL__REGION", "eu-west-1")];
    let shown = shown(text, &variables);
    let line = |key: &str| shown.iter().find(|setting| setting.key == key).map(ToString::to_string);
    for (key, expected) in [
        ("region", "region = \"eu-west-1\"  # environment WASMILL__REGION"),
        ("account_id", "account_id = \"000000000000\"  # default"),
        ("local_queue.listen", "local_queue.listen = \"127.0.0.1:9000\"  # w.toml:3"),
        ("queue[0].name", "queue[0].name = \"orders\"  # w.toml:5, environment NAME"),
        ("queue[0].visibility_timeout", "queue[0].visibility_timeout = 60  # w.toml:6, environment SECONDS"),
        ("queue[0].tags.team", "queue[0].tags.team = \"shop\"  # w.toml:7"),
        ("function[0].timeout", "function[0].timeout = 3  # default"),
        ("admin.listen", "admin.listen = \"127.0.0.1:9325\"  # default"),
        ("sandbox.max_instances", "sandbox.max_instances = 64  # default"),
    ] {
        assert_eq!(line(key).as_deref(), Some(expected));
    }
    assert_eq!(line("queue[0].delay_seconds"), None, "a key that is left out is not touched");
    let region = shown.iter().find(|setting| setting.key == "region").unwrap();
    assert_eq!(
        region.to_json(),
        json!({"key": "region", "value": "eu-west-1", "is_secret": false, "origin": "environment", "file": null, "line": null,
               "variables": ["WASMILL__REGION"]})
    );
}

#[test]
fn secrets_are_shown_to_be_there_and_no_more() {
    let text = "cache_dir = \"cache\"\n[local_queue]\n[auth]\ncredentials = [ { access_key_id = \"AKIAONE\", secret_access_key = \
                \"hunter2-hunter2-hunter2\" } ]\n[[queue]]\nname = \"q\"\nkms_master_key_id = \"${MY_TOKEN}\"\n[[function]]\nname = \
                \"orders\"\ncode = \"orders.wasm\"\nenvironment = { PASS = \"hunter2\", OTHER = { from_env = \"MY_TOKEN\" } }\n";
    let shown = shown(text, &[("MY_TOKEN", "hunter2")]);
    let printed: Vec<String> =
        shown.iter().flat_map(|setting| [setting.to_string(), setting.to_json().to_string()]).collect();
    assert!(!printed.concat().contains("hunter2"), "{printed:?}");
    for line in [
        "auth.credentials[0].secret_access_key = (secret)  # w.toml:4",
        "queue[0].kms_master_key_id = (secret)  # w.toml:7, environment MY_TOKEN",
        "function[0].environment.PASS = (secret)  # w.toml:11",
        "function[0].environment.OTHER.from_env = \"MY_TOKEN\"  # w.toml:11",
    ] {
        assert!(printed.iter().any(|printed| printed == line), "{line}: {printed:#?}");
    }
}
