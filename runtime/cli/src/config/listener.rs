//! `[local_queue]` or `[control]`, and `[admin]`: the two listeners, and where the built-in queue keeps its data.
//!
//! Both listeners stay on loopback unless told otherwise. The AWS listener changes things, so elsewhere it needs the
//! credentials of `[auth]`; the admin listener only reads and may leave loopback if told so in so many words.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use wasmill_queue::ChaosOptions;

use super::paths::{self, Expected};
use super::reader::Section;
use super::source::Located;

/// Where the AWS APIs are served unless told otherwise (ElasticMQ's port).
pub(crate) const DEFAULT_AWS_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9324);
/// Where metrics and health are served unless told otherwise.
pub(crate) const DEFAULT_ADMIN_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9325);

/// What an acknowledged send survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Power loss: the disk has confirmed it.
    #[default]
    Fsync,
    /// `kill -9` and a crash of wasmill, not of the machine.
    Os,
}

/// The built-in queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LocalQueue {
    /// Where the AWS APIs are served. Port 0 takes a free one.
    pub(crate) listen: SocketAddr,
    /// The folder of the data; `None` keeps everything in memory.
    pub(crate) data_dir: Option<PathBuf>,
    /// Meaningless without `data_dir`.
    pub(crate) durability: Durability,
    /// Whose pages may use the AWS APIs from a browser.
    pub(crate) allowed_origins: Vec<String>,
    /// A deleted queue's name is blocked for 60 s, as on SQS.
    pub(crate) blocks_deleted_names: bool,
    /// What a config cannot say.
    pub(crate) trial: Trial,
}

/// What makes the built-in queue a test's: flags of `dev` and `queue serve`, and no keys, as no worker in production is to have
/// them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trial {
    /// Time may be skipped.
    pub(crate) time_control: bool,
    /// The faults that it has.
    pub(crate) chaos: Option<ChaosOptions>,
}

/// The listener for the AWS APIs of a worker without a built-in queue: Lambda's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Control {
    /// Port 0 takes a free one.
    pub(crate) listen: SocketAddr,
    /// Whose pages may use it from a browser.
    pub(crate) allowed_origins: Vec<String>,
}

/// The listeners, and the built-in queue behind one of them.
pub(super) struct Listeners {
    pub(super) local_queue: Option<LocalQueue>,
    pub(super) control: Option<Control>,
    pub(super) admin: Admin,
}

/// The listener for people and monitors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Admin {
    /// Port 0 takes a free one.
    pub(crate) listen: SocketAddr,
}

/// Checks that the AWS listener stays on loopback when nothing is asked of its clients. The error is a clause that fits
/// after the address.
pub(crate) fn check_aws_listen(address: SocketAddr, has_credentials: bool) -> Result<(), &'static str> {
    if has_credentials || is_loopback(address) {
        return Ok(());
    }
    Err("is not a loopback address, and what lets others change things needs credentials")
}

/// True for `127.0.0.0/8` and `::1`, also when written as IPv4 within IPv6.
pub(crate) fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// Reads `[local_queue]` and `[control]` (`None` without the section) and `[admin]` (served with or without its section).
/// `folder` is the config file's.
pub(super) fn read_listeners(root: &mut Section<'_, '_>, folder: &Path) -> Listeners {
    let source = root.source();
    // What is wrong within [auth] is said there.
    let has_auth = root.has("auth");
    let (local_queue, local_listen) =
        root.table("local_queue").map(|section| read_local_queue(section, folder, has_auth)).unzip();
    let (control, control_listen) = root.table("control").map(|section| read_control(section, has_auth)).unzip();
    if let (Some(_), Some(listen)) = (&local_queue, &control_listen) {
        let what = "is for a worker without [local_queue], whose listener serves Lambda's API already";
        source.mistake(&listen.place, what, "remove [control], or [local_queue]");
    }
    let admin_listen = match root.table("admin") {
        Some(section) => read_admin(section),
        None => {
            root.absent("admin.listen", DEFAULT_ADMIN_LISTEN.to_string());
            Located::new(DEFAULT_ADMIN_LISTEN, root.place().clone())
        }
    };
    let admin = Admin { listen: admin_listen.value };
    for (section, listen) in [("local_queue", local_listen), ("control", control_listen)] {
        let Some(listen) = listen.filter(|listen| would_collide(listen.value, admin_listen.value)) else { continue };
        let place = if root.place() == &admin_listen.place { &listen.place } else { &admin_listen.place };
        let what = format!("[{section}] and [admin] would both listen on port {}", listen.value.port());
        source.mistake(place, what, "give the two listeners different ports");
    }
    Listeners { local_queue, control, admin }
}

