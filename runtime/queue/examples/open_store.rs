//! Opens a store as the built-in queue does, and ends: what `cargo xtask bench queue` holds wasmill's start-up against.

use std::process::ExitCode;

use wasmill_queue::{Broker, BrokerOptions, Durability, Identity, Metrics, Timeline};

fn main() -> ExitCode {
    let opened = tokio::runtime::Builder::new_current_thread().enable_all().build().map(|runtime| {
        runtime.block_on(async {
            let metrics = Metrics::register(&prometheus::Registry::new()).ok()?;
            let data_dir = std::env::args_os().nth(1)?.into();
            let (identity, durability) = (Identity::default(), Durability::Os);
            let options = BrokerOptions {
                data_dir: Some(data_dir),
                durability,
                identity,
                clock: None,
                timeline: Timeline::real(),
                chaos: None,
                metrics,
            };
            Broker::open(options).await.ok()
        })
    });
    if matches!(opened, Ok(Some(_))) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
