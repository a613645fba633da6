//! Receipt handles of the built-in queue: which delivery of which message, checkable without a lookup.
//!
//! A handle is self-contained, so that one issued before a crash works after it. It is hex text of 21 bytes and a
//! check over them and the store's own id: text of another store, or a slip of the hand, is told from a stale handle.

use md5::{Digest, Md5};

use crate::message::ReceiptHandle;

const VERSION: u8 = 1;
const PAYLOAD_BYTES: usize = 17;
const CHECK_BYTES: usize = 6;
const HANDLE_BYTES: usize = 2 * (PAYLOAD_BYTES + CHECK_BYTES);
const HEX: &[u8; 16] = b"0123456789abcdef";

/// What a handle says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Receipt {
    /// The queue it was received from.
    pub(crate) queue: u32,
    /// The message.
    pub(crate) seq: u64,
    /// Which delivery of the message: the first is 1.
    pub(crate) issue: u32,
}

/// Makes and reads handles for one store.
#[derive(Debug, Clone)]
pub(crate) struct Receipts {
    store_id: [u8; 16],
}

impl Receipts {
    pub(crate) fn new(store_id: [u8; 16]) -> Self {
        Self { store_id }
    }

    pub(crate) fn encode(&self, receipt: Receipt) -> ReceiptHandle {
        let mut bytes = [0u8; PAYLOAD_BYTES + CHECK_BYTES];
        bytes[0] = VERSION;
        bytes[1..5].copy_from_slice(&receipt.queue.to_be_bytes());
        bytes[5..13].copy_from_slice(&receipt.seq.to_be_bytes());
        bytes[13..17].copy_from_slice(&receipt.issue.to_be_bytes());
        let check = self.check(&bytes[..PAYLOAD_BYTES]);
        bytes[PAYLOAD_BYTES..].copy_from_slice(&check);
        let mut text = [0u8; HANDLE_BYTES];
        for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
            pair[0] = HEX[usize::from(byte >> 4)];
            pair[1] = HEX[usize::from(byte & 15)];
        }
        ReceiptHandle::new(String::from_utf8_lossy(&text))
    }

    /// None for text that this store never issued.
    pub(crate) fn decode(&self, handle: &ReceiptHandle) -> Option<Receipt> {
        let text = handle.as_str().as_bytes();
        if text.len() != HANDLE_BYTES {
            return None;
        }
        let mut bytes = [0u8; PAYLOAD_BYTES + CHECK_BYTES];
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            *byte = (nibble(pair[0])? << 4) | nibble(pair[1])?;
        }
        let (payload, check) = bytes.split_at(PAYLOAD_BYTES);
        if payload[0] != VERSION || check != self.check(payload) {
            return None;
        }
        Some(Receipt {
            queue: u32::from_be_bytes(payload[1..5].try_into().ok()?),
            seq: u64::from_be_bytes(payload[5..13].try_into().ok()?),
            issue: u32::from_be_bytes(payload[13..17].try_into().ok()?),
        })
    }

    fn check(&self, payload: &[u8]) -> [u8; CHECK_BYTES] {
        let digest = Md5::new().chain_update(self.store_id).chain_update(payload).finalize();
        let mut check = [0u8; CHECK_BYTES];
        check.copy_from_slice(&digest[..CHECK_BYTES]);
        check
    }
}

fn nibble(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_comes_back_and_nothing_else_does() {
        let receipts = Receipts::new([7; 16]);
        let receipt = Receipt { queue: 3, seq: u64::MAX - 1, issue: 42 };
        let handle = receipts.encode(receipt);
        assert_eq!(receipts.decode(&handle), Some(receipt));

        assert_eq!(Receipts::new([8; 16]).decode(&handle), None, "another store's");
        for garbage in ["", "garbage", &handle.as_str()[2..], &handle.as_str().to_uppercase()] {
            assert_eq!(receipts.decode(&ReceiptHandle::new(garbage)), None, "{garbage}");
        }
        let mut changed = handle.as_str().to_owned().into_bytes();
        changed[20] = if changed[20] == b'0' { b'1' } else { b'0' };
        let changed = ReceiptHandle::new(String::from_utf8_lossy(&changed));
        assert_eq!(receipts.decode(&changed), None);
    }
}
