//! The registry over a scripted engine: transitions, restarts, what the config owns, and disks that say no.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use crate::configuration::Changes;
use crate::error::ApiError;
use crate::mapping::{MappingState, Origin};
use crate::names::FunctionRef;
use crate::registry::Override;
use crate::scripted::{FIFO, QUEUE, Run, Worker, configuration, until};

fn batch_size(batch_size: u32) -> Changes {
    Changes { batch_size: Some(batch_size), ..Changes::default() }
}

fn enabled(enabled: bool) -> Changes {
    Changes { enabled: Some(enabled), ..Changes::default() }
}

#[tokio::test(start_paused = true)]
async fn every_transition_passes_through_its_state_and_comes_to_rest() {
    use MappingState::{Creating, Deleting, Disabled, Disabling, Enabled, Enabling, Updating};
    let worker = Worker::new().await;
    let uuid = worker.registry.create(configuration(QUEUE, "f")).await.unwrap();
    assert_eq!(uuid.state, Creating);
    let uuid = uuid.uuid;
    worker.rests(uuid, Enabled).await;
    assert_eq!(worker.engine.calls(), ["run f 10"]);
    for (changes, passes, rests, calls) in [
        (batch_size(5), Updating, Enabled, vec!["run f 5"]),
        (enabled(false), Disabling, Disabled, vec!["stop f"]),
        (batch_size(6), Updating, Disabled, vec![]),
        (enabled(true), Enabling, Enabled, vec!["run f 6"]),
        (Changes::default(), Updating, Enabled, vec!["run f 6"]),
        (Changes { enabled: Some(false), ..batch_size(7) }, Disabling, Disabled, vec!["stop f"]),
        (enabled(false), Disabling, Disabled, vec!["stop nothing"]),
    ] {
        assert_eq!(worker.registry.update(uuid, changes.clone()).await.unwrap().state, passes, "{changes:?}");
        worker.rests(uuid, rests).await;
        assert_eq!(worker.engine.calls(), calls, "{changes:?}");
    }
    assert_eq!(worker.registry.delete(uuid).await.unwrap().state, Deleting);
    until(|| worker.registry.get(uuid).is_none()).await;
    assert_eq!(worker.registry.delete(uuid).await, Err(ApiError::NoSuchMapping));

    let mut disabled = configuration(QUEUE, "f");
    disabled.enabled = false;
    worker.engine.calls();
    let mapping = worker.registry.create(disabled).await.unwrap();
    assert_eq!(mapping.state, Disabled);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(worker.engine.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_busy_mapping_is_neither_changed_nor_deleted_and_can_be_seen() {
    let worker = Worker::new().await;
    let refused = async |uuid| {
        assert_eq!(worker.registry.update(uuid, batch_size(5)).await, Err(ApiError::InUse { verb: "update" }));
        assert_eq!(worker.registry.delete(uuid).await, Err(ApiError::InUse { verb: "delete" }));
    };
    worker.engine.door.send_replace(false);
    let uuid = worker.registry.create(configuration(QUEUE, "f")).await.unwrap().uuid;
    tokio::time::sleep(Duration::from_secs(600)).await;
    for change in [batch_size(1), enabled(false), enabled(true)] {
        refused(uuid).await;
        worker.engine.door.send_replace(true);
        until(|| worker.registry.get(uuid).is_some_and(|mapping| !mapping.state.is_busy())).await;
        worker.engine.door.send_replace(false);
        worker.registry.update(uuid, change).await.unwrap();
    }
    worker.engine.door.send_replace(true);
    worker.rests(uuid, MappingState::Enabled).await;
    worker.engine.door.send_replace(false);
    worker.registry.delete(uuid).await.unwrap();
    refused(uuid).await;
    assert_eq!(worker.registry.get(uuid).unwrap().state, MappingState::Deleting);
    let again = worker.registry.create(configuration(QUEUE, "f")).await;
    assert!(matches!(again, Err(ApiError::Duplicate { .. })), "it still holds messages: {again:?}");
    worker.engine.door.send_replace(true);
    until(|| worker.registry.get(uuid).is_none()).await;
    worker.registry.create(configuration(QUEUE, "f")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_mapping_that_cannot_run_says_so_can_be_changed_and_is_tried_again() {
    let worker = Worker::new().await;
    for (run, problem) in
        [(Run::Fails("no credentials"), "no credentials"), (Run::Panics, "internal error: the mapping panicked")]
    {
        *worker.engine.run.lock().unwrap() = run;
        let uuid = worker.registry.create(configuration(QUEUE, "f")).await.unwrap().uuid;
        worker.rests(uuid, MappingState::Enabled).await;
        assert_eq!(worker.registry.get(uuid).unwrap().problem.as_deref(), Some(problem));
        worker.engine.calls();
        tokio::time::sleep(Duration::from_secs(300)).await;
        let tries = worker.engine.calls().len();
        assert!((8..12).contains(&tries), "once a minute in the end: {tries}");
        *worker.engine.run.lock().unwrap() = Run::Works;
        until(|| worker.registry.get(uuid).unwrap().problem.is_none()).await;
        assert_eq!(worker.engine.running(), ["f 10"]);
        worker.registry.delete(uuid).await.unwrap();
        until(|| worker.registry.get(uuid).is_none()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_or_disabled_mapping_is_not_tried_again() {
    let worker = Worker::new().await;
    *worker.engine.run.lock().unwrap() = Run::Fails("no");
    let uuid = worker.registry.create(configuration(QUEUE, "f")).await.unwrap().uuid;
    worker.rests(uuid, MappingState::Enabled).await;
    worker.registry.update(uuid, enabled(false)).await.unwrap();
    worker.rests(uuid, MappingState::Disabled).await;
    worker.engine.calls();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(worker.engine.calls().is_empty());
    assert_eq!(worker.registry.get(uuid).unwrap().problem, None);
}

#[tokio::test(start_paused = true)]
async fn a_queue_and_a_function_have_one_mapping_whoever_comes_first() {
    let worker = Worker::new().await;
    let create = || worker.registry.create(configuration(QUEUE, "f"));
    let (first, second) = tokio::join!(create(), create());
    let made = first.clone().or(second.clone()).unwrap().uuid;
    let refused = first.and(second).unwrap_err();
    assert!(matches!(&refused, ApiError::Duplicate { uuid, .. } if *uuid == made), "{refused:?}");
    let latest = worker.registry.create(configuration(QUEUE, "f:$LATEST")).await.unwrap_err();
    assert!(matches!(latest, ApiError::Duplicate { .. }), "the same function");
    let other = worker.registry.create(configuration(QUEUE, "g")).await.unwrap().uuid;
    worker.rests(other, MappingState::Enabled).await;
    let to_f = Changes { function: Some(FunctionRef::new("f")), ..Changes::default() };
    assert!(matches!(worker.registry.update(other, to_f).await, Err(ApiError::Duplicate { .. })));
}

#[tokio::test(start_paused = true)]
async fn what_is_stored_is_there_after_a_restart_under_its_uuid() {
    let folder = tempfile::tempdir().unwrap();
    let worker = Worker::open(Some(folder.path())).await;
    worker.registry.start_all().await;
    let uuid = worker.enabled().await;
    let mut set = configuration(FIFO, "g:$LATEST");
    set.enabled = false;
    set.filter_patterns = vec![r#"{ "body" : {"a":[1.0]} }"#.into()];
    set.tags = BTreeMap::from([("team".into(), "søk".into())]);
    let other = worker.registry.create(set.clone()).await.unwrap().uuid;
    let gone = worker.registry.create(configuration(QUEUE, "g")).await.unwrap().uuid;
    worker.rests(gone, MappingState::Enabled).await;
    // The worker dies while it still finishes what that one holds.
    worker.engine.door.send_replace(false);
    worker.registry.delete(gone).await.unwrap();
    let before: Vec<_> = worker.registry.all().into_iter().filter(|mapping| mapping.uuid != gone).collect();
    worker.engine.door.send_replace(true);
    until(|| worker.registry.get(gone).is_none()).await;
    drop(worker);

    let worker = Worker::open(Some(folder.path())).await;
    assert_eq!(worker.registry.get(uuid).unwrap().state, MappingState::Enabling);
    assert_eq!(worker.registry.get(other).unwrap().configuration, set);
    assert!(worker.engine.running().is_empty(), "nothing runs before the start");
    assert!(worker.registry.start_all().await.is_empty());
    assert_eq!(worker.engine.running(), ["f 10"]);
    assert_eq!(worker.registry.all(), before);
    assert!(worker.registry.start_all().await.is_empty(), "a second start does nothing");
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_a_crash_cut_short_stays_a_delete() {
    let folder = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let worker = Worker::open(Some(folder.path())).await;
    worker.registry.start_all().await;
    let uuid = worker.enabled().await;
    worker.engine.door.send_replace(false);
    worker.registry.delete(uuid).await.unwrap();
    fs::copy(folder.path().join("lambda.json"), copy.path().join("lambda.json")).unwrap();
    assert!(Worker::open(Some(copy.path())).await.registry.all().is_empty());
}

#[tokio::test(start_paused = true)]
async fn at_the_start_troubles_are_told_and_the_others_run() {
    let folder = tempfile::tempdir().unwrap();
    let worker = Worker::open(Some(folder.path())).await;
    let uuid = worker.registry.own(vec![configuration(QUEUE, "f")]).await.unwrap().created[0];
    *worker.engine.run.lock().unwrap() = Run::Fails("no route");
    let troubles = worker.registry.start_all().await;
    assert_eq!((troubles[0].uuid, troubles[0].problem.as_str()), (uuid, "no route"));
    *worker.engine.run.lock().unwrap() = Run::Works;
    until(|| worker.engine.running() == ["f 10"]).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_made_before_the_start_runs_at_the_start() {
    let worker = Worker::open(None).await;
    let uuid = worker.registry.create(configuration(QUEUE, "f")).await.unwrap().uuid;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(worker.engine.calls().is_empty());
    worker.registry.start_all().await;
    assert_eq!(worker.engine.calls(), ["run f 10"]);
    assert_eq!(worker.registry.get(uuid).unwrap().state, MappingState::Enabled);
}

#[tokio::test(start_paused = true)]
async fn the_config_wins_over_what_is_stored_and_says_over_what() {
    let folder = tempfile::tempdir().unwrap();
    let worker = Worker::open(Some(folder.path())).await;
    worker.registry.start_all().await;
    let uuid = worker.enabled().await;
    let untouched = worker.registry.create(configuration(QUEUE, "g")).await.unwrap().uuid;
    worker.rests(untouched, MappingState::Enabled).await;
    worker.registry.update(uuid, batch_size(5)).await.unwrap();
    worker.rests(uuid, MappingState::Enabled).await;
    drop(worker);

    let worker = Worker::open(Some(folder.path())).await;
    let mut named = configuration(QUEUE, "f");
    named.maximum_concurrency = Some(8);
    let new = configuration(FIFO, "f");
    let ownership = worker.registry.own(vec![named.clone(), new]).await.unwrap();
    let difference = |key: &str, stored: Option<&str>, config: &str| Override {
        uuid,
        key: key.into(),
        stored: stored.map(str::to_owned),
        config: Some(config.into()),
    };
    let expected = [difference("BatchSize", Some("5"), "10"), difference("MaximumConcurrency", None, "8")];
    assert_eq!(ownership.overridden, expected);
    assert_eq!((ownership.created.len(), ownership.deleted.len()), (1, 0));
    let mapping = worker.registry.get(uuid).unwrap();
    assert_eq!((mapping.configuration, mapping.origin), (named, Origin::Config));
    assert_eq!(worker.registry.get(untouched).unwrap().origin, Origin::Api);
    assert!(worker.engine.calls().is_empty(), "nothing runs before the start");
    worker.registry.start_all().await;
    assert_eq!(worker.engine.running(), ["f 10", "f 10", "g 10"]);
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_config_named_goes_with_it_and_what_the_api_made_stays() {
    let folder = tempfile::tempdir().unwrap();
    let worker = Worker::open(Some(folder.path())).await;
    worker.registry.start_all().await;
    let made = worker.enabled().await;
    let named = worker.registry.own(vec![configuration(QUEUE, "g")]).await.unwrap().created[0];
    worker.rests(named, MappingState::Enabled).await;
    drop(worker);

    let worker = Worker::open(Some(folder.path())).await;
    let ownership = worker.registry.own(vec![]).await.unwrap();
    assert_eq!(ownership.deleted, [named]);
    assert_eq!(worker.registry.all().iter().map(|mapping| mapping.uuid).collect::<Vec<_>>(), [made]);
    drop(worker);
    assert_eq!(Worker::open(Some(folder.path())).await.registry.all().len(), 1, "on disk, too");
}

#[tokio::test(start_paused = true)]
async fn a_reload_touches_only_what_changed() {
    let worker = Worker::new().await;
    let (f, g) = (configuration(QUEUE, "f"), configuration(QUEUE, "g"));
    let ownership = worker.registry.own(vec![f.clone(), g.clone()]).await.unwrap();
    let [uuid_f, uuid_g] = ownership.created[..] else { panic!("two") };
    until(|| worker.engine.running().len() == 2).await;
    worker.rests(uuid_f, MappingState::Enabled).await;
    worker.rests(uuid_g, MappingState::Enabled).await;
    worker.engine.calls();

    assert_eq!(worker.registry.own(vec![f.clone(), g.clone()]).await.unwrap(), Default::default());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(worker.engine.calls().is_empty());

    let mut larger = g.clone();
    larger.batch_size = 7;
    worker.registry.own(vec![f.clone(), larger.clone(), configuration(FIFO, "f")]).await.unwrap();
    assert_eq!(worker.registry.get(uuid_g).unwrap().state, MappingState::Updating);
    until(|| worker.engine.running() == ["f 10", "f 10", "g 7"]).await;
    worker.rests(uuid_g, MappingState::Enabled).await;

    larger.enabled = false;
    worker.registry.own(vec![larger]).await.unwrap();
    assert_eq!(worker.registry.get(uuid_f).unwrap().state, MappingState::Deleting);
    assert_eq!(worker.registry.get(uuid_g).unwrap().state, MappingState::Disabling);
    until(|| worker.engine.running().is_empty() && worker.registry.all().len() == 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_reload_overtakes_a_transition_that_is_under_way() {
    let worker = Worker::new().await;
    worker.engine.door.send_replace(false);
    let uuid = worker.registry.create(configuration(QUEUE, "f")).await.unwrap().uuid;
    until(|| worker.engine.calls() == ["run f 10"]).await;
    let mut named = configuration(QUEUE, "f");
    named.batch_size = 3;
    worker.registry.own(vec![named]).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(worker.engine.calls().is_empty(), "the engine is asked for one thing at a time");
    worker.engine.door.send_replace(true);
    until(|| worker.engine.running() == ["f 3"]).await;
    worker.rests(uuid, MappingState::Enabled).await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_stored_is_not_done() {
    let folder = tempfile::tempdir().unwrap();
    let worker = Worker::open(Some(folder.path())).await;
    worker.registry.start_all().await;
    let uuid = worker.enabled().await;
    let before = worker.registry.all();
    let stored = fs::read(folder.path().join("lambda.json")).unwrap();
    // Nothing can be written beside the file, whoever we are.
    fs::create_dir(folder.path().join("lambda.json.new")).unwrap();
    let registry = &worker.registry;
    for refused in [
        registry.create(configuration(QUEUE, "g")).await.map(|_| ()),
        registry.update(uuid, batch_size(5)).await.map(|_| ()),
        registry.delete(uuid).await.map(|_| ()),
        registry.tag(uuid, BTreeMap::from([("a".into(), "b".into())]), vec![]).await,
    ] {
        let ApiError::NotPersisted(text) = refused.unwrap_err() else { panic!("another error") };
        assert!(text.contains("lambda.json") && text.contains("cannot be written"), "{text}");
    }
    assert!(registry.own(vec![configuration(QUEUE, "g")]).await.is_err());
    assert_eq!(registry.all(), before);
    assert_eq!(fs::read(folder.path().join("lambda.json")).unwrap(), stored);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(worker.engine.calls().is_empty());
    fs::remove_dir(folder.path().join("lambda.json.new")).unwrap();
    registry.update(uuid, batch_size(5)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_hangs_up_leaves_no_change_half_made() {
    let folder = tempfile::tempdir().unwrap();
    let worker = Worker::open(Some(folder.path())).await;
    worker.registry.start_all().await;
    tokio::select! {
        biased;
        _ = worker.registry.create(configuration(QUEUE, "f")) => panic!("it cannot be done at the first poll"),
        () = std::future::ready(()) => {}
    }
    until(|| worker.engine.running() == ["f 10"]).await;
    let stored = fs::read_to_string(folder.path().join("lambda.json")).unwrap();
    assert!(stored.contains(&worker.registry.all()[0].uuid.to_string()));
}

#[tokio::test(start_paused = true)]
async fn what_stops_changes_nothing_any_more() {
    let worker = Worker::new().await;
    let uuid = worker.enabled().await;
    worker.registry.close();
    assert_eq!(worker.registry.delete(uuid).await, Err(ApiError::Stopping));
    assert_eq!(worker.registry.update(uuid, batch_size(5)).await, Err(ApiError::Stopping));
    assert!(worker.registry.get(uuid).is_some());
}
