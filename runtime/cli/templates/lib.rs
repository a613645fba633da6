//! The function NAME: gets the messages of a queue in batches, and says which of them failed.

use serde::Deserialize;
use wasmill_handler::{BatchResponse, Context, Failure, SqsEvent, SqsMessage, batch};

wasmill_handler::lambda!(handle);

/// What fails comes back to the queue; the rest is deleted.
fn handle(event: SqsEvent, _context: Context) -> BatchResponse {
    batch::each(&event, handle_one)
}

fn handle_one(message: &SqsMessage) -> Result<(), Failure> {
    let Body { id } = message.json()?;
    println!("handling {id}");
    Ok(())
}

#[derive(Deserialize)]
struct Body {
    id: String,
}
