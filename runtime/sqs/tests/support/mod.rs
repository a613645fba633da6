//! What both test programs stand on: a broker, and our own server over it on a real socket.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wasmill_queue::{Broker, BrokerOptions, ChaosOptions, Durability, Identity, Metrics, Timeline};
use wasmill_sqs::{RemoteOptions, RemoteSqs, SqsOptions, SqsService};

pub(crate) async fn broker(data_dir: Option<PathBuf>) -> Broker {
    broker_on(data_dir, Timeline::real(), None).await
}

pub(crate) async fn broker_on(data_dir: Option<PathBuf>, timeline: Timeline, chaos: Option<ChaosOptions>) -> Broker {
    let metrics = Metrics::register(&prometheus::Registry::new()).unwrap();
    let identity = Identity::default();
    let options =
        BrokerOptions { data_dir, durability: Durability::Os, identity, clock: None, timeline, chaos, metrics };
    Broker::open(options).await.unwrap()
}

pub(crate) struct Server {
    pub(crate) broker: Broker,
    /// `HOST:PORT`.
    pub(crate) address: String,
    stop: CancellationToken,
    task: JoinHandle<std::io::Result<()>>,
}

impl Server {
    pub(crate) async fn start(broker: Broker, options: SqsOptions) -> Self {
        let service = SqsService::new(broker.clone(), &options).unwrap();
        Self::over(broker, service).await
    }

    pub(crate) async fn over(broker: Broker, service: SqsService) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let stop = CancellationToken::new();
        let task = tokio::spawn(wasmill_sqs::serve(listener, Arc::new(service), stop.clone().cancelled_owned()));
        Self { broker, address, stop, task }
    }

    pub(crate) async fn remote(&self) -> RemoteSqs {
        let endpoint_url = Some(format!("http://{}", self.address));
        let region = Some("us-east-1".into());
        RemoteSqs::connect(RemoteOptions { endpoint_url, region, anonymous_local: true }).await.unwrap()
    }

    /// Stops it and waits until it has returned.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(15), self.task).await.unwrap().unwrap().unwrap();
    }
}
