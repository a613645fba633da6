//! `orders`: the example handler. It takes the orders of one batch, charges each of them, and reports those that failed.
//!
//! An order is the body of a message: `{"id":"o-17","sku":"tea-green","quantity":2}`. As no money is to be had here, an
//! order also says how its payment goes: `"payment":"ok"` (the default), `"flaky"` (the payment service is away at the
//! first delivery), `"busy"` (at the first delivery it asks for a second's patience), `"declined"` (each time) or
//! `"hangs"` (the payment service never answers).
//!
//! Absent on purpose: remembering which orders were charged. Any queue may deliver a message twice, so a real handler
//! gives its payment service the order's id as the idempotency key.

use std::time::Duration;

use serde::Deserialize;
use wasmill_handler::{BatchResponse, Context, Failure, SqsEvent, SqsMessage, batch};

wasmill_handler::lambda!(orders);

/// Lambda's SQS event in, Lambda's partial-batch response out: only the messages it names come back to the queue.
fn orders(event: SqsEvent, _context: Context) -> BatchResponse {
    batch::each(&event, handle_record)
}

/// Handles one message and logs one line about it.
fn handle_record(record: &SqsMessage) -> Result<(), Failure> {
    // Another delivery cannot mend a malformed order: ask for the dead-letter queue now. Lambda ignores that.
    let order = read_order(record).map_err(Failure::dead_letter)?;
    let Order { id, sku, quantity, .. } = &order;
    match charge(&order, record.receive_count()) {
        Ok(()) => println!("order {id}: charged {quantity} x {sku}"),
        Err(NotCharged { reason, failure }) => {
            println!("order {id}: not charged: {reason}");
            return Err(failure);
        }
    }
    Ok(())
}

/// The order in a message's body, or what is wrong with it.
fn read_order(record: &SqsMessage) -> Result<Order, String> {
    let order: Order = record.json().map_err(|error| format!("malformed order: {error}"))?;
    if order.quantity == 0 {
        return Err(format!("malformed order: {} wants 0 x {}", order.id, order.sku));
    }
    Ok(order)
}

/// Plays the payment service. `receive_count` is 1 at a message's first delivery.
fn charge(order: &Order, receive_count: u32) -> Result<(), NotCharged> {
    let not_charged = |reason, failure| Err(NotCharged { reason, failure });
    match order.payment {
        Payment::Flaky if receive_count == 1 => not_charged("the payment service is away", Failure::retry()),
        Payment::Busy if receive_count == 1 => {
            not_charged("the payment service is busy", Failure::retry_after(Duration::from_secs(1)))
        }
        Payment::Ok | Payment::Flaky | Payment::Busy => Ok(()),
        Payment::Declined => not_charged("the card was declined", Failure::retry()),
        // Nothing in here ends this wait. The function's timeout does, and as on Lambda the whole batch fails with it.
        Payment::Hangs => loop {
            std::hint::spin_loop();
        },
    }
}

/// Why an order was not charged, and when to try again.
struct NotCharged {
    reason: &'static str,
    failure: Failure,
}

#[derive(Deserialize)]
struct Order {
    id: String,
    sku: String,
    quantity: u32,
    #[serde(default)]
    payment: Payment,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "lowercase")]
enum Payment {
    #[default]
    Ok,
    Flaky,
    Busy,
    Declined,
    Hangs,
}
