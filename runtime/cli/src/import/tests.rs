//! Templates in, configs out: each as a user's file, read back by TOML's own parser.

#![expect(clippy::unwrap_used, reason = "tests")]

use toml::{Table, Value};

use super::*;
use crate::config;

fn target(folder: &Path) -> Target {
    Target {
        folder: folder.to_owned(),
        listen: "127.0.0.1:9324".parse().unwrap(),
        admin_listen: None,
        data_dir: ".wasmill".to_owned(),
        durability: Durability::Fsync,
        is_kept: true,
    }
}

fn import_with(text: &str, given: &[(&str, &str)], adapt: impl FnOnce(&mut Target)) -> Result<Imported, CliError> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("template.yaml");
    std::fs::write(&file, text).unwrap();
    let given: Vec<_> = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let mut target = target(folder.path());
    adapt(&mut target);
    import(&file, &given, &target)
}

fn imported(text: &str) -> (Table, Vec<String>) {
    let imported = import_with(text, &[], |_| ()).unwrap();
    (imported.toml.parse().unwrap(), imported.notes.iter().map(ToString::to_string).collect())
}

/// A template with one function that has these variables.
fn with_variables(variables: &str) -> String {
    let variables: String = variables.lines().map(|line| format!("          {line}\n")).collect();
    format!(
        "Parameters:\n  Stage: {{Default: dev}}\n  Names: {{Type: CommaDelimitedList, Default: 'a, b'}}\n  Secret: {{NoEcho: \
         true, Default: hunter2}}\nMappings: {{Sizes: {{dev: {{Size: 5}}}}}}\nConditions:\n  IsDev: !Equals [!Ref Stage, dev]\n  \
         IsProd: !And [!Not [!Condition IsDev], !Equals [a, a]]\n  Either: !Or [!Condition IsProd, !Condition IsDev]\n  Loop: \
         !Condition Loop\nResources:\n  Q: {{Type: AWS::SQS::Queue}}\n  T: {{Type: AWS::DynamoDB::Table, Properties: {{TableName: \
         !Sub 't-${{Stage}}'}}}}\n  F:\n    Type: AWS::Serverless::Function\n    Properties:\n      Runtime: python3.13\n      \
         Handler: a.b\n      Environment:\n        Variables:\n{variables}"
    )
}

fn variables(table: &Table) -> Table {
    table["function"][0]["environment"].as_table().unwrap().clone()
}

#[test]
fn intrinsic_functions_give_what_aws_would() {
    for (written, expected) in [
        ("!Ref Stage", "dev"),
        ("!Sub 'x-${Stage}-${AWS::Region}-${!Literal}'", "x-dev-us-east-1-${Literal}"),
        ("!Sub ['${A}-${Q.QueueName}', {A: !Ref Stage}]", "dev-Q"),
        ("!GetAtt Q.Arn", "arn:aws:sqs:us-east-1:000000000000:Q"),
        ("!GetAtt [Q, QueueName]", "Q"),
        ("!Ref Q", "http://127.0.0.1:9324/000000000000/Q"),
        ("!Ref F", "F"),
        ("!GetAtt F.Arn", "arn:aws:lambda:us-east-1:000000000000:function:F"),
        ("!Ref T", "t-dev"),
        ("!Join ['/', [a, !Ref Stage, 1]]", "a/dev/1"),
        ("!Join [',', !Ref Names]", "a,b"),
        ("!Select [1, !Ref Names]", "b"),
        ("!Select ['0', !Split ['-', 'x-y']]", "x"),
        ("!FindInMap [Sizes, !Ref Stage, Size]", "5"),
        ("!FindInMap [Sizes, none, Size, {DefaultValue: 7}]", "7"),
        ("!If [IsDev, yes-it-is, no]", "yes-it-is"),
        ("!If [IsProd, 1, !If [Either, 2, 3]]", "2"),
        ("!Base64 abc", "YWJj"),
        ("{'Fn::Sub': '${AWS::AccountId}'}", "000000000000"),
        ("true", "true"),
        ("007", "007"),
    ] {
        let (table, notes) = imported(&with_variables(&format!("X: {written}")));
        // What the config's own expansion would make of it.
        let found = variables(&table)["X"].as_str().unwrap().replace("$${", "${");
        assert_eq!(found, expected, "{written}: {notes:?}");
    }
}

