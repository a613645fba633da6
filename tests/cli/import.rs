//! `wasmill import`: templates as users have them, and the configs that come of them.

use std::path::Path;

use support::command::{run, wasmill_command};
use support::{Home, places, wasmill};

/// A copy of one folder of templates.
fn copy(name: &str) -> Home {
    let home = Home::new();
    copy_into(&home, &fixtures().join(name), "");
    home
}

fn fixtures() -> std::path::PathBuf {
    places::repository().join("tests/fixtures/templates")
}

fn copy_into(home: &Home, from: &Path, below: &str) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{below}{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() {
            copy_into(home, &entry.path(), &format!("{name}/"));
        } else {
            home.write(&name, std::fs::read(entry.path()).unwrap());
        }
    }
}

fn import(home: &Home, arguments: &[&str]) -> support::Finished {
    run(wasmill_command(["import"].iter().chain(arguments)).current_dir(home.path()), "")
}

#[test]
fn each_template_becomes_the_config_that_is_kept_beside_it() {
    for (name, template) in [
        ("sam", "template.yaml"),
        ("cloudformation", "template.yaml"),
        ("cdk", "ShopStack.template.json"),
        ("shop", "template.yaml"),
    ] {
        let expected = |file: &str| std::fs::read_to_string(fixtures().join(name).join(file)).unwrap();
        let made = import(&copy(name), &[template]);
        assert_eq!(made.assert_succeeds(), expected("expected.toml"), "{name}");
        assert_eq!(made.stderr, expected("expected.notes"), "{name}");
    }
}

#[test]
fn json_says_what_yaml_says() {
    let home = copy("cloudformation");
    let [yaml, json] = ["template.yaml", "template.json"].map(|file| import(&home, &[file]));
    assert_eq!(yaml.stdout.replace("template.yaml", "template.json"), json.stdout);
    assert_eq!(yaml.stderr, json.stderr);
}

#[test]
fn what_is_written_can_be_checked_and_is_not_overwritten() {
    for (name, template) in
        [("sam", "template.yaml"), ("cloudformation", "template.yaml"), ("cdk", "ShopStack.template.json")]
    {
        let home = copy(name);
        assert_eq!(import(&home, &[template, "--out", "conf/wasmill.toml"]).code, Some(4), "there is no folder conf");
        std::fs::create_dir(home.path().join("conf")).unwrap();
        assert_eq!(import(&home, &[template, "--out", "conf/wasmill.toml"]).assert_succeeds(), "");
        let again = import(&home, &[template, "--out", "conf/wasmill.toml"]);
        again.assert_fails(2, &["is there already", "conf/wasmill.toml"]);
        let config = home.path().join("conf/wasmill.toml");
        let mut check = wasmill_command(["check".as_ref(), "--config".as_ref(), config.as_os_str()]);
        // The runtimes lie beside the binary as a rule; these lie where the tests were told, or nowhere.
        std::fs::create_dir_all(home.path().join("share/wasmill")).unwrap();
        if let Some(runtimes) = places::runtimes() {
            std::os::unix::fs::symlink(runtimes, home.path().join("share/wasmill/runtimes")).unwrap();
            let checked = run(check.env("XDG_DATA_HOME", home.path().join("share")), "");
            assert!(checked.assert_succeeds().ends_with(": no mistakes\n"), "{checked}");
        } else {
            run(&mut check, "").assert_fails(3, &["has a mistake\n", "function[0].code", "runtime"]);
        }
    }
}

#[test]
fn parameters_are_given_and_those_that_are_not_there_are_refused() {
    let home = copy("sam");
    let made = import(&home, &["template.yaml", "--parameter", "Stage=prod", "--parameter", "MaxReceiveCount=7"]);
    let text = made.assert_succeeds();
    assert!(text.contains("name = \"orders-prod\"") && text.contains("max_receive_count = 7"), "{text}");
    let refused = import(&home, &["template.yaml", "--parameter", "Stag=prod"]);
    refused.assert_fails(2, &["the template has no parameter Stag", "did you mean Stage?"]);
}

#[test]
fn a_template_that_aws_would_refuse_is_written_and_reported() {
    let home = Home::new();
    let template = "Resources:\n  Q: {Type: AWS::SQS::Queue}\n  F:\n    Type: AWS::Serverless::Function\n    Properties:\n      Runtime: \
                    python3.13\n      Handler: a.b\n      Events: {E: {Type: SQS, Properties: {Queue: !GetAtt Q.Arn, BatchSize: 50}}}\n";
    home.write("template.yaml", template);
    let made = import(&home, &["template.yaml", "--out", "wasmill.toml"]);
    made.assert_fails(
        3,
        &["event_source_mapping[0].batch_size", "Maximum batch window in seconds must be greater than 0"],
    );
    assert!(home.path().join("wasmill.toml").is_file());
}

#[test]
fn what_is_no_template_is_said_with_its_line() {
    let home = Home::new();
    home.write("torn.yaml", "Resources:\n  Q: [1\n");
    import(&home, &["torn.yaml"]).assert_fails(3, &["not valid YAML", "torn.yaml:"]);
    import(&home, &["absent.yaml"]).assert_fails(3, &["cannot be read", "absent.yaml"]);
    home.write("list.json", "{\"Resources\": {}}");
    import(&home, &["list.json"]).assert_fails(3, &["neither a queue nor a function"]);
    wasmill(["import"]).assert_fails(2, &["<TEMPLATE>"]);
}
