//! The shape of a module: how many functions, how long, with how many locals. What compiling it costs is known from that
//! beforehand, and is bounded here; the code is not looked at.
//!
//! For most code the compiler's time and memory grow with its length. At worst they grow with the square of a
//! function's length, and with its length times its locals: 400 KB of `if`s take ten seconds, 25 KB with 2500 locals in a loop as long.
//! A function of which nobody knows an end would have to be compiled to find out, and nothing can stop that.

/// Functions of a module, or of all modules of a component. While the compiler works it holds some 50 KiB for each.
pub(crate) const FUNCTIONS_MAX: u64 = 50_000;

/// Types of a core module. The engine keeps up to 64 KiB for each.
pub(crate) const TYPES_MAX: u64 = 5_000;

/// Code of all functions, in bytes. Usual code is compiled at about a MB per second and core.
pub(crate) const CODE_BYTES_MAX: u64 = 64 << 20;

/// The most work that one function may be, and all together. A unit is a byte times a byte: at worst a second is
/// 14 billion of them on a slow core. Three and ten times what CPython is, compiled for wasmill's own runtime.
const FUNCTION_WORK_MAX: u64 = 500_000_000_000;
const WORK_MAX: u64 = 5_000_000_000_000;

/// How many bytes of its function a local counts as.
const LOCAL_BYTES: u64 = 3_500;

/// Components in components.
const DEPTH_MAX: u32 = 32;

/// What was counted so far.
#[derive(Debug, Default)]
struct Shape {
    functions: u64,
    code_bytes: u64,
    work: u64,
}

/// Checks a core module or a component. The error is a clause that fits after "it". What cannot be read is passed: the validator has the words for it.
pub(crate) fn check(bytes: &[u8]) -> Result<(), String> {
    let mut shape = Shape::default();
    match shape.walk(bytes, 0) {
        Err(Stop::TooMuch(reason)) => Err(reason),
        Ok(()) | Err(Stop::Unreadable) => Ok(()),
    }
}

/// Why a walk ends early.
enum Stop {
    Unreadable,
    TooMuch(String),
}

impl Shape {
    /// Walks the sections of a module or component, header included.
    fn walk(&mut self, bytes: &[u8], depth: u32) -> Result<(), Stop> {
        if depth > DEPTH_MAX {
            return Err(Stop::TooMuch(format!("has components in components, more than {DEPTH_MAX} deep")));
        }
        // Bytes 6 and 7 are the layer: 0 for core modules, 1 for components.
        let is_component = *bytes.get(6).ok_or(Stop::Unreadable)? == 1;
        let mut rest = Reader(bytes.get(8..).ok_or(Stop::Unreadable)?);
        while !rest.0.is_empty() {
            let id = rest.byte()?;
            let length = rest.number()?;
            let section = rest.take(length)?;
            match (is_component, id) {
                // A core module, a component.
                (true, 1 | 4) => self.walk(section, depth + 1)?,
                (false, 1) => at_most("types", Reader(section).number()?, TYPES_MAX)?,
                (false, 10) => self.code(Reader(section))?,
                _ => {}
            }
        }
        Ok(())
    }

    /// A core module's code section: the functions' bodies, each with its length in front.
    fn code(&mut self, mut section: Reader<'_>) -> Result<(), Stop> {
        let count = section.number()?;
        self.functions = self.functions.saturating_add(count);
        at_most("functions", self.functions, FUNCTIONS_MAX)?;
        self.code_bytes = self.code_bytes.saturating_add(section.0.len() as u64);
        at_most("bytes of code", self.code_bytes, CODE_BYTES_MAX)?;
        for _ in 0..count {
            let length = section.number()?;
            let locals = Reader(section.take(length)?).locals()?;
            let work = length.saturating_mul(length.saturating_add(locals.saturating_mul(LOCAL_BYTES)));
            if work > FUNCTION_WORK_MAX {
                return Err(Stop::TooMuch(format!(
                    "has a function of {length} bytes and {locals} locals, which may take minutes to compile; build it \
                     with optimisations, or split the function"
                )));
            }
            self.work = self.work.saturating_add(work);
        }
        if self.work > WORK_MAX {
            return Err(Stop::TooMuch(
                "has so many long functions that it may take many minutes to compile; build it with optimisations"
                    .to_owned(),
            ));
        }
        Ok(())
    }
}