#[test]
fn what_only_aws_knows_is_left_out_with_the_reason() {
    for (written, reason) in [
        ("!Ref Nobody", "there is no Nobody in the template"),
        ("!GetAtt T.StreamArn", "it is StreamArn of T (AWS::DynamoDB::Table), which is not here"),
        ("!GetAtt Q.Other", "it is Other of Q, which only AWS knows"),
        ("!GetAtt Q", "names a resource and an attribute"),
        ("!ImportValue x", "another stack exports its value"),
        ("!GetAZs ''", "its value is what Fn::GetAZs gives"),
        ("!Ref AWS::StackId", "its value is AWS::StackId"),
        ("'{{resolve:ssm:/a/b}}'", "read from AWS (ssm)"),
        ("!Sub 'x{{resolve:ssm:/a/b}}'", "read from AWS (ssm)"),
        ("!Select [5, !Ref Names]", "wants item 5"),
        ("!FindInMap [Sizes, prod, Size]", "no Sizes.prod.Size among the Mappings"),
        ("!If [Loop, 1, 2]", "without end"),
        ("!If [Nobody, 1, 2]", "no condition Nobody"),
        ("!Join [x]", "Fn::Join takes a list of 2"),
        ("!Ref Names", "a text is wanted here, and it is a list"),
        ("!Ref Secret", "a secret (NoEcho) is not written down"),
        ("!Sub 'pass=${Secret}'", "a secret (NoEcho) is not written down"),
    ] {
        let text = with_variables(&format!("OTHER: 'kept'\nX: {written}"));
        let imported = import_with(&text, &[], |_| ()).unwrap();
        let table: Table = imported.toml.parse().unwrap();
        assert_eq!(variables(&table).keys().collect::<Vec<_>>(), ["OTHER"], "{written}");
        let note = imported.notes.iter().find(|note| note.place == "F.Environment.Variables.X").unwrap();
        assert!(note.why.contains(reason) && note.matters, "{written}: {note}");
        assert!(!imported.toml.contains("hunter2"), "{}", imported.toml);
        assert!(imported.toml.contains(&format!("# X: {}", note.why.split(' ').next().unwrap())), "{}", imported.toml);
    }
}

#[test]
fn a_secret_is_used_where_nothing_is_written_down_and_a_url_needs_a_port() {
    let text = with_variables("X: !Ref Secret\nU: !Ref Q");
    let used = import_with(&text, &[("Secret", "given")], |target| target.is_kept = false).unwrap();
    let table: Table = used.toml.parse().unwrap();
    assert_eq!(variables(&table)["X"].as_str(), Some("given"));
    assert_eq!(variables(&table)["AWS_ENDPOINT_URL_SQS"].as_str(), Some("http://127.0.0.1:9324"));
    assert_eq!(table["function"][0]["allowed_hosts"][0].as_str(), Some("http://127.0.0.1:9324"));

    let free = import_with(&text, &[], |target| target.listen.set_port(0)).unwrap();
    assert!(free.notes.iter().any(|note| note.why.contains("the port is not known")), "{:?}", free.notes);
    assert!(!free.toml.contains("allowed_hosts"), "{}", free.toml);
}

#[test]
fn globals_are_below_what_a_function_says() {
    let text = "Globals:\n  Function:\n    Runtime: nodejs22.x\n    Timeout: 9\n    Layers: [x]\n    Environment: {Variables: {A: 1, B: \
                1}}\nResources:\n  F:\n    Type: AWS::Serverless::Function\n    Properties: {Handler: a.h, Environment: {Variables: {B: \
                2, C: 2}}}\n  G:\n    Type: AWS::Serverless::Function\n    Properties: {Handler: a.h, Timeout: 4}\n";
    let (table, notes) = imported(text);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let f = variables(&table);
    assert_eq!(["A", "B", "C"].map(|name| text(&f[name])), ["1", "2", "2"]);
    let timeouts = [0, 1].map(|index: usize| table["function"][index]["timeout"].as_integer().unwrap());
    assert_eq!(timeouts, [9, 4]);
    let layers: Vec<_> = notes.iter().filter(|note| note.contains("Layers")).collect();
    assert_eq!(layers, ["Globals.Function.Layers: there are no layers: put what is in them beside the handler"]);
}

