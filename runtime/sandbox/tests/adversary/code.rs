//! Code that is not what it should be: noise, halves of modules, and modules of absurd shapes.

use std::time::Duration;

use bytes::Bytes;
use wasmill_sandbox::Code;

use crate::stage::{Stage, Turn};
use crate::wat::json;

fn given(bytes: Vec<u8>) -> Code {
    Code::Bytes { name: "hostile.wasm".into(), bytes: Bytes::from(bytes) }
}

fn bytes_of(code: Code) -> Bytes {
    match code {
        Code::Bytes { bytes, .. } => bytes,
        Code::File(path) => panic!("{}", path.display()),
    }
}

/// Numbers that look like chance and are the same every time (xorshift).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn noise_and_damaged_modules_are_refused_in_one_line() {
    let turn = &Turn::take();
    let stage = Stage::new(turn);
    let good = bytes_of(json("good", "(call $ok (local.get $event) (local.get $event-len))"));
    let mut noise = Noise(0x5eed);
    let mut hostile = vec![noise.bytes(100_000)];
    for header in [b"\0asm\x01\0\0\0", b"\0asm\x0d\0\x01\0"] {
        let mut bytes = header.to_vec();
        bytes.extend(noise.bytes(10_000));
        hostile.push(bytes);
    }
    hostile.extend((8..good.len()).step_by(7).map(|end| good[..end].to_vec()));
    for _ in 0..300 {
        let mut bytes = good.to_vec();
        let at = noise.next() as usize % bytes.len();
        bytes[at] = noise.next() as u8;
        hostile.push(bytes);
    }
    let count = hostile.len();
    let sandbox = stage.sandbox.clone();
    let loading = tokio::task::spawn_blocking(move || {
        let mut refused = 0;
        for bytes in hostile {
            if let Err(error) = sandbox.load(Stage::spec(given(bytes))) {
                let message = error.to_string();
                assert!(message.starts_with("hostile.wasm") && !message.contains('\n'), "{message}");
                refused += 1;
            }
        }
        refused
    });
    let (refused, toll) = stage.during("noise", loading).await;
    // A changed byte may well lie in a name or a constant.
    assert!(refused.unwrap() * 2 > count, "{count} were given");
    toll.is_bearable();
}

/// LEB128.
fn number(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        bytes.push(if value == 0 { byte } else { byte | 0x80 });
        if value == 0 {
            return bytes;
        }
    }
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [vec![id], number(content.len() as u64), content.to_vec()].concat()
}

/// So many of the same.
fn many(count: u64, item: &[u8]) -> Vec<u8> {
    let mut bytes = number(count);
    for _ in 0..count {
        bytes.extend_from_slice(item);
    }
    bytes
}

/// A core module of these sections that exports its function 0 as `_start`.
fn core(sections: &[Vec<u8>]) -> Vec<u8> {
    [b"\0asm\x01\0\0\0".to_vec(), sections.concat()].concat()
}

const TYPE_NOTHING: &[u8] = &[0x60, 0, 0];

/// A module whose only function has this body, after its locals.
fn one_function(locals: &[u8], instructions: &[u8]) -> Vec<u8> {
    let body = [locals, instructions, &[0x0b]].concat();
    let body = [number(body.len() as u64), body].concat();
    core(&[
        section(1, &many(1, TYPE_NOTHING)),
        section(3, &many(1, &[0])),
        section(7, &[&[1, 6][..], b"_start", &[0, 0]].concat()),
        section(10, &many(1, &body)),
    ])
}

/// How long the load of anything that is not refused may take: three times what was measured on two slow cores.
const LOAD_MAX: Duration = Duration::from_secs(60);

/// By how much resident memory may grow while code is compiled that is not refused, in MiB. What is refused costs nothing of it.
const LOAD_RESIDENT_MIB: u64 = 1536;

/// Loads the code and expects the load, and the neighbour meanwhile, to be within the bounds.
async fn load_is_bearable(turn: &Turn, name: &str, bytes: Vec<u8>) -> Result<(), String> {
    let stage = Stage::new(turn);
    let (loaded, took, toll) = stage.load(name, given(bytes)).await;
    assert!(took <= LOAD_MAX, "{name} took {took:?}");
    assert!(toll.resident_mib() <= LOAD_RESIDENT_MIB, "{name}: {toll}");
    toll.is_felt_no_more_than_allowed();
    loaded.map(|_| ()).map_err(|error| error.to_string())
}

