//! `[auth]`: the access keys that clients of the AWS listener sign their requests with.
//!
//! A secret is never part of a message, whoever wrote it and however wrong it is.

use std::collections::HashMap;

use wasmill_sqs::{AccessKey, NotAnAccessKey};

use super::reader::Section;
use super::source::Place;

/// Below this a secret can be guessed from one signed request that somebody saw.
const SECRET_STRONG_BYTES: usize = 16;

/// Reads `[auth]`; without it there are no keys, and nothing is asked of clients.
pub(super) fn read_auth(root: &mut Section<'_, '_>) -> Vec<AccessKey> {
    let source = root.source();
    let guards_a_listener = root.has("local_queue") || root.has("control");
    let Some(mut section) = root.table("auth") else { return Vec::new() };
    let place = section.place().clone();
    let mistakes_before = source.mistakes_so_far();
    let entries = section.array_of_tables("credentials");
    let write_one = "write credentials = [ { access_key_id = \"…\", secret_access_key = \"${QUEUE_SECRET}\" } ]";
    if entries.is_empty() && source.mistakes_so_far() == mistakes_before {
        let what = "holds no access key, so no request could ever be let in";
        source.mistake(&section.place_of("credentials"), what, format!("{write_one}, or remove [auth]"));
    }
    if !guards_a_listener {
        let what = "guards the listener of [local_queue] or [control], and there is neither";
        source.mistake(&place, what, "add one of the two, or remove [auth]");
    }
    let mut keys = Vec::new();
    let mut first_with: HashMap<String, Place> = HashMap::new();
    for mut entry in entries {
        let id = entry.required_string("access_key_id", "write the public half of the key");
        let secret = entry.required_secret("secret_access_key", "write the secret half, best as \"${QUEUE_SECRET}\"");
        let (Some(id), Some(secret)) = (id, secret) else {
            entry.finish();
            continue;
        };
        match AccessKey::new(&id.value, &secret.value) {
            Ok(key) => {
                if let Some(first) = first_with.get(key.id()) {
                    let place = source.elsewhere(first.at, id.place.at);
                    let what = format!("there is a key {:?} already, {place}", key.id());
                    source.mistake(&id.place, what, "give each key an id of its own, or remove one of the two");
                }
                if secret.value.len() < SECRET_STRONG_BYTES {
                    let what = format!("the secret has fewer than {SECRET_STRONG_BYTES} characters and can be guessed");
                    source.warning(&secret.place, what, "take a longer one, such as `openssl rand -hex 20` prints");
                }
                first_with.entry(key.id().to_owned()).or_insert(id.place);
                keys.push(key);
            }
            Err(error) => {
                let (place, mend) = match error {
                    NotAnAccessKey::Id => (&id.place, "write an id such as AKIAWASMILLORDERS"),
                    NotAnAccessKey::Secret => (&secret.place, "take one such as `openssl rand -hex 20` prints"),
                };
                source.mistake(place, error.to_string(), mend);
            }
        }
        entry.finish();
    }
    section.finish();
    keys
}