fn at_most(what: &str, count: u64, most: u64) -> Result<(), Stop> {
    if count > most {
        return Err(Stop::TooMuch(format!("has {count} {what}, and may have {most}")));
    }
    Ok(())
}

/// What is left to be read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Result<u8, Stop> {
        let (first, rest) = self.0.split_first().ok_or(Stop::Unreadable)?;
        self.0 = rest;
        Ok(*first)
    }

    /// An unsigned LEB128 of at most 32 bits.
    fn number(&mut self) -> Result<u64, Stop> {
        let mut value = 0;
        for place in 0..5 {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << (place * 7);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Stop::Unreadable)
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], Stop> {
        let length = usize::try_from(length).map_err(|_| Stop::Unreadable)?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Stop::Unreadable)?;
        self.0 = rest;
        Ok(taken)
    }

    /// The number of locals that a function's body begins with: groups of a count and a type. Types take a byte, or, for
    /// references to a type of the module, some more: then the rest of the groups is not counted, and is the validator's.
    fn locals(&mut self) -> Result<u64, Stop> {
        let groups = self.number()?;
        let mut locals: u64 = 0;
        for _ in 0..groups {
            locals = locals.saturating_add(self.number()?);
            if matches!(self.byte()?, 0x63 | 0x64) {
                self.number()?;
            }
        }
        Ok(locals)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn module(text: &str) -> Vec<u8> {
        wat::parse_str(text).unwrap()
    }

    #[test]
    fn functions_are_counted_over_all_modules_of_a_component() {
        let half = format!("(core module {})", "(func)".repeat(30_000));
        assert_eq!(check(&module(&format!("(component {half})"))), Ok(()));
        let reason = check(&module(&format!("(component {half} (component {half}))"))).unwrap_err();
        assert_eq!(reason, "has 60000 functions, and may have 50000");
    }

    #[test]
    fn a_function_that_would_take_minutes_is_refused_by_its_length_and_its_locals() {
        let long = module(&format!("(module (func {}))", "nop ".repeat(700_000)));
        assert_eq!(check(&long).map_err(|reason| reason.contains("700002 bytes and 0 locals")), Ok(()));
        let longer = module(&format!("(module (func {}))", "nop ".repeat(710_000)));
        assert!(check(&longer).unwrap_err().contains("has a function of 710002 bytes and 0 locals"));
        let locals = |count| format!("(module (func (local {}) {}))", "i32 ".repeat(count), "nop ".repeat(30_000));
        assert_eq!(check(&module(&locals(4_000))), Ok(()));
        assert!(check(&module(&locals(5_000))).unwrap_err().contains("and 5000 locals"));
        let many = "(func (local f32 i64) ".to_owned() + &"nop ".repeat(400_000) + ")";
        let all = format!("(module {})", many.repeat(31));
        assert!(check(&module(&all)).unwrap_err().contains("so many long functions"));
    }

    #[test]
    fn types_and_depth_have_a_limit() {
        let types: String = (0..5_001).map(|_| "(type (func))").collect();
        assert_eq!(check(&module(&format!("(module {types})"))), Err("has 5001 types, and may have 5000".to_owned()));
        let nested = format!("{}{}", "(component ".repeat(40), ")".repeat(40));
        assert!(check(&module(&nested)).unwrap_err().contains("more than 32 deep"));
    }

    #[test]
    fn what_cannot_be_read_is_left_to_the_validator() {
        for bytes in [&b"\0asm"[..], b"\0asm\x01\0\0\0\x0a\x05", b"\0asm\x01\0\0\0\x0a\xff\xff\xff\xff\xff"] {
            assert_eq!(check(bytes), Ok(()));
        }
    }
}