/// Loads the code and expects it to be refused by its shape, before anything is compiled.
async fn is_refused(turn: &Turn, name: &str, bytes: Vec<u8>, why: &str) {
    let stage = Stage::new(turn);
    let (loaded, took, toll) = stage.load(name, given(bytes)).await;
    let message = loaded.map(|_| ()).unwrap_err().to_string();
    assert!(message.starts_with("hostile.wasm: cannot be compiled: it has ") && message.contains(why), "{message}");
    assert!(took <= Duration::from_secs(5), "{name} took {took:?}");
    toll.is_bearable();
}

/// So many trivial functions.
fn functions(count: u64) -> Vec<u8> {
    core(&[
        section(1, &many(1, TYPE_NOTHING)),
        section(3, &many(count, &[0])),
        section(7, &[&[1, 6][..], b"_start", &[0, 0]].concat()),
        section(10, &many(count, &[2, 0, 0x0b])),
    ])
}

/// A loop with so many locals, each of which is read and set in it, with a way out between: the compiler has to know of each place
/// what each local may be.
fn locals_in_a_loop(count: u64) -> Vec<u8> {
    let locals = [vec![1], number(count), vec![0x7f]].concat();
    let mut body = vec![0x03, 0x40];
    for local in 0..count {
        body.push(0x20);
        body.extend(number(local));
        body.extend([0x0d, 0, 0x41, 7, 0x21]);
        body.extend(number(local));
    }
    body.push(0x0b);
    one_function(&locals, &body)
}

/// `if`s one after the other, of so many bytes in all.
fn ifs(bytes: usize) -> Vec<u8> {
    let one = [0x20, 0, 0x04, 0x40, 0x20, 0, 0x41, 1, 0x6a, 0x21, 0, 0x0b];
    one_function(&[1, 1, 0x7f], &one.repeat(bytes / one.len()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_that_would_take_minutes_or_gigabytes_to_compile_is_refused_by_its_shape() {
    let turn = &Turn::take();
    is_refused(turn, "1 000 000 functions", functions(1_000_000), "1000000 functions").await;
    is_refused(turn, "a function of 1 MB", ifs(1_000_000), "a function of 1000").await;
    is_refused(turn, "5 000 locals in a loop", locals_in_a_loop(5_000), "and 5000 locals").await;
    let types = core(&[section(1, &many(1_000_000, TYPE_NOTHING))]);
    is_refused(turn, "1 000 000 types", types, "1000000 types").await;
    let long = [number(500_003), vec![0], vec![1; 500_001], vec![0x0b]].concat();
    let sections = [section(1, &many(1, TYPE_NOTHING)), section(3, &many(150, &[0])), section(10, &many(150, &long))];
    is_refused(turn, "75 MB of code", core(&sections), "bytes of code").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn absurd_code_that_is_let_in_is_compiled_in_bounded_time_beside_the_neighbour() {
    let turn = &Turn::take();
    assert_eq!(load_is_bearable(turn, "10 000 functions", functions(10_000)).await, Ok(()));
    assert_eq!(load_is_bearable(turn, "a function of 300 KB", ifs(300_000)).await, Ok(()));
    assert_eq!(load_is_bearable(turn, "1 500 locals in a loop", locals_in_a_loop(1_500)).await, Ok(()));
    let locals = [vec![1], number(50_000), vec![0x7f]].concat();
    assert_eq!(load_is_bearable(turn, "50 000 locals", one_function(&locals, &[0x01])).await, Ok(()));
    // A jump table to as many blocks.
    let blocks = 20_000;
    let mut table = [0x02, 0x40].repeat(blocks);
    table.extend([0x41, 0, 0x0e]);
    table.extend(number(blocks as u64 - 1));
    (0..blocks as u64).for_each(|block| table.extend(number(block)));
    table.extend(vec![0x0b; blocks]);
    assert_eq!(load_is_bearable(turn, "a jump to 20 000 blocks", one_function(&[0], &table)).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn absurd_numbers_of_imports_and_data_segments_are_an_answer_at_once() {
    let turn = &Turn::take();
    let imports = core(&[section(1, &many(1, TYPE_NOTHING)), section(2, &many(500_000, b"\x03env\x01x\x00\x00"))]);
    assert!(load_is_bearable(turn, "500 000 imports", imports).await.is_err());
    let segments = |segment: &[u8], count| core(&[section(5, &many(1, &[0, 1])), section(11, &many(count, segment))]);
    let data = segments(&[0, 0x41, 0, 0x0b, 1, 0x61], 100_000);
    assert!(load_is_bearable(turn, "100 000 data segments", data).await.is_err());
    let beyond = segments(&[0, 0x41, 0xff, 0xff, 0xff, 0xff, 7, 0x0b, 1, 0x61], 1);
    assert!(load_is_bearable(turn, "data beyond the memory", beyond).await.is_err());
}
