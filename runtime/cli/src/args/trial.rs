//! What makes the built-in queue a test's: its time may be skipped, and it has the faults that Amazon SQS is allowed to have.

use clap::Args;
use wasmill_queue::ChaosOptions;

use crate::config::Trial;
use crate::config::suggest::nearest;

const SEED: &str = "seed";
const SHARES: [&str; 3] = ["duplicate", "reorder", "lost_ack"];
/// Of one percent, in a share of a million.
const PERCENT: u32 = 10_000;

/// Flags of `dev` and `queue serve`.
#[derive(Debug, Args)]
pub(crate) struct TrialArgs {
    /// Let tests skip time: POST /api/time/advance at the admin listener, with {"seconds": 30}, answers when all that falls due in
    /// the next 30 seconds has happened: delays, visibility timeouts, windows, retries, retention. Handlers see the real time.
    #[arg(long)]
    pub(crate) time_control: bool,
    /// Give standard queues the faults that Amazon SQS may have, drawn from a seed: `seed=7,duplicate=1%,reorder=5%,lost_ack=1%`,
    /// each of them optional. A message is delivered twice, or after a later one, or again although its delete was answered. FIFO
    /// queues keep their promises.
    #[arg(long, value_name = "FAULTS", value_parser = parse_chaos)]
    pub(crate) chaos: Option<ChaosOptions>,
}

impl TrialArgs {
    pub(crate) fn trial(&self) -> Trial {
        Trial { time_control: self.time_control, chaos: self.chaos }
    }
}

fn parse_chaos(text: &str) -> Result<ChaosOptions, String> {
    let mut seed = None;
    let mut shares = [None; SHARES.len()];
    for part in text.split(',').map(str::trim) {
        let (key, value) = part.split_once('=').ok_or_else(|| {
            format!("{part:?} is no KEY=VALUE; write such as seed=7,duplicate=1%,reorder=5%,lost_ack=1%")
        })?;
        let twice = || format!("{key} stands there twice");
        if key == SEED {
            let number =
                value.parse().map_err(|_| format!("{key} is {value:?}, not a number from 0 to {}", u64::MAX))?;
            if seed.replace(number).is_some() {
                return Err(twice());
            }
        } else if let Some(index) = SHARES.iter().position(|known| *known == key) {
            if shares[index].replace(parse_share(key, value)?).is_some() {
                return Err(twice());
            }
        } else {
            let known = [&[SEED], &SHARES[..]].concat();
            let mend = match nearest(key, &known) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("there are {}", known.join(", ")),
            };
            return Err(format!("there is no fault {key:?}; {mend}"));
        }
    }
    let [duplicate, reorder, lost_ack] = shares.map(Option::unwrap_or_default);
    if duplicate + reorder + lost_ack == 0 {
        return Err(format!("it has no fault: give a share to one of {}, such as duplicate=1%", SHARES.join(", ")));
    }
    // One that was not given is shown at the start, to be given the next time.
    let seed = seed.unwrap_or_else(|| u64::from(uuid::Uuid::new_v4().as_fields().0));
    Ok(ChaosOptions { seed, duplicate, reorder, lost_ack })
}

/// A share of a million from a percentage with up to four decimals.
fn parse_share(key: &str, value: &str) -> Result<u32, String> {
    let wrong = || format!("{key} is {value:?}: write a percentage from 0% to 100%, such as 1% or 0.5%");
    let number = value.strip_suffix('%').ok_or_else(wrong)?;
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str, most: usize| (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole, 3) || !digits(decimals, 4) {
        return Err(wrong());
    }
    let whole: u32 = whole.parse().map_err(|_| wrong())?;
    let decimals: u32 = format!("{decimals:0<4}").parse().map_err(|_| wrong())?;
    let share = whole * PERCENT + decimals;
    if share > 100 * PERCENT { Err(wrong()) } else { Ok(share) }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn faults_are_percentages() {
        let all = parse_chaos("seed=7,duplicate=1%, reorder=100%,lost_ack=0.05%").unwrap();
        assert_eq!(all, ChaosOptions { seed: 7, duplicate: 10_000, reorder: 1_000_000, lost_ack: 500 });
        let one = parse_chaos("lost_ack=12.5%").unwrap();
        assert_eq!((one.duplicate, one.reorder, one.lost_ack), (0, 0, 125_000));
        assert_ne!(one.seed, parse_chaos("lost_ack=12.5%").unwrap().seed, "a seed of its own");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_mend() {
        for (text, said) in [
            ("duplicates=1%", "there is no fault \"duplicates\"; did you mean duplicate?"),
            ("colour=1%", "there are seed, duplicate, reorder, lost_ack"),
            ("duplicate=1%,duplicate=2%", "duplicate stands there twice"),
            ("seed=1,seed=1,reorder=1%", "seed stands there twice"),
            ("duplicate=1", "write a percentage from 0% to 100%"),
            ("duplicate=100.1%", "write a percentage"),
            ("duplicate=-1%", "write a percentage"),
            ("duplicate=.5%", "write a percentage"),
            ("duplicate=0.00001%", "write a percentage"),
            ("duplicate=%", "write a percentage"),
            ("seed=x,duplicate=1%", "seed is \"x\", not a number"),
            ("seed=7", "it has no fault"),
            ("seed=7,duplicate=0%", "it has no fault"),
            ("", "is no KEY=VALUE"),
            ("duplicate", "is no KEY=VALUE"),
            ("seed=7,", "is no KEY=VALUE"),
        ] {
            let error = parse_chaos(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
