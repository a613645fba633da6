//! A guest that does to its folders what its event says, one line after the other, and answers what came of each.
//!
//! A line is a letter and an argument. `@N` takes the Nth folder; `c` creates a file and opens it, `o` opens one for reading and
//! writing, `r` for reading, `p` a folder, into which it goes; `w` writes as many bytes where it stands, `a` appends them
//! through a stream, `t` sets the length; `d` makes a folder, `x` removes one, `u` removes a file; `l OLD NEW` makes a symbolic link, `h` a hard link, `m` renames;
//! `q` closes the file; `g` gives the first 64 bytes of the file. The answer to each is 0, or one more than the number of the
//! error in `error-code`; to `g`, what was read.

use wasmill_sandbox::Code;

use crate::wat::json_importing;

/// The answer for `error-code.not-permitted`.
pub(crate) const NOT_PERMITTED: &str = "32";
/// The answer for `error-code.no-entry`.
pub(crate) const NO_ENTRY: &str = "21";
/// The answer for `error-code.insufficient-space`.
pub(crate) const NO_SPACE: &str = "24";
/// The answer for `error-code.quota`.
pub(crate) const QUOTA: &str = "7";

/// The interfaces, as components import them, lowered to core functions in instance `$wasi`.
const IMPORTS: &str = r#"
  (import "wasi:io/error@0.2.0" (instance $error (export "error" (type (sub resource)))))
  (alias export $error "error" (type $error-type))
  (import "wasi:io/streams@0.2.0" (instance $streams
    (alias outer 1 $error-type (type $error''))
    (export "error" (type $error' (eq $error'')))
    (export "output-stream" (type $out (sub resource)))
    (type $stream-error' (variant (case "last-operation-failed" (own $error')) (case "closed")))
    (export "stream-error" (type $stream-error (eq $stream-error')))
    (export "[method]output-stream.blocking-write-and-flush" (func
      (param "self" (borrow $out)) (param "contents" (list u8)) (result (result (error $stream-error)))))))
  (alias export $streams "output-stream" (type $out-type))
  (import "wasi:filesystem/types@0.2.0" (instance $types-of-files
    (alias outer 1 $error-type (type $error''))
    (export "error" (type $io-error (eq $error'')))
    (alias outer 1 $out-type (type $out''))
    (export "output-stream" (type $out (eq $out'')))
    (export "descriptor" (type $d (sub resource)))
    (type $code' (enum "access" "would-block" "already" "bad-descriptor" "busy" "deadlock" "quota" "exist"
      "file-too-large" "illegal-byte-sequence" "in-progress" "interrupted" "invalid" "io" "is-directory" "loop"
      "too-many-links" "message-size" "name-too-long" "no-device" "no-entry" "no-lock" "insufficient-memory"
      "insufficient-space" "not-directory" "not-empty" "not-recoverable" "unsupported" "no-tty" "no-such-device"
      "overflow" "not-permitted" "pipe" "read-only" "invalid-seek" "text-file-busy" "cross-device"))
    (export "error-code" (type $code (eq $code')))
    (type $path-flags' (flags "symlink-follow"))
    (export "path-flags" (type $path-flags (eq $path-flags')))
    (type $open-flags' (flags "create" "directory" "exclusive" "truncate"))
    (export "open-flags" (type $open-flags (eq $open-flags')))
    (type $flags' (flags "read" "write" "file-integrity-sync" "data-integrity-sync" "requested-write-sync"
      "mutate-directory"))
    (export "descriptor-flags" (type $flags (eq $flags')))
    (export "[method]descriptor.open-at" (func (param "self" (borrow $d)) (param "path-flags" $path-flags)
      (param "path" string) (param "open-flags" $open-flags) (param "flags" $flags) (result (result (own $d) (error $code)))))
    (export "[method]descriptor.write" (func (param "self" (borrow $d)) (param "buffer" (list u8))
      (param "offset" u64) (result (result u64 (error $code)))))
    (export "[method]descriptor.read" (func (param "self" (borrow $d)) (param "length" u64) (param "offset" u64)
      (result (result (tuple (list u8) bool) (error $code)))))
    (export "[method]descriptor.set-size" (func (param "self" (borrow $d)) (param "size" u64)
      (result (result (error $code)))))
    (export "[method]descriptor.append-via-stream" (func (param "self" (borrow $d))
      (result (result (own $out) (error $code)))))
    (export "[method]descriptor.create-directory-at" (func (param "self" (borrow $d)) (param "path" string)
      (result (result (error $code)))))
    (export "[method]descriptor.remove-directory-at" (func (param "self" (borrow $d)) (param "path" string)
      (result (result (error $code)))))
    (export "[method]descriptor.unlink-file-at" (func (param "self" (borrow $d)) (param "path" string)
      (result (result (error $code)))))
    (export "[method]descriptor.symlink-at" (func (param "self" (borrow $d)) (param "old-path" string)
      (param "new-path" string) (result (result (error $code)))))
    (export "[method]descriptor.link-at" (func (param "self" (borrow $d)) (param "old-path-flags" $path-flags)
      (param "old-path" string) (param "new-descriptor" (borrow $d)) (param "new-path" string)
      (result (result (error $code)))))
    (export "[method]descriptor.rename-at" (func (param "self" (borrow $d)) (param "old-path" string)
      (param "new-descriptor" (borrow $d)) (param "new-path" string) (result (result (error $code)))))
    (export "filesystem-error-code" (func (param "err" (borrow $io-error)) (result (option $code))))))
  (alias export $types-of-files "descriptor" (type $d-type))
  (import "wasi:filesystem/preopens@0.2.0" (instance $preopens
    (alias outer 1 $d-type (type $d''))
    (export "descriptor" (type $d (eq $d'')))
    (export "get-directories" (func (result (list (tuple (own $d) string)))))))
  (alias export $streams "[method]output-stream.blocking-write-and-flush" (func $f-push))
  (alias export $types-of-files "[method]descriptor.open-at" (func $f-open))
  (alias export $types-of-files "[method]descriptor.write" (func $f-write))
  (alias export $types-of-files "[method]descriptor.read" (func $f-read))
  (alias export $types-of-files "[method]descriptor.set-size" (func $f-set-size))
  (alias export $types-of-files "[method]descriptor.append-via-stream" (func $f-append))
  (alias export $types-of-files "[method]descriptor.create-directory-at" (func $f-mkdir))
  (alias export $types-of-files "[method]descriptor.remove-directory-at" (func $f-rmdir))
  (alias export $types-of-files "[method]descriptor.unlink-file-at" (func $f-unlink))
  (alias export $types-of-files "[method]descriptor.symlink-at" (func $f-symlink))
  (alias export $types-of-files "[method]descriptor.link-at" (func $f-link))
  (alias export $types-of-files "[method]descriptor.rename-at" (func $f-rename))
  (alias export $types-of-files "filesystem-error-code" (func $f-code))
  (alias export $preopens "get-directories" (func $f-folders))
  (core func $c-push (canon lower (func $f-push) (memory (core memory $libc "memory"))))
  (core func $c-open (canon lower (func $f-open) (memory (core memory $libc "memory"))))
  (core func $c-write (canon lower (func $f-write) (memory (core memory $libc "memory"))))
  (core func $c-read (canon lower (func $f-read)
    (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
  (core func $c-set-size (canon lower (func $f-set-size) (memory (core memory $libc "memory"))))
  (core func $c-append (canon lower (func $f-append) (memory (core memory $libc "memory"))))
  (core func $c-mkdir (canon lower (func $f-mkdir) (memory (core memory $libc "memory"))))
  (core func $c-rmdir (canon lower (func $f-rmdir) (memory (core memory $libc "memory"))))
  (core func $c-unlink (canon lower (func $f-unlink) (memory (core memory $libc "memory"))))
  (core func $c-symlink (canon lower (func $f-symlink) (memory (core memory $libc "memory"))))
  (core func $c-link (canon lower (func $f-link) (memory (core memory $libc "memory"))))
  (core func $c-rename (canon lower (func $f-rename) (memory (core memory $libc "memory"))))
  (core func $c-code (canon lower (func $f-code) (memory (core memory $libc "memory"))))
  (core func $c-folders (canon lower (func $f-folders)
    (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
  (core func $c-close (canon resource.drop $d-type))
  (core func $c-close-stream (canon resource.drop $out-type))
  (core func $c-close-error (canon resource.drop $error-type))
  (core instance $wasi
    (export "push" (func $c-push)) (export "open" (func $c-open)) (export "write" (func $c-write))
    (export "read" (func $c-read)) (export "set-size" (func $c-set-size)) (export "append" (func $c-append))
    (export "mkdir" (func $c-mkdir)) (export "rmdir" (func $c-rmdir)) (export "unlink" (func $c-unlink))
    (export "symlink" (func $c-symlink)) (export "link" (func $c-link)) (export "rename" (func $c-rename))
    (export "code" (func $c-code)) (export "folders" (func $c-folders)) (export "close" (func $c-close))
    (export "close-stream" (func $c-close-stream)) (export "close-error" (func $c-close-error)))
"#;

const CORE_IMPORTS: &str = r#"
    (import "wasi" "push" (func $push (param i32 i32 i32 i32)))
    (import "wasi" "open" (func $open (param i32 i32 i32 i32 i32 i32 i32)))
    (import "wasi" "write" (func $write (param i32 i32 i32 i64 i32)))
    (import "wasi" "read" (func $read (param i32 i64 i64 i32)))
    (import "wasi" "set-size" (func $set-size (param i32 i64 i32)))
    (import "wasi" "append" (func $append (param i32 i32)))
    (import "wasi" "mkdir" (func $mkdir (param i32 i32 i32 i32)))
    (import "wasi" "rmdir" (func $rmdir (param i32 i32 i32 i32)))
    (import "wasi" "unlink" (func $unlink (param i32 i32 i32 i32)))
    (import "wasi" "symlink" (func $symlink (param i32 i32 i32 i32 i32 i32)))
    (import "wasi" "link" (func $link (param i32 i32 i32 i32 i32 i32 i32 i32)))
    (import "wasi" "rename" (func $rename (param i32 i32 i32 i32 i32 i32 i32)))
    (import "wasi" "code" (func $code (param i32 i32)))
    (import "wasi" "folders" (func $folders (param i32)))
    (import "wasi" "close" (func $close (param i32)))
    (import "wasi" "close-stream" (func $close-stream (param i32)))
    (import "wasi" "close-error" (func $close-error (param i32)))
"#;

/// Results are given at address 128; zeroes to be written stand from 256 KiB on.
const FUNCTIONS: &str = r#"
    (global $folder (mut i32) (i32.const 0))
    (global $file (mut i32) (i32.const 0))
    (global $at (mut i64) (i64.const 0))
    (global $list (mut i32) (i32.const 0))
    (func $said (param $error-at i32) (result i32)
      (if (result i32) (i32.load8_u (i32.const 128))
        (then (i32.add (i32.const 1) (i32.load8_u (local.get $error-at))))
        (else (i32.const 0))))
    (func $number (param $at i32) (param $len i32) (result i64)
      (local $value i64)
      (block $end (loop $next
        (br_if $end (i32.eqz (local.get $len)))
        (local.set $value (i64.add (i64.mul (local.get $value) (i64.const 10))
          (i64.extend_i32_u (i32.sub (i32.load8_u (local.get $at)) (i32.const 48)))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (local.set $len (i32.sub (local.get $len) (i32.const 1)))
        (br $next)))
      (local.get $value))
    (func $open-it (param $at i32) (param $len i32) (param $open-flags i32) (param $flags i32) (result i32)
      (call $open (global.get $folder) (i32.const 1) (local.get $at) (local.get $len) (local.get $open-flags)
        (local.get $flags) (i32.const 128))
      (if (i32.eqz (i32.load8_u (i32.const 128)))
        (then
          (if (i32.eq (local.get $open-flags) (i32.const 2))
            (then (global.set $folder (i32.load (i32.const 132))))
            (else
              (global.set $file (i32.load (i32.const 132)))
              (global.set $at (i64.const 0))))))
      (call $said (i32.const 132)))
    (func $write-it (param $left i64) (result i32)
      (local $len i32)
      (loop $next
        (local.set $len (i32.wrap_i64 (select (local.get $left) (i64.const 65536)
          (i64.lt_u (local.get $left) (i64.const 65536)))))
        (call $write (global.get $file) (i32.const 262144) (local.get $len) (global.get $at) (i32.const 128))
        (if (i32.load8_u (i32.const 128)) (then (return (call $said (i32.const 136)))))
        (global.set $at (i64.add (global.get $at) (i64.load (i32.const 136))))
        (local.set $left (i64.sub (local.get $left) (i64.load (i32.const 136))))
        (br_if $next (i64.gt_u (local.get $left) (i64.const 0))))
      (i32.const 0))
    (func $append-it (param $left i64) (result i32)
      (local $len i32) (local $stream i32) (local $error i32)
      (call $append (global.get $file) (i32.const 128))
      (if (i32.load8_u (i32.const 128)) (then (return (call $said (i32.const 132)))))
      (local.set $stream (i32.load (i32.const 132)))
      (loop $next
        (local.set $len (i32.wrap_i64 (select (local.get $left) (i64.const 4096)
          (i64.lt_u (local.get $left) (i64.const 4096)))))
        (call $push (local.get $stream) (i32.const 262144) (local.get $len) (i32.const 128))
        (if (i32.load8_u (i32.const 128))
          (then
            (call $close-stream (local.get $stream))
            (if (i32.load8_u (i32.const 132)) (then (return (i32.const 99))))
            (local.set $error (i32.load (i32.const 136)))
            (call $code (local.get $error) (i32.const 128))
            (call $close-error (local.get $error))
            (return (select (i32.add (i32.const 1) (i32.load8_u (i32.const 129))) (i32.const 98)
              (i32.load8_u (i32.const 128))))))
        (local.set $left (i64.sub (local.get $left) (i64.extend_i32_u (local.get $len))))
        (br_if $next (i64.gt_u (local.get $left) (i64.const 0))))
      (call $close-stream (local.get $stream))
      (i32.const 0))
    (func $do (param $letter i32) (param $at i32) (param $len i32) (result i32)
      (local $gap i32) (local $second i32) (local $second-len i32)
      (block $found (loop $next
        (br_if $found (i32.ge_u (local.get $gap) (local.get $len)))
        (br_if $found (i32.eq (i32.load8_u (i32.add (local.get $at) (local.get $gap))) (i32.const 32)))
        (local.set $gap (i32.add (local.get $gap) (i32.const 1)))
        (br $next)))
      (if (i32.lt_u (local.get $gap) (local.get $len))
        (then
          (local.set $second (i32.add (local.get $at) (i32.add (local.get $gap) (i32.const 1))))
          (local.set $second-len (i32.sub (local.get $len) (i32.add (local.get $gap) (i32.const 1))))))
      (if (i32.eq (local.get $letter) (i32.const 0x40)) (then
        (global.set $folder (i32.load (i32.add (global.get $list)
          (i32.mul (i32.const 12) (i32.wrap_i64 (call $number (local.get $at) (local.get $len)))))))
        (return (i32.const 0))))
      (if (i32.eq (local.get $letter) (i32.const 0x63)) (then
        (return (call $open-it (local.get $at) (local.get $len) (i32.const 1) (i32.const 3)))))
      (if (i32.eq (local.get $letter) (i32.const 0x6f)) (then
        (return (call $open-it (local.get $at) (local.get $len) (i32.const 0) (i32.const 3)))))
      (if (i32.eq (local.get $letter) (i32.const 0x72)) (then
        (return (call $open-it (local.get $at) (local.get $len) (i32.const 0) (i32.const 1)))))
      (if (i32.eq (local.get $letter) (i32.const 0x70)) (then
        (return (call $open-it (local.get $at) (local.get $len) (i32.const 2) (i32.const 33)))))
      (if (i32.eq (local.get $letter) (i32.const 0x77)) (then
        (return (call $write-it (call $number (local.get $at) (local.get $len))))))
      (if (i32.eq (local.get $letter) (i32.const 0x61)) (then
        (return (call $append-it (call $number (local.get $at) (local.get $len))))))
      (if (i32.eq (local.get $letter) (i32.const 0x74)) (then
        (call $set-size (global.get $file) (call $number (local.get $at) (local.get $len)) (i32.const 128))
        (return (call $said (i32.const 129)))))
      (if (i32.eq (local.get $letter) (i32.const 0x64)) (then
        (call $mkdir (global.get $folder) (local.get $at) (local.get $len) (i32.const 128))
        (return (call $said (i32.const 129)))))
      (if (i32.eq (local.get $letter) (i32.const 0x78)) (then
        (call $rmdir (global.get $folder) (local.get $at) (local.get $len) (i32.const 128))
        (return (call $said (i32.const 129)))))
      (if (i32.eq (local.get $letter) (i32.const 0x75)) (then
        (call $unlink (global.get $folder) (local.get $at) (local.get $len) (i32.const 128))
        (return (call $said (i32.const 129)))))
      (if (i32.eq (local.get $letter) (i32.const 0x6c)) (then
        (call $symlink (global.get $folder) (local.get $at) (local.get $gap) (local.get $second)
          (local.get $second-len) (i32.const 128))
        (return (call $said (i32.const 129)))))
      (if (i32.eq (local.get $letter) (i32.const 0x68)) (then
        (call $link (global.get $folder) (i32.const 0) (local.get $at) (local.get $gap) (global.get $folder)
          (local.get $second) (local.get $second-len) (i32.const 128))
        (return (call $said (i32.const 129)))))
      (if (i32.eq (local.get $letter) (i32.const 0x6d)) (then
        (call $rename (global.get $folder) (local.get $at) (local.get $gap) (global.get $folder)
          (local.get $second) (local.get $second-len) (i32.const 128))
        (return (call $said (i32.const 129)))))
      (if (i32.eq (local.get $letter) (i32.const 0x71)) (then
        (call $close (global.get $file))
        (return (i32.const 0))))
      unreachable)
    (func $get
      (call $read (global.get $file) (i64.const 64) (i64.const 0) (i32.const 128))
      (if (i32.load8_u (i32.const 128))
        (then (call $put-number (i64.extend_i32_u (call $said (i32.const 132)))))
        (else (call $put (i32.load (i32.const 132)) (i32.load (i32.const 136))))))
"#;

const BODY: &str = r#"
      (local $end i32) (local $letter i32) (local $len i32)
      (global.set $collected (i32.const 0))
      (if (i32.lt_u (memory.size) (i32.const 8)) (then (drop (memory.grow (i32.const 7)))))
      (if (i32.eqz (global.get $list)) (then
        (call $folders (i32.const 128))
        (global.set $list (i32.load (i32.const 128)))))
      (local.set $end (i32.add (local.get $event) (local.get $event-len)))
      (block $over (loop $next
        (br_if $over (i32.ge_u (local.get $event) (local.get $end)))
        (local.set $letter (i32.load8_u (local.get $event)))
        (local.set $event (i32.add (local.get $event) (i32.const 1)))
        (local.set $len (i32.const 0))
        (block $line (loop $more
          (br_if $line (i32.ge_u (i32.add (local.get $event) (local.get $len)) (local.get $end)))
          (br_if $line (i32.eq (i32.load8_u (i32.add (local.get $event) (local.get $len))) (i32.const 10)))
          (local.set $len (i32.add (local.get $len) (i32.const 1)))
          (br $more)))
        (if (i32.eq (local.get $letter) (i32.const 0x67))
          (then (call $get))
          (else (call $put-number (i64.extend_i32_u
            (call $do (local.get $letter) (local.get $event) (local.get $len))))))
        (local.set $event (i32.add (local.get $event) (i32.add (local.get $len) (i32.const 1))))
        (br $next)))
      (call $ok (i32.const 8192) (global.get $collected))"#;

/// The guest.
pub(crate) fn disk(name: &str) -> Code {
    json_importing(name, IMPORTS, CORE_IMPORTS, FUNCTIONS, BODY)
}
