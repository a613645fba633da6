//! Sequence numbers of FIFO messages: twenty digits, increasing with each message, never consecutive (sqs-semantics §6).

use crate::effect::Seq;

/// Where they begin: AWS's have twenty digits too, and start with 188.
const BASE: u128 = 18_800_000_000_000_000_000;
const STEP: u128 = 256;

/// The sequence number of a message.
pub(crate) fn sequence_number(seq: Seq) -> String {
    (BASE + u128::from(seq) * STEP).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_have_twenty_digits_and_sort_as_text_as_they_do_as_numbers() {
        let numbers: Vec<String> = [1, 2, 9, 10, 1 << 40, 1 << 52].map(sequence_number).into();
        assert!(numbers.iter().all(|number| number.len() == 20), "{numbers:?}");
        assert!(numbers.is_sorted());
        assert_eq!(numbers[0], "18800000000000000256");
    }
}