fn read_local_queue(mut section: Section<'_, '_>, folder: &Path, has_auth: bool) -> (LocalQueue, Located<SocketAddr>) {
    let source = section.source();
    let listen = read_aws_listen(&mut section, has_auth);
    let has_data_dir = section.has("data_dir");
    let data_dir = paths::read(&mut section, "data_dir", folder, Expected::FolderOrNothing);
    let durability = section.choice("durability", &[("fsync", Durability::Fsync), ("os", Durability::Os)]);
    if has_data_dir {
        section.default_of("durability", "fsync");
    }
    if let Some(durability) = durability.as_ref().filter(|_| !has_data_dir) {
        let what = "says how data_dir is kept, and without data_dir the queue is in memory";
        source.mistake(&durability.place, what, "add data_dir = \"data\", or remove durability");
    }
    let allowed_origins = read_allowed_origins(&mut section);
    let blocks_deleted_names = section.table("strict").is_some_and(|mut strict| {
        let deleted_recently = strict.boolean("deleted_recently", false).value;
        strict.finish();
        deleted_recently
    });
    section.finish();
    let durability = durability.map(|choice| choice.value).unwrap_or_default();
    let trial = Trial::default();
    (LocalQueue { listen: listen.value, data_dir, durability, allowed_origins, blocks_deleted_names, trial }, listen)
}

fn read_control(mut section: Section<'_, '_>, has_auth: bool) -> (Control, Located<SocketAddr>) {
    let listen = read_aws_listen(&mut section, has_auth);
    let allowed_origins = read_allowed_origins(&mut section);
    section.finish();
    (Control { listen: listen.value, allowed_origins }, listen)
}

fn read_aws_listen(section: &mut Section<'_, '_>, has_auth: bool) -> Located<SocketAddr> {
    read_listen(section, DEFAULT_AWS_LISTEN, |address| {
        let mend = "listen on 127.0.0.1, or add [auth] with the credentials that clients sign with";
        check_aws_listen(address, has_auth).err().map(|what| (what, mend))
    })
}

fn read_allowed_origins(section: &mut Section<'_, '_>) -> Vec<String> {
    let source = section.source();
    let mut allowed_origins = Vec::new();
    for origin in section.strings("allowed_origins") {
        if let Err(error) = wasmill_sqs::check_origin(&origin.value) {
            let mend = "write what the browser's address bar shows up to the path, such as \"http://localhost:3000\"";
            source.mistake(&origin.place, error.to_string(), mend);
        }
        allowed_origins.push(origin.value);
    }
    allowed_origins
}

fn read_admin(mut section: Section<'_, '_>) -> Located<SocketAddr> {
    let allow_non_loopback = section.boolean("allow_non_loopback", false).value;
    let listen = read_listen(&mut section, DEFAULT_ADMIN_LISTEN, |address| {
        let what = "is not a loopback address, so anyone who reaches it can read metrics, health and every message";
        let mend = "listen on 127.0.0.1, or add allow_non_loopback = true to this section if that is meant";
        (!allow_non_loopback && !is_loopback(address)).then_some((what, mend))
    });
    section.finish();
    listen
}

/// Port 0 takes a free port each; an unspecified address (`0.0.0.0`, `::`) takes the port on every address.
fn would_collide(one: SocketAddr, other: SocketAddr) -> bool {
    let same_port = one.port() == other.port() && one.port() != 0;
    let (one, other) = (one.ip().to_canonical(), other.ip().to_canonical());
    same_port && (one == other || one.is_unspecified() || other.is_unspecified())
}

fn read_listen(
    section: &mut Section<'_, '_>,
    default: SocketAddr,
    refusal: impl Fn(SocketAddr) -> Option<(&'static str, &'static str)>,
) -> Located<SocketAddr> {
    let unwritten = Located::new(default, section.place_of("listen"));
    let text = section.string("listen");
    section.default_of("listen", default.to_string());
    let Some(text) = text else { return unwritten };
    let Ok(address) = text.value.parse::<SocketAddr>() else {
        let mend = format!("write IP:PORT, such as {default}; names such as localhost are not looked up");
        section.source().mistake(&text.place, format!("{} is not an address to listen on", text.shown()), mend);
        return unwritten;
    };
    if let Some((what, mend)) = refusal(address) {
        section.source().mistake(&text.place, format!("{} {what}", text.shown()), mend);
    }
    text.map(|_| address)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn listeners_collide_on_a_port_not_on_a_free_one() {
        let collide = |one: &str, other: &str| would_collide(one.parse().unwrap(), other.parse().unwrap());
        assert!(collide("127.0.0.1:9324", "127.0.0.1:9324"));
        assert!(collide("127.0.0.1:9324", "0.0.0.0:9324"));
        assert!(!collide("127.0.0.1:0", "127.0.0.1:0"));
        assert!(!collide("127.0.0.1:9324", "127.0.0.1:9325"));
        assert!(!collide("127.0.0.1:9324", "[::1]:9324"));
    }

    #[test]
    fn loopback_in_all_its_spellings() {
        for inside in ["127.0.0.1:0", "127.9.9.9:1", "[::1]:9324", "[::ffff:127.0.0.1]:9324"] {
            assert_eq!(check_aws_listen(inside.parse().unwrap(), false), Ok(()), "{inside}");
        }
        for outside in ["0.0.0.0:9324", "[::]:9324", "10.0.0.1:9324", "[::ffff:10.0.0.1]:1"] {
            let outside = outside.parse().unwrap();
            assert!(check_aws_listen(outside, false).unwrap_err().contains("needs credentials"), "{outside}");
            assert_eq!(check_aws_listen(outside, true), Ok(()), "{outside}");
        }
    }
}
