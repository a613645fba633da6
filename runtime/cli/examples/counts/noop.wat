;; Answers `{}` to every event: world `lambda-handler` of `wit/handler.wit`, with nothing of a guest's own in it.
(component
  (import "wasmill:handler/types@0.1.0" (instance $types
    (type $context' (record
      (field "request-id" string) (field "function-name" string) (field "function-version" string)
      (field "function-arn" string) (field "deadline-ms" u64) (field "memory-limit-mb" u32)
      (field "trace-id" (option string))))
    (export "context" (type (eq $context')))))
  (alias export $types "context" (type $context))
  (core module $main
    (memory (export "memory") 1)
    (data (i32.const 64) "{}")
    ;; Memory for the arguments, from 1024 on. Each call begins anew there.
    (global $next (mut i32) (i32.const 1024))
    (func (export "realloc") (param $old i32) (param $old-len i32) (param $align i32) (param $len i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
      (global.set $next (i32.add (local.get $at) (local.get $len)))
      (local.get $at))
    (func (export "handle") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i64 i32 i32 i32 i32) (result i32)
      (global.set $next (i32.const 1024))
      (i32.store8 (i32.const 16) (i32.const 0))
      (i32.store (i32.const 20) (i32.const 64))
      (i32.store (i32.const 24) (i32.const 2))
      (i32.const 16)))
  (core instance $main (instantiate $main))
  (func $handle (param "event" string) (param "ctx" $context) (result (result string (error string)))
    (canon lift (core func $main "handle") (memory (core memory $main "memory")) (realloc (core func $main "realloc"))))
  (export "handle" (func $handle)))
