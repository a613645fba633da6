//! The cells that only compute, on one core: the filter, and the events' JSON.

use std::hint::black_box;

use wasmill_event::lambda_event;
use wasmill_mapping::Filters;

use crate::cells::{Bench, Watch};
use crate::records::{PATTERNS, RECORDS, records};
use crate::{Cost, Outcome};

/// Puts so many records to the filters.
pub(crate) fn filter(messages: usize) -> Outcome<Cost> {
    let (filters, records) = (Filters::parse(&PATTERNS)?, records());
    let rounds = messages.div_ceil(RECORDS);
    let mut matched = 0;
    let watch = Watch::start();
    for _ in 0..rounds {
        matched += records.iter().filter(|record| filters.first_match(black_box(record)).is_some()).count();
    }
    let cost = watch.cost(rounds * RECORDS);
    if matched == rounds * RECORDS / 2 { Ok(cost) } else { Err(format!("{matched} records matched").into()) }
}

impl Bench {
    /// Writes the events of all messages' batches.
    pub(crate) fn encode(&self, batch: u32) -> Outcome<Cost> {
        let (records, windowed) = self.batch_of(batch)?;
        let batches = self.messages().div_ceil(records.len());
        let mut bytes = 0;
        let watch = Watch::start();
        for _ in 0..batches {
            bytes += lambda_event(black_box(records), windowed).len();
        }
        let cost = watch.cost(batches * records.len());
        if bytes > batches * records.len() * 512 {
            Ok(cost)
        } else {
            Err(format!("{bytes} bytes are no events").into())
        }
    }
}
