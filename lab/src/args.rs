//! The command line.

use crate::lab::LabConfig;
use crate::lsp::options::LspOptions;
use std::path::PathBuf;
use std::str::FromStr;

/// What `--help` prints.
pub const HELP: &str = "\
mayfly-lab: a whole Lightning network on one machine (chain, Esplora, LSP, payer), for tests, demos and benchmarks.

  mayfly-lab sql <database> <statement>
                            runs a statement on a wallet's database, and prints its rows as JSON

Prints one line of JSON when it is ready, and ends when its standard input closes, or on SIGTERM or SIGINT.

  --dir <folder>            keep chain, channels and node ids there across restarts (default: a temporary folder)
  --log <level>             error, warn, info, debug or trace, to stderr (default: warn)
  --payer-channels <n>      how many channels the payer has, for payments in several parts (default: 1)
  --strict-cltv             payments without CLTV padding: exactly what the invoice asks for

The LSP (each also at runtime: POST /lsp/options):
  --hold-ms <ms>            how long it holds an intercepted payment (default: 45000)
  --skim-ppm <n>            what it keeps of each forward, in millionths (default: 0)
  --open-sat <sat>          the smallest channel that it opens (default: 100000)
  --tick-ms <ms>            how often it pings; a frozen peer is dropped after one to two of these (default: 10000)
  --mdk-timer               forward by peer_connected, channel_ready and a timer of 1 s only, as released LSPs do
  --rewake                  webhook again when a client disconnects with payments held or pending
  --progress-deadline <ms>  disconnect and wake a connected client that moves nothing for so long (default: never)
  --help                    this text
";

/// What was asked for.
#[derive(Debug, Clone)]
pub enum Command {
    /// `--help`.
    Help,
    /// `sql`: the database and the statement.
    Sql(PathBuf, String),
    /// Everything else.
    Run(Run),
}

/// A lab to run.
#[derive(Debug, Clone)]
pub struct Run {
    /// The lab.
    pub lab: LabConfig,
    /// What is logged.
    pub log: tracing::Level,
}

/// Reads the arguments after the program's name. The error says which one is wrong and what it should be.
pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Command, String> {
    let mut args = args.into_iter().peekable();
    if args.next_if(|arg| arg == "sql").is_some() {
        return match (args.next(), args.next(), args.next()) {
            (Some(database), Some(statement), None) => Ok(Command::Sql(database.into(), statement)),
            _ => Err("sql takes a database and one statement; see --help".to_owned()),
        };
    }
    let mut run = Run { lab: LabConfig::default(), log: tracing::Level::WARN };
    let options: &mut LspOptions = &mut run.lab.options;
    while let Some(arg) = args.next() {
        // Both `--name value` and `--name=value`.
        let (name, mut inline) = match arg.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (arg, None),
        };
        let mut value = || inline.take().or_else(|| args.next()).ok_or(format!("{name} needs a value; see --help"));
        match name.as_str() {
            "--help" | "-h" => return Ok(Command::Help),
            "--dir" => run.lab.dir = Some(PathBuf::from(value()?)),
            "--log" => run.log = read(&name, &value()?, "error, warn, info, debug or trace")?,
            "--payer-channels" => run.lab.payer_channels = read(&name, &value()?, "a whole number")?,
            "--hold-ms" => options.hold_ms = number(&name, &value()?)?,
            "--skim-ppm" => options.skim_ppm = number(&name, &value()?)?,
            "--open-sat" => options.open_sat = number(&name, &value()?)?,
            "--tick-ms" => options.tick_ms = number(&name, &value()?)?,
            "--progress-deadline" => options.progress_deadline_ms = Some(number(&name, &value()?)?),
            "--strict-cltv" => run.lab.strict_cltv = true,
            "--mdk-timer" => options.mdk_timer = true,
            "--rewake" => options.rewake = true,
            _ => return Err(format!("{name:?} is no option; see --help")),
        }
        if inline.is_some() {
            return Err(format!("{name} takes no value"));
        }
    }
    options.check()?;
    Ok(Command::Run(run))
}

fn number(name: &str, text: &str) -> Result<u64, String> {
    read(name, text, "a whole number")
}

fn read<T: FromStr>(name: &str, text: &str, what: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{name} is {text:?}, and should be {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Result<Run, String> {
        match parse(args.iter().map(|arg| (*arg).to_owned()))? {
            Command::Run(run) => Ok(run),
            Command::Help | Command::Sql(..) => Err("no lab to run".into()),
        }
    }

    #[test]
    fn without_arguments_the_lsp_behaves_as_released_ones_but_for_the_timer() {
        let run = parsed(&[]).unwrap();
        assert_eq!(run.lab.options, LspOptions::default());
        assert!(run.lab.dir.is_none() && !run.lab.strict_cltv);
    }

    #[test]
    fn values_are_taken_after_a_space_or_an_equals_sign() {
        let run = parsed(&["--hold-ms", "10", "--skim-ppm=7", "--rewake", "--progress-deadline=500"]).unwrap();
        assert_eq!((run.lab.options.hold_ms, run.lab.options.skim_ppm), (10, 7));
        assert_eq!((run.lab.options.rewake, run.lab.options.progress_deadline_ms), (true, Some(500)));
    }

    #[test]
    fn sql_takes_a_database_and_a_statement() {
        let of = |args: &[&str]| parse(args.iter().map(|arg| (*arg).to_owned()));
        let Ok(Command::Sql(database, statement)) = of(&["sql", "a b.sqlite", "SELECT 1"]) else {
            panic!("it is taken")
        };
        assert_eq!((database, statement.as_str()), (PathBuf::from("a b.sqlite"), "SELECT 1"));
        assert!(of(&["sql", "a.sqlite"]).is_err());
        assert!(of(&["sql", "a.sqlite", "SELECT", "1"]).is_err());
    }

    #[test]
    fn errors_name_the_option_and_what_it_should_be() {
        for (args, error) in [
            (&["--hold"][..], "\"--hold\" is no option; see --help"),
            (&["--hold-ms"], "--hold-ms needs a value; see --help"),
            (&["--hold-ms", "-1"], "--hold-ms is \"-1\", and should be a whole number"),
            (&["--rewake=yes"], "--rewake takes no value"),
            (&["--tick-ms=0"], "tickMs is 0: at least 1"),
        ] {
            assert_eq!(parsed(args).unwrap_err(), error);
        }
    }
}
