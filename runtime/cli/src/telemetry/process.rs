//! What the process takes of its machine, read when it is asked for. The names are those of Prometheus's client libraries
//! behind our prefix. What the system does not tell is left out.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge, IntGauge};
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

/// The collector.
#[derive(Debug)]
pub(super) struct ProcessMetrics {
    start_time_seconds: Gauge,
    cpu_seconds: Counter,
    resident_bytes: IntGauge,
    threads: IntGauge,
    open_fds: IntGauge,
    max_fds: IntGauge,
}

impl ProcessMetrics {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let start_time_seconds =
            Gauge::new("wasmill_process_start_time_seconds", "When the process began, in Unix time.")?;
        start_time_seconds.set(since_epoch.as_secs_f64());
        Ok(Self {
            start_time_seconds,
            cpu_seconds: Counter::new("wasmill_process_cpu_seconds_total", "CPU time that the process used.")?,
            resident_bytes: IntGauge::new(
                "wasmill_process_resident_memory_bytes",
                "Memory that the process has in use.",
            )?,
            threads: IntGauge::new("wasmill_process_threads", "Threads of the process.")?,
            open_fds: IntGauge::new("wasmill_process_open_fds", "File descriptors that are open.")?,
            max_fds: IntGauge::new("wasmill_process_max_fds", "File descriptors that may be open.")?,
        })
    }
}

impl Collector for ProcessMetrics {
    fn desc(&self) -> Vec<&Desc> {
        let all: [&dyn Collector; 6] = [
            &self.start_time_seconds,
            &self.cpu_seconds,
            &self.resident_bytes,
            &self.threads,
            &self.open_fds,
            &self.max_fds,
        ];
        all.into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = self.start_time_seconds.collect();
        // Two readers at once may count the same time twice; it then stands still until it is true again.
        let cpu_seconds = cpu_seconds();
        let more = cpu_seconds - self.cpu_seconds.get();
        if more > 0.0 {
            self.cpu_seconds.inc_by(more);
        }
        families.extend(self.cpu_seconds.collect());
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let readings = [
            (&self.resident_bytes, number(&status, "VmRSS:").map(|kib| kib.saturating_mul(1024))),
            (&self.threads, number(&status, "Threads:")),
            // The folder that is read is one of them.
            (&self.open_fds, fs::read_dir("/proc/self/fd").ok().map(|open| open.count().saturating_sub(1) as u64)),
            (&self.max_fds, getrlimit(Resource::Nofile).current),
        ];
        for (gauge, reading) in readings {
            if let Some(reading) = reading {
                gauge.set(i64::try_from(reading).unwrap_or(i64::MAX));
                families.extend(gauge.collect());
            }
        }
        families
    }
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The number behind a name in `/proc/self/status`.
fn number(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_process_is_seen_and_its_time_only_grows() {
        let metrics = ProcessMetrics::new().unwrap();
        let value = |families: &[MetricFamily], name: &str| {
            let family = families.iter().find(|family| family.name() == name).unwrap();
            let metric = &family.get_metric()[0];
            metric.get_counter().get_value() + metric.get_gauge().get_value()
        };
        let first = metrics.collect();
        assert!(value(&first, "wasmill_process_resident_memory_bytes") > 1e6);
        assert!(value(&first, "wasmill_process_threads") >= 1.0);
        assert!(value(&first, "wasmill_process_open_fds") >= 3.0);
        assert!(value(&first, "wasmill_process_max_fds") >= value(&first, "wasmill_process_open_fds"));
        let cpu = "wasmill_process_cpu_seconds_total";
        let spent: u64 = (0..3_000_000u64).map(std::hint::black_box).sum();
        assert!(spent > 0 && value(&metrics.collect(), cpu) > value(&first, cpu));
    }

    #[test]
    fn a_number_is_found_behind_its_name() {
        let status = "Name:\twasmill\nVmRSS:\t   5120 kB\nThreads:\t9\n";
        assert_eq!((number(status, "VmRSS:"), number(status, "Threads:")), (Some(5120), Some(9)));
        assert_eq!((number(status, "Vm:"), number("VmRSS: much", "VmRSS:")), (None, None));
    }
}
