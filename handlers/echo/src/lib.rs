//! `echo`: the typed example. It logs each message and gives it the verdict that its body asks for: `retry 2` (seconds,
//! at the first delivery), `dead-letter REASON`, `release 500` (while it is younger than so many milliseconds); anything
//! else is done.

use std::time::{Duration, SystemTime};

use wasmill_handler::{Context, Message, Verdict};

wasmill_handler::messages!(echo);

fn echo(messages: Vec<Message>, _context: Context) -> Vec<Verdict> {
    messages.iter().map(judge).collect()
}

fn judge(message: &Message) -> Verdict {
    println!("delivery {} of {}: {}", message.receive_count(), message.message_id, message.body);
    let (word, rest) = message.body.split_once(' ').unwrap_or((&message.body, ""));
    match (word, rest.parse()) {
        ("retry", Ok(seconds)) if message.receive_count() == 1 => Verdict::retry_after(Duration::from_secs(seconds)),
        ("release", Ok(millis)) if age(message) < Duration::from_millis(millis) => Verdict::Release,
        ("dead-letter", _) => Verdict::dead_letter(rest),
        _ => Verdict::Done,
    }
}

fn age(message: &Message) -> Duration {
    let sent_ms = message.attribute("SentTimestamp").and_then(|sent| sent.parse().ok()).unwrap_or(0);
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH + Duration::from_millis(sent_ms)).unwrap_or_default()
}
