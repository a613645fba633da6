//! What a developer sees of each batch.

use std::fmt::Write as _;

use wasmill_event::Verdict;
use wasmill_mapping::{BatchReport, RecordReport};

/// Records of a batch that are shown.
const SHOWN: usize = 10;

/// What is known of every batch beforehand.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    /// Several mappings run: each batch says whose it is.
    pub(super) names_mapping: bool,
    /// After so many receives a message goes to the dead-letter queue, if that is the same for all.
    pub(super) max_receive_count: Option<u32>,
}

impl Frame {
    /// A batch, in several lines.
    pub(super) fn render(self, report: &BatchReport) -> String {
        let mapping = if self.names_mapping { format!("{}: ", report.mapping) } else { String::new() };
        let mut text = format!(
            "{mapping}batch of {} in {:.1} ms  (request {})",
            report.records.len(),
            report.duration.as_secs_f64() * 1e3,
            report.request_id
        );
        if let Some(fault) = &report.fault {
            let _ = write!(text, "\n  failed  {fault}");
        }
        for record in report.records.iter().take(SHOWN) {
            let _ = write!(text, "\n  {}  {}", record.message_id, self.verdict(record));
        }
        if report.records.len() > SHOWN {
            let _ = write!(text, "\n  … and {} more", report.records.len() - SHOWN);
        }
        text
    }

    fn verdict(self, record: &RecordReport) -> String {
        let delivery = record.receive_count;
        match &record.verdict {
            Verdict::Done => "done".to_owned(),
            Verdict::Retry { after_seconds: None } => match self.max_receive_count {
                Some(most) => format!("comes back (delivery {delivery} of {most})"),
                None => format!("comes back (delivery {delivery})"),
            },
            Verdict::Retry { after_seconds: Some(seconds) } => {
                format!("comes back in {seconds} s (delivery {delivery})")
            }
            Verdict::DeadLetter { reason } => format!("dead letter: {reason}"),
            Verdict::Release => "given back".to_owned(),
        }
    }
}
