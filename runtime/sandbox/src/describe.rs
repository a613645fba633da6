//! Types of component functions in WIT's words: to recognise a way in, and to say what was found instead.

use std::fmt::Write as _;

use wasmtime::component::types::{ComponentFunc, Type};

/// Length at which a description is cut.
const LENGTH_MAX: usize = 2 << 10;

/// A function's type in WIT's words, without parameter names. Cut when it gets long: types can be nested so that
/// writing them out takes exponentially more than declaring them.
pub(crate) fn describe_function(function: &ComponentFunc) -> String {
    let mut out = String::from("func(");
    for (index, (_, ty)) in function.params().enumerate() {
        separate(&mut out, index);
        describe(&mut out, &ty);
    }
    out.push(')');
    for ty in function.results() {
        out.push_str(" -> ");
        describe(&mut out, &ty);
    }
    out
}

fn describe(out: &mut String, ty: &Type) {
    if out.len() > LENGTH_MAX {
        if !out.ends_with('…') {
            out.push('…');
        }
        return;
    }
    let simple = match ty {
        Type::Bool => "bool",
        Type::S8 => "s8",
        Type::U8 => "u8",
        Type::S16 => "s16",
        Type::U16 => "u16",
        Type::S32 => "s32",
        Type::U32 => "u32",
        Type::S64 => "s64",
        Type::U64 => "u64",
        Type::Float32 => "f32",
        Type::Float64 => "f64",
        Type::Char => "char",
        Type::String => "string",
        Type::List(list) => return describe_in(out, "list", &[Some(list.ty())]),
        Type::Option(option) => return describe_in(out, "option", &[Some(option.ty())]),
        Type::Result(result) => return describe_in(out, "result", &[result.ok(), result.err()]),
        Type::Tuple(tuple) => {
            let types: Vec<Option<Type>> = tuple.types().map(Some).collect();
            return describe_in(out, "tuple", &types);
        }
        Type::Record(record) => {
            out.push_str("record { ");
            for (index, field) in record.fields().enumerate() {
                separate(out, index);
                let _ = write!(out, "{}: ", field.name);
                describe(out, &field.ty);
            }
            out.push_str(" }");
            return;
        }
        Type::Variant(variant) => {
            out.push_str("variant { ");
            for (index, case) in variant.cases().enumerate() {
                separate(out, index);
                out.push_str(case.name);
                if let Some(ty) = case.ty {
                    out.push('(');
                    describe(out, &ty);
                    out.push(')');
                }
            }
            out.push_str(" }");
            return;
        }
        Type::Enum(_) => "enum",
        Type::Flags(_) => "flags",
        Type::Own(_) | Type::Borrow(_) => "resource",
        _ => "type of another kind",
    };
    out.push_str(simple);
}

fn describe_in(out: &mut String, name: &str, types: &[Option<Type>]) {
    out.push_str(name);
    out.push('<');
    for (index, ty) in types.iter().enumerate() {
        separate(out, index);
        match ty {
            Some(ty) => describe(out, ty),
            None => out.push('_'),
        }
    }
    out.push('>');
}

fn separate(out: &mut String, index: usize) {
    if index > 0 {
        out.push_str(", ");
    }
}