#[test]
fn a_dead_letter_queue_is_found_however_it_is_named() {
    for (target, name) in [
        ("!GetAtt D.Arn", "failed"),
        ("!Sub 'arn:aws:sqs:${AWS::Region}:${AWS::AccountId}:failed'", "failed"),
        ("arn:aws:sqs:eu-west-1:123456789012:other", "other"),
    ] {
        let text = format!(
            "Resources:\n  Q:\n    Type: AWS::SQS::Queue\n    Properties:\n      RedrivePolicy: {{deadLetterTargetArn: {target}, \
             maxReceiveCount: '4'}}\n  D: {{Type: AWS::SQS::Queue, Properties: {{QueueName: failed}}}}\n"
        );
        let (table, _) = imported(&text);
        let queues = table["queue"].as_array().unwrap();
        let q = queues.iter().find(|queue| queue["name"].as_str() == Some("Q")).unwrap();
        assert_eq!(q["redrive_policy"]["dead_letter_target_arn"].as_str(), Some(name));
        assert_eq!(q["redrive_policy"]["max_receive_count"].as_integer(), Some(4));
        assert!(queues.iter().any(|queue| queue["name"].as_str() == Some(name)), "{target}");
    }
    let text = "Resources:\n  Q:\n    Type: AWS::SQS::Queue\n    Properties: {RedrivePolicy: \
                '{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:D\",\"maxReceiveCount\":2}'}\n  D: {Type: AWS::SQS::Queue}\n";
    assert_eq!(imported(text).0["queue"][1]["redrive_policy"]["max_receive_count"].as_integer(), Some(2));
}

#[test]
fn what_comes_out_is_a_config() {
    let text = with_variables("X: !Sub '${!HOME}'") + "      CodeUri: .\n";
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.py"), "").unwrap();
    let file = folder.path().join("template.yaml");
    std::fs::write(&file, text).unwrap();
    let imported = import(&file, &[], &target(folder.path())).unwrap();
    let draft = config::of_made(&file, folder.path(), &imported.toml, &|_| None);
    let mistakes: Vec<_> = draft.mistakes.iter().filter(|mistake| mistake.key != "cache_dir").collect();
    assert!(mistakes.is_empty(), "{mistakes:?}");
    let function = &draft.config.unwrap().functions[0];
    assert_eq!(function.environment.0["X"], "${HOME}");
    assert_eq!(function.handler, "a.b");
}

#[test]
fn what_is_no_template_or_says_nothing_is_refused() {
    for (text, given, part) in [
        ("a: [", &[] as &[_], "not valid YAML"),
        ("openapi: 3\n", &[], "no Resources"),
        ("Resources: {T: {Type: AWS::SNS::Topic}}\n", &[], "neither a queue nor a function"),
        ("Parameters: {Stage: {}}\nResources: {Q: {Type: AWS::SQS::Queue}}\n", &[("Stag", "x")], "did you mean Stage?"),
    ] {
        let error = import_with(text, given, |_| ()).unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
    let text = "Resources: {Q: {Type: AWS::SQS::Queue, Properties: {QueueName: !Sub '${AWS::StackName}-q'}}}\n";
    let named = import_with(text, &[("AWS::StackName", "prod"), ("AWS::Region", "eu-west-1")], |_| ()).unwrap();
    let table: Table = named.toml.parse().unwrap();
    assert_eq!(table["queue"][0]["name"].as_str(), Some("prod-q"));
    assert_eq!(table["region"].as_str(), Some("eu-west-1"));
}
