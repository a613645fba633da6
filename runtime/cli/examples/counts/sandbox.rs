//! A call of a function that does nothing: what the sandbox costs.

use std::path::Path;
use std::time::Duration;

use tower::Service;
use wasmill_event::{Account, Invocation, Payload, Reply};
use wasmill_sandbox::{Code, EngineConfig, Function, FunctionSpec, Metrics, Reuse, Sandbox};

use crate::{Outcome, counted};

/// After these, slots of the pool were used before.
const FIRST_CALLS: usize = 4;
/// Together fewer than the 64 after which a brief function is called on its caller's thread: how long a call takes under
/// Callgrind is the machine's to say, so whether it is brief would be, too.
const CALLS: usize = 50;
/// Threads wait for each other: a wait costs more where it was begun than where it was over already.
const ROUNDS: usize = 9;
/// A slow machine is not what is to be found out.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Calls it in fresh instances, or in warm ones. Each round loads it anew, so that none of them finds it to be brief.
pub(crate) fn invoke(reuse: Option<&Reuse>, folder: &Path) -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let config = EngineConfig {
        max_instances: 8,
        max_memory_mib: 16,
        cache_dir: Some(folder.join("modules")),
        scratch_dir: folder.to_owned(),
        guest_threads: 1,
    };
    let sandbox = Sandbox::new(config, Metrics::new(&prometheus::Registry::new())?)?;
    let bytes: bytes::Bytes = wat::parse_str(include_str!("noop.wat"))?.into();
    for _ in 0..ROUNDS {
        let code = Code::Bytes { name: "noop.wasm".to_owned(), bytes: bytes.clone() };
        let reuse = reuse.cloned();
        let spec = FunctionSpec { timeout: TIMEOUT, memory_mib: 16, reuse, ..FunctionSpec::new("noop", code) };
        let function = sandbox.load(spec)?;
        runtime.block_on(call(&function, FIRST_CALLS))?;
        let mut outcome = Ok(());
        counted(&mut || outcome = runtime.block_on(call(&function, CALLS)));
        outcome?;
    }
    sandbox.close();
    Ok(())
}

async fn call(function: &Function, times: usize) -> Outcome<()> {
    let mut function = function.clone();
    for _ in 0..times {
        let invocation = Invocation {
            request_id: "79104ec6-8a1a-4b9a-9d3c-0f4f7a3c1a55".to_owned(),
            payload: Payload::Json(r#"{"Records":[]}"#.to_owned()),
            trace_id: None,
            trace: None,
            account: Account::default(),
        };
        match function.call(invocation).await {
            Ok(Reply::Json(reply)) if reply == "{}" => {}
            other => return Err(format!("the handler answered {other:?}").into()),
        }
    }
    Ok(())
}
