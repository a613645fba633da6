//! A broker as the counts and the drain have it: durable as `os` says in a folder, or in memory without one.

use std::path::Path;

use wasmill_queue::{Broker, BrokerOptions, Durability, Identity, Metrics, Timeline};

use crate::Outcome;

/// Opens it, in real time and without faults.
pub(crate) async fn open(folder: Option<&Path>, registry: &prometheus::Registry) -> Outcome<Broker> {
    let options = BrokerOptions {
        data_dir: folder.map(Path::to_owned),
        durability: Durability::Os,
        identity: Identity::default(),
        clock: None,
        timeline: Timeline::real(),
        chaos: None,
        metrics: Metrics::register(registry)?,
    };
    Ok(Broker::open(options).await?)
}
