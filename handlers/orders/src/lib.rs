//! `orders`: the example handler. It takes the orders of one batch, charges each of them, and reports those that failed.
//!
//! An order is the body of a message: `{"id":"o-17","sku":"tea-green","quantity":2}`. As no money is to be had here, an
//! order also says how its payment goes: `"payment":"ok"` (the default), `"flaky"` (the payment service is away at the
//! first delivery), `"declined"` (each time) or `"hangs"` (the payment service never answers).
//!
//! Absent on purpose: remembering which orders were charged. Any queue may deliver a message twice, so a real handler
//! gives its payment service the order's id as the idempotency key.

use serde::Deserialize;
use serde_json::{Value, json};

wit_bindgen::generate!({ path: "../../wit", world: "lambda-handler" });

struct Orders;

export!(Orders);

impl Guest for Orders {
    /// Lambda's SQS event in, Lambda's partial-batch response out: only the messages it names come back to the queue.
    fn handle(event: String, _context: Context) -> Result<String, String> {
        let event: Event = serde_json::from_str(&event).map_err(|error| format!("not an SQS event: {error}"))?;
        let failures: Vec<Value> = event.records.iter().filter_map(handle_record).collect();
        Ok(json!({ "batchItemFailures": failures }).to_string())
    }
}

/// Handles one message and logs one line about it. Gives the entry for `batchItemFailures` if it failed.
fn handle_record(record: &Record) -> Option<Value> {
    let order = match read_order(&record.body) {
        Ok(order) => order,
        Err(reason) => {
            // Another delivery cannot mend it: ask for the dead-letter queue now. Lambda ignores the extra key.
            println!("message {}: {reason}", record.message_id);
            return Some(json!({ "itemIdentifier": record.message_id, "deadLetterReason": reason }));
        }
    };
    let Order { id, sku, quantity, .. } = &order;
    match charge(&order, &record.attributes.receive_count) {
        Ok(()) => {
            println!("order {id}: charged {quantity} x {sku}");
            None
        }
        Err(reason) => {
            println!("order {id}: not charged: {reason}");
            Some(json!({ "itemIdentifier": record.message_id }))
        }
    }
}

/// The order in a message's body, or what is wrong with it.
fn read_order(body: &str) -> Result<Order, String> {
    let order: Order = serde_json::from_str(body).map_err(|error| format!("malformed order: {error}"))?;
    if order.quantity == 0 {
        return Err(format!("malformed order: {} wants 0 x {}", order.id, order.sku));
    }
    Ok(order)
}

/// Plays the payment service. `receive_count` is "1" at a message's first delivery.
fn charge(order: &Order, receive_count: &str) -> Result<(), &'static str> {
    match order.payment {
        Payment::Flaky if receive_count == "1" => Err("the payment service is away"),
        Payment::Ok | Payment::Flaky => Ok(()),
        Payment::Declined => Err("the card was declined"),
        // Nothing in here ends this wait. The function's timeout does, and as on Lambda the whole batch fails with it.
        Payment::Hangs => loop {
            std::hint::spin_loop();
        },
    }
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
    Declined,
    Hangs,
}

/// The parts of Lambda's SQS event that are read here; the rest is skipped.
#[derive(Deserialize)]
struct Event {
    #[serde(rename = "Records")]
    records: Vec<Record>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    message_id: String,
    body: String,
    attributes: Attributes,
}

#[derive(Deserialize)]
struct Attributes {
    #[serde(rename = "ApproximateReceiveCount")]
    receive_count: String,
}
