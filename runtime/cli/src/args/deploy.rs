//! `wasmill deploy` and `wasmill rollback`, and the times and shares that they take.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;

use super::{DEFAULT_ENDPOINT_URL, parse_variable};

/// Whose functions are meant.
#[derive(Debug, Args)]
pub(crate) struct TargetArgs {
    /// Where a worker serves Lambda's API; credentials and region come from the standard AWS chain.
    #[arg(long, value_name = "URL", default_value = DEFAULT_ENDPOINT_URL)]
    pub(crate) endpoint_url: String,
    /// Print JSON for scripts.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `wasmill deploy`.
#[derive(Debug, Args)]
pub(crate) struct DeployArgs {
    /// The function's name.
    #[arg(value_name = "FUNCTION")]
    pub(crate) function: String,
    /// The code: a source file or a folder as `wasmill build` takes them, a module, or a zip archive as Lambda takes it.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Which function of which file, for Python, JavaScript and archives; of a source by default as `wasmill build` finds it.
    #[arg(long, value_name = "FILE.FUNCTION")]
    pub(crate) handler: Option<String>,
    /// What an archive is written in, in Lambda's words: python3.14, nodejs24.x, provided.al2023.
    #[arg(long, value_name = "RUNTIME")]
    pub(crate) runtime: Option<String>,
    /// How long the handler may take, in seconds; of a new function 3.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=900))]
    pub(crate) timeout: Option<u32>,
    /// How much memory the handler may have, in MiB; of a new function 128.
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(128..=4096))]
    pub(crate) memory: Option<u32>,
    /// A variable for the handler; may be given more than once, and then these are all it has.
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_variable)]
    pub(crate) env: Vec<(String, String)>,
    /// The alias that leads to what is live; made when it is not there. Default: live, where the function has it or needs it.
    #[arg(long, value_name = "NAME")]
    pub(crate) alias: Option<String>,
    /// Give this share of the batches, in percent, to the new version first, and judge it by what comes of them.
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(1..=99), conflicts_with = "shadow")]
    pub(crate) canary: Option<u32>,
    /// With --canary: how long it is watched before all batches go to it, such as 90s, 5m, 1h.
    #[arg(long, value_name = "TIME", default_value = "5m", requires = "canary")]
    pub(crate) promote_after: Span,
    /// With --canary: by how much more of its records may fail than of the old version's, in points of a percentage.
    #[arg(long, value_name = "PERCENT", default_value = "2%", requires = "canary")]
    pub(crate) max_error_delta: Percentage,
    /// Let the new version run copies of batches, with every host denied, and show where it judges otherwise. The exit code is 1
    /// if it does, or if no batch came.
    #[arg(long)]
    pub(crate) shadow: bool,
    /// With --shadow: how long.
    #[arg(long, value_name = "TIME", default_value = "1m", requires = "shadow")]
    pub(crate) watch: Span,
    /// With --canary and --shadow: the worker's admin listener, which has the numbers.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9325")]
    pub(crate) admin_url: String,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

/// `wasmill rollback`.
#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    /// The function's name.
    #[arg(value_name = "FUNCTION")]
    pub(crate) function: String,
    /// The version to go back to; by default the one before what is live.
    #[arg(long, value_name = "VERSION", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) to: Option<u64>,
    /// The alias to move. Default: live, where the function has it.
    #[arg(long, value_name = "NAME")]
    pub(crate) alias: Option<String>,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

/// A time as people write it: `90s`, `5m`, `1h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

/// Nobody watches for longer.
const SPAN_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

impl FromStr for Span {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        const FORM: &str = "expected a number and s, m or h, such as 90s, 5m or 1h";
        let split = text.find(|c: char| !c.is_ascii_digit()).ok_or(FORM)?;
        let number: u64 = text[..split].parse().map_err(|_| FORM)?;
        let unit = match &text[split..] {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            _ => return Err(FORM),
        };
        let span =
            number.checked_mul(unit).map(Duration::from_secs).filter(|span| !span.is_zero() && *span <= SPAN_MAX);
        span.map(Self).ok_or("expected between 1s and 168h")
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            seconds if seconds % 3600 == 0 => write!(f, "{}h", seconds / 3600),
            seconds if seconds % 60 == 0 => write!(f, "{}m", seconds / 60),
            seconds => write!(f, "{seconds}s"),
        }
    }
}

/// `2%`, or `2`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Percentage(pub(crate) f32);

impl FromStr for Percentage {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let number = text.strip_suffix('%').unwrap_or(text).parse().ok();
        number.filter(|number| (0.0..=100.0).contains(number)).map(Self).ok_or("expected a percentage, such as 2%")
    }
}

impl fmt::Display for Percentage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_shares_are_read_as_people_write_them() {
        for (text, seconds, shown) in
            [("90s", 90, "90s"), ("5m", 300, "5m"), ("120m", 7200, "2h"), ("168h", 604_800, "168h")]
        {
            let span: Result<Span, _> = text.parse();
            assert_eq!(span, Ok(Span(Duration::from_secs(seconds))));
            assert_eq!(span.map(|span| span.to_string()), Ok(shown.to_owned()));
        }
        for text in ["", "5", "m", "0s", "169h", "1d", "-5m", "99999999999999999999h", "5 m"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
        for (text, share) in [("2%", 2.0), ("0", 0.0), ("0.5%", 0.5), ("100%", 100.0)] {
            assert_eq!(text.parse(), Ok(Percentage(share)), "{text}");
        }
        for text in ["", "%", "-1%", "101", "x", "NaN"] {
            assert!(text.parse::<Percentage>().is_err(), "{text}");
        }
    }
}
