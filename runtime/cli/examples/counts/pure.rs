//! What a mapping does with each message by computing alone: the filter, and the event's JSON.

use std::hint::black_box;

use wasmill_event::lambda_event;
use wasmill_mapping::Filters;

use crate::records::{PATTERNS, RECORDS, records};
use crate::{Outcome, counted};

const ROUNDS: usize = 100;

/// Puts records to the filters.
pub(crate) fn filter() -> Outcome<()> {
    let filters = Filters::parse(&PATTERNS)?;
    let records = records();
    let mut matched = 0;
    counted(&mut || {
        for _ in 0..ROUNDS {
            matched += records.iter().filter(|record| filters.first_match(black_box(record)).is_some()).count();
        }
    });
    let expected = ROUNDS * RECORDS / 2;
    if matched == expected { Ok(()) } else { Err(format!("{matched} records matched, not {expected}").into()) }
}

/// Writes the event of a batch.
pub(crate) fn encode() -> Outcome<()> {
    let records = records();
    let mut bytes = 0;
    counted(&mut || {
        for _ in 0..ROUNDS {
            bytes += lambda_event(black_box(&records), false).len();
        }
    });
    if bytes > ROUNDS * RECORDS * 512 { Ok(()) } else { Err(format!("{bytes} bytes are no events").into()) }
}
