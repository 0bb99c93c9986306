//! The command line.

use mayfly_core::mutation::Mutation;

/// Shown on request, and after what can't be understood.
pub const HELP: &str =
    "mayfly-sim [--seeds N | --points N] [--from S] [--step K] [--jobs J] [--mutate NAME] [--no-minimise] [--verbose]
  --seeds N       how many seeds (1)
  --points N      as many seeds as it takes for so many crash points
  --from S        the first one (1)
  --step K        only the crash after this step; with one seed
  --jobs J        seeds at a time (one per core)
  --no-minimise   a failure as it came
  --mutate NAME   breaks the core on purpose: ungated-messages, ungated-broadcasts, early-events, early-promises,
                  manager-apart, early-acknowledgement
  --verbose       LDK's log on stderr; with one seed";

/// What was asked for.
pub struct Args {
    /// `u64::MAX`: as many as it takes.
    pub seeds: u64,
    /// Enough; `u64::MAX`: not limited.
    pub points: u64,
    pub from: u64,
    pub step: Option<usize>,
    pub jobs: usize,
    pub mutation: Option<Mutation>,
    pub minimises: bool,
    pub verbose: bool,
}

impl Args {
    /// From this process's command line; `None`: help was shown.
    pub fn read() -> Result<Option<Args>, String> {
        let jobs = std::thread::available_parallelism().map_or(1, usize::from);
        let mut args = Args {
            seeds: 1,
            points: u64::MAX,
            from: 1,
            step: None,
            jobs,
            mutation: None,
            minimises: true,
            verbose: false,
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--seeds" => args.seeds = number(&word, words.next())?,
                "--points" => (args.seeds, args.points) = (u64::MAX, number(&word, words.next())?),
                "--from" => args.from = number(&word, words.next())?,
                "--step" => args.step = Some(number(&word, words.next())? as usize),
                "--jobs" => args.jobs = number(&word, words.next())?.max(1) as usize,
                "--mutate" => args.mutation = Some(mutation(&words.next().unwrap_or_default())?),
                "--no-minimise" => args.minimises = false,
                "--verbose" => args.verbose = true,
                "--help" => {
                    crate::report::line(HELP);
                    return Ok(None);
                }
                other => return Err(format!("{other} is no option")),
            }
        }
        Ok(Some(args))
    }
}

fn mutation(name: &str) -> Result<Mutation, String> {
    Ok(match name {
        "ungated-messages" => Mutation::UngatedMessages,
        "unchecked-messages" => Mutation::UncheckedMessages,
        "ungated-broadcasts" => Mutation::UngatedBroadcasts,
        "early-events" => Mutation::EarlyEvents,
        "early-promises" => Mutation::EarlyPromises,
        "manager-apart" => Mutation::ManagerApart,
        "early-acknowledgement" => Mutation::EarlyAcknowledgement,
        other => return Err(format!("--mutate {other}: there is no such mutation")),
    })
}

fn number(option: &str, word: Option<String>) -> Result<u64, String> {
    let word = word.ok_or_else(|| format!("{option} takes a number"))?;
    word.parse().map_err(|_| format!("{option} takes a number, not {word}"))
}
