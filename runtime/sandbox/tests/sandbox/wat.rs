//! Guests written by hand in WebAssembly text, so that these tests need no guest toolchain.

use bytes::Bytes;
use wasmill_sandbox::Code;

/// Memory, a bump allocator and the ways to answer, for all component guests.
const LIBC: &str = r#"
  (core module $libc
    (memory (export "memory") 1)
    (global $next (mut i32) (i32.const 16384))
    (func (export "realloc") (param $old i32) (param $old_len i32) (param $align i32) (param $len i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
      (global.set $next (i32.add (local.get $at) (local.get $len)))
      (block $fits
        (loop $more
          (br_if $fits (i32.le_u (global.get $next) (i32.mul (memory.size) (i32.const 65536))))
          (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))
          (br $more)))
      (local.get $at)))
  (core instance $libc (instantiate $libc))
"#;

/// The context type, as `wit/handler.wit` has it.
const TYPES: &str = r#"
  (import "wasmill:handler/types@0.1.0" (instance $types
    (type $context' (record
      (field "request-id" string) (field "function-name" string) (field "function-version" string)
      (field "function-arn" string) (field "deadline-ms" u64) (field "memory-limit-mb" u32)
      (field "trace-id" (option string))))
    (export "context" (type (eq $context')))))
  (alias export $types "context" (type $context))
"#;

/// All types of `wit/handler.wit`.
const MESSAGE_TYPES: &str = r#"
  (import "wasmill:handler/types@0.1.0" (instance $types
    (type $context' (record
      (field "request-id" string) (field "function-name" string) (field "function-version" string)
      (field "function-arn" string) (field "deadline-ms" u64) (field "memory-limit-mb" u32)
      (field "trace-id" (option string))))
    (export "context" (type (eq $context')))
    (type $value' (variant (case "text" string) (case "binary" (list u8))))
    (export "attribute-value" (type $value (eq $value')))
    (type $attribute' (record (field "name" string) (field "data-type" string) (field "value" $value)))
    (export "message-attribute" (type $attribute (eq $attribute')))
    (type $message' (record
      (field "message-id" string) (field "receipt-handle" string) (field "body" string)
      (field "attributes" (list (tuple string string))) (field "message-attributes" (list $attribute))
      (field "md5-of-body" string) (field "event-source-arn" string) (field "aws-region" string)))
    (export "message" (type (eq $message')))
    (type $verdict' (variant (case "done") (case "retry" (option u32)) (case "dead-letter" string) (case "release")))
    (export "verdict" (type (eq $verdict')))))
  (alias export $types "context" (type $context))
  (alias export $types "message" (type $message))
  (alias export $types "verdict" (type $verdict))
"#;

/// Standard streams as components import them, lowered to core functions in instance `$wasi`.
const STREAMS: &str = r#"
  (import "wasi:io/error@0.2.0" (instance $error (export "error" (type (sub resource)))))
  (alias export $error "error" (type $error-type))
  (import "wasi:io/streams@0.2.0" (instance $streams
    (alias outer 1 $error-type (type $error''))
    (export "error" (type $error' (eq $error'')))
    (export "input-stream" (type $in (sub resource)))
    (export "output-stream" (type $out (sub resource)))
    (type $stream-error' (variant (case "last-operation-failed" (own $error')) (case "closed")))
    (export "stream-error" (type $stream-error (eq $stream-error')))
    (export "[method]input-stream.blocking-read" (func
      (param "self" (borrow $in)) (param "len" u64) (result (result (list u8) (error $stream-error)))))
    (export "[method]output-stream.blocking-write-and-flush" (func
      (param "self" (borrow $out)) (param "contents" (list u8)) (result (result (error $stream-error)))))))
  (alias export $streams "input-stream" (type $in-type))
  (alias export $streams "output-stream" (type $out-type))
  (import "wasi:cli/stdin@0.2.0" (instance $stdin
    (alias outer 1 $in-type (type $in')) (export "input-stream" (type $in (eq $in')))
    (export "get-stdin" (func (result (own $in))))))
  (import "wasi:cli/stdout@0.2.0" (instance $stdout
    (alias outer 1 $out-type (type $out')) (export "output-stream" (type $out (eq $out')))
    (export "get-stdout" (func (result (own $out))))))
  (import "wasi:cli/stderr@0.2.0" (instance $stderr
    (alias outer 1 $out-type (type $out')) (export "output-stream" (type $out (eq $out')))
    (export "get-stderr" (func (result (own $out))))))
  (alias export $streams "[method]input-stream.blocking-read" (func $read))
  (alias export $streams "[method]output-stream.blocking-write-and-flush" (func $write))
  (alias export $stdin "get-stdin" (func $get-stdin))
  (alias export $stdout "get-stdout" (func $get-stdout))
  (alias export $stderr "get-stderr" (func $get-stderr))
  (core func $read' (canon lower (func $read)
    (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
  (core func $write' (canon lower (func $write) (memory (core memory $libc "memory"))))
  (core func $get-stdin' (canon lower (func $get-stdin)))
  (core func $get-stdout' (canon lower (func $get-stdout)))
  (core func $get-stderr' (canon lower (func $get-stderr)))
  (core instance $wasi
    (export "read" (func $read')) (export "write" (func $write')) (export "get-stdin" (func $get-stdin'))
    (export "get-stdout" (func $get-stdout')) (export "get-stderr" (func $get-stderr')))
"#;

/// Core imports that go with [`STREAMS`].
const STREAM_IMPORTS: &str = r#"
    (import "wasi" "read" (func $read (param i32 i64 i32)))
    (import "wasi" "write" (func $write (param i32 i32 i32 i32)))
    (import "wasi" "get-stdin" (func $get-stdin (result i32)))
    (import "wasi" "get-stdout" (func $get-stdout (result i32)))
    (import "wasi" "get-stderr" (func $get-stderr (result i32)))
"#;

/// Functions a guest's `handle` may use. `$put…` collect text from address 8192 on; `$collected` is its length.
const ANSWERS: &str = r#"
    (global $collected (mut i32) (i32.const 0))
    (func $answer (param $tag i32) (param $at i32) (param $len i32) (result i32)
      (i32.store8 (i32.const 16) (local.get $tag))
      (i32.store (i32.const 20) (local.get $at))
      (i32.store (i32.const 24) (local.get $len))
      (i32.const 16))
    (func $ok (param $at i32) (param $len i32) (result i32)
      (call $answer (i32.const 0) (local.get $at) (local.get $len)))
    (func $err (param $at i32) (param $len i32) (result i32)
      (call $answer (i32.const 1) (local.get $at) (local.get $len)))
    (func $put-byte (param $byte i32)
      (i32.store8 (i32.add (i32.const 8192) (global.get $collected)) (local.get $byte))
      (global.set $collected (i32.add (global.get $collected) (i32.const 1))))
    (func $put (param $at i32) (param $len i32)
      (memory.copy (i32.add (i32.const 8192) (global.get $collected)) (local.get $at) (local.get $len))
      (global.set $collected (i32.add (global.get $collected) (local.get $len)))
      (call $put-byte (i32.const 124)))
    (func $put-digits (param $number i64)
      (if (i64.ge_u (local.get $number) (i64.const 10))
        (then (call $put-digits (i64.div_u (local.get $number) (i64.const 10)))))
      (call $put-byte (i32.add (i32.const 48) (i32.wrap_i64 (i64.rem_u (local.get $number) (i64.const 10))))))
    (func $put-number (param $number i64)
      (call $put-digits (local.get $number))
      (call $put-byte (i32.const 124)))
"#;

/// The parameters of `handle`, flattened as the component model does it.
const HANDLE: &str = r#"(func $handle (export "handle")
      (param $event i32) (param $event-len i32)
      (param $request-id i32) (param $request-id-len i32) (param $name i32) (param $name-len i32)
      (param $version i32) (param $version-len i32) (param $arn i32) (param $arn-len i32)
      (param $deadline-ms i64) (param $memory-mb i32)
      (param $traced i32) (param $trace-id i32) (param $trace-id-len i32) (result i32)"#;

/// The same without names.
const HANDLE_PARAMETERS: &str = "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i64 i32 i32 i32 i32)";

const LIFT_HANDLE: &str = r#"
  (func $handle (param "event" string) (param "ctx" $context) (result (result string (error string)))
    (canon lift (core func $main "handle") (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
  (export "handle" (func $handle))
"#;

fn code(name: &str, wat: &str) -> Code {
    let bytes = wat::parse_str(wat).unwrap_or_else(|error| panic!("fixture {name}: {error}"));
    Code::Bytes { name: format!("{name}.wasm"), bytes: Bytes::from(bytes) }
}

/// A component of world `lambda-handler` that imports nothing; `body` ends with `handle`'s result.
pub(crate) fn json(name: &str, body: &str) -> Code {
    json_with(name, "", body)
}

/// The same with more core functions before `handle`.
pub(crate) fn json_with(name: &str, functions: &str, body: &str) -> Code {
    let wat = format!(
        r#"(component {TYPES} {LIBC}
  (core module $main
    (import "libc" "memory" (memory 1))
    {ANSWERS} {functions}
    {HANDLE} {body}))
  (core instance $main (instantiate $main (with "libc" (instance $libc))))
  {LIFT_HANDLE})"#
    );
    code(name, &wat)
}

/// A component of world `lambda-handler` with imports of its own: `imports` are the component's and make of them the core
/// instance `$wasi`; `core` are the core module's imports of it; then come core functions, and the body of `handle`.
pub(crate) fn json_importing(name: &str, imports: &str, core: &str, functions: &str, body: &str) -> Code {
    let wat = format!(
        r#"(component {TYPES} {LIBC} {imports}
  (core module $main
    (import "libc" "memory" (memory 1))
    {core} {ANSWERS} {functions}
    {HANDLE} {body}))
  (core instance $main (instantiate $main (with "libc" (instance $libc)) (with "wasi" (instance $wasi))))
  {LIFT_HANDLE})"#
    );
    code(name, &wat)
}

/// A component of world `lambda-handler` with an import in front.
pub(crate) fn interpreter(name: &str, import: &str) -> Code {
    let wat = format!(
        r#"(component {TYPES} {import} {LIBC}
  (core module $main (import "libc" "memory" (memory 1)) {HANDLE} unreachable))
  (core instance $main (instantiate $main (with "libc" (instance $libc))))
  {LIFT_HANDLE})"#
    );
    code(name, &wat)
}

/// A component of world `lambda-handler` with the standard streams: `$print` takes a stream's handle, an address and a
/// length; `data` holds text from address 1024 on.
pub(crate) fn json_that_prints(name: &str, data: &str, body: &str) -> Code {
    let wat = format!(
        r#"(component {TYPES} {LIBC} {STREAMS}
  (core module $main
    (import "libc" "memory" (memory 1))
    {STREAM_IMPORTS} {ANSWERS}
    (data (i32.const 1024) "{data}")
    (func $print (param $to i32) (param $at i32) (param $len i32)
      (call $write (local.get $to) (local.get $at) (local.get $len) (i32.const 64)))
    {HANDLE} {body}))
  (core instance $main (instantiate $main (with "libc" (instance $libc)) (with "wasi" (instance $wasi))))
  {LIFT_HANDLE})"#
    );
    code(name, &wat)
}

/// A component that exports `wasi:cli/run`: copies stdin to stdout, says `done` on stderr, ends with `status` (0 is
/// `ok`, 1 is `err`).
pub(crate) fn command_component(name: &str, status: u32) -> Code {
    let wat = format!(
        r#"(component {LIBC} {STREAMS}
  (core module $main
    (import "libc" "memory" (memory 1))
    {STREAM_IMPORTS}
    (data (i32.const 1024) "done\n")
    (func (export "run") (result i32)
      (local $in i32) (local $out i32) (local $left i32) (local $at i32) (local $len i32)
      (local.set $in (call $get-stdin))
      (local.set $out (call $get-stdout))
      (block $end
        (loop $next
          (call $read (local.get $in) (i64.const 4096) (i32.const 64))
          (br_if $end (i32.load8_u (i32.const 64)))
          (call $write (local.get $out) (i32.load (i32.const 68)) (i32.load (i32.const 72)) (i32.const 80))
          (br $next)))
      (call $write (call $get-stderr) (i32.const 1024) (i32.const 5) (i32.const 80))
      (i32.const {status})))
  (core instance $main (instantiate $main (with "libc" (instance $libc)) (with "wasi" (instance $wasi))))
  (func $run (result (result)) (canon lift (core func $main "run")))
  (component $run-interface
    (import "run" (func $run (result (result))))
    (export "run" (func $run)))
  (instance $run-interface (instantiate $run-interface (with "run" (func $run))))
  (export "wasi:cli/run@0.2.6" (instance $run-interface)))"#
    );
    code(name, &wat)
}

/// A component whose `handle` has the given parameters and result (`async` before `(func` if asked for) and no body.
pub(crate) fn json_of_type(name: &str, asynchronous: bool, params: &str, core_params: &str) -> Code {
    let marker = if asynchronous { "async" } else { "" };
    let wat = format!(
        r#"(component {TYPES} {LIBC}
  (core module $main (func (export "handle") {core_params} (result i32) unreachable))
  (core instance $main (instantiate $main))
  (type $handle-type (func {marker} {params} (result (result string (error string)))))
  (func $handle (type $handle-type)
    (canon lift (core func $main "handle") (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
  (export "handle" (func $handle)))"#
    );
    code(name, &wat)
}

/// A component of world `lambda-handler-async` that answers the event it is given.
pub(crate) fn json_async_echo(name: &str) -> Code {
    let wat = format!(
        r#"(component {TYPES} {LIBC}
  (core func $return (canon task.return (result (result string (error string)))
    (memory (core memory $libc "memory"))))
  (core instance $task (export "return" (func $return)))
  (core module $main
    (import "libc" "memory" (memory 1))
    (import "task" "return" (func $return (param i32 i32 i32)))
    (func (export "handle") {HANDLE_PARAMETERS} (result i32)
      (call $return (i32.const 0) (local.get 0) (local.get 1))
      (i32.const 0))
    (func (export "callback") (param i32 i32 i32) (result i32) unreachable))
  (core instance $main (instantiate $main (with "libc" (instance $libc)) (with "task" (instance $task))))
  (type $handle-type (func async (param "event" string) (param "ctx" $context) (result (result string (error string)))))
  (func $handle (type $handle-type)
    (canon lift (core func $main "handle") async (callback (core func $main "callback"))
      (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
  (export "handle" (func $handle)))"#
    );
    code(name, &wat)
}

/// A component of world `message-handler`. The first byte of each body is its verdict: d(one), r(etry), 5 (retry after five
/// seconds), x (dead letter, the body is the reason), l (release), e (the batch fails, the body is the error).
pub(crate) fn typed(name: &str) -> Code {
    let wat = format!(
        r#"(component {MESSAGE_TYPES} {LIBC}
  (core module $main
    (import "libc" "memory" (memory 1))
    (import "libc" "realloc" (func $realloc (param i32 i32 i32 i32) (result i32)))
    (func (export "handle") {HANDLE_PARAMETERS} (result i32)
      (local $index i32) (local $message i32) (local $verdict i32) (local $verdicts i32) (local $first i32)
      (local.set $verdicts
        (call $realloc (i32.const 0) (i32.const 0) (i32.const 4) (i32.mul (local.get 1) (i32.const 12))))
      (i32.store8 (i32.const 16) (i32.const 0))
      (i32.store (i32.const 20) (local.get $verdicts))
      (i32.store (i32.const 24) (local.get 1))
      (block $end
        (loop $next
          (br_if $end (i32.ge_u (local.get $index) (local.get 1)))
          (local.set $message (i32.add (local.get 0) (i32.mul (local.get $index) (i32.const 64))))
          (local.set $verdict (i32.add (local.get $verdicts) (i32.mul (local.get $index) (i32.const 12))))
          (local.set $first (i32.load8_u (i32.load (i32.add (local.get $message) (i32.const 16)))))
          (i64.store (local.get $verdict) (i64.const 0))
          (if (i32.eq (local.get $first) (i32.const 0x72)) (then (i32.store8 (local.get $verdict) (i32.const 1))))
          (if (i32.eq (local.get $first) (i32.const 0x35)) (then
            (i32.store8 (local.get $verdict) (i32.const 1))
            (i32.store8 (i32.add (local.get $verdict) (i32.const 4)) (i32.const 1))
            (i32.store (i32.add (local.get $verdict) (i32.const 8)) (i32.const 5))))
          (if (i32.eq (local.get $first) (i32.const 0x78)) (then
            (i32.store8 (local.get $verdict) (i32.const 2))
            (i64.store align=4 (i32.add (local.get $verdict) (i32.const 4))
              (i64.load align=4 (i32.add (local.get $message) (i32.const 16))))))
          (if (i32.eq (local.get $first) (i32.const 0x6c)) (then (i32.store8 (local.get $verdict) (i32.const 3))))
          (if (i32.eq (local.get $first) (i32.const 0x65)) (then
            (i32.store8 (i32.const 16) (i32.const 1))
            (i64.store align=4 (i32.const 20) (i64.load align=4 (i32.add (local.get $message) (i32.const 16))))
            (return (i32.const 16))))
          (local.set $index (i32.add (local.get $index) (i32.const 1)))
          (br $next)))
      (i32.const 16)))
  (core instance $main (instantiate $main (with "libc" (instance $libc))))
  (func $handle (param "messages" (list $message)) (param "ctx" $context)
      (result (result (list $verdict) (error string)))
    (canon lift (core func $main "handle") (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
  (export "handle" (func $handle)))"#
    );
    code(name, &wat)
}

/// A component that is given as it stands.
pub(crate) fn component(name: &str, content: &str) -> Code {
    code(name, &format!("(component {content})"))
}

/// A core module that is given as it stands.
pub(crate) fn module(name: &str, content: &str) -> Code {
    code(name, &format!("(module {content})"))
}

/// A preview-1 command; `body` is that of `_start`. `$say` writes an address and a length to a file descriptor,
/// `$slurp` reads stdin to address 4096 and gives its length; `data` holds text from address 1024 on.
pub(crate) fn command_module(name: &str, data: &str, body: &str) -> Code {
    module(
        name,
        &format!(
            r#"
    (import "wasi_snapshot_preview1" "fd_read" (func $fd-read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $fd-write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ-sizes (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
    (memory (export "memory") 4)
    (data (i32.const 1024) "{data}")
    (func $say (param $to i32) (param $at i32) (param $len i32)
      (local $written i32)
      (loop $next
        (i32.store (i32.const 0) (local.get $at))
        (i32.store (i32.const 4) (local.get $len))
        (if (call $fd-write (local.get $to) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable))
        (local.set $written (i32.load (i32.const 8)))
        (local.set $at (i32.add (local.get $at) (local.get $written)))
        (local.set $len (i32.sub (local.get $len) (local.get $written)))
        (br_if $next (local.get $len))))
    (func $slurp (result i32)
      (local $len i32) (local $read i32)
      (loop $next
        (i32.store (i32.const 0) (i32.add (i32.const 4096) (local.get $len)))
        (i32.store (i32.const 4) (i32.const 100))
        (if (call $fd-read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable))
        (local.set $read (i32.load (i32.const 8)))
        (local.set $len (i32.add (local.get $len) (local.get $read)))
        (br_if $next (local.get $read)))
      (local.get $len))
    (func (export "_start") {body})"#
        ),
    )
}
