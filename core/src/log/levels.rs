//! How much a listener wants to hear, for each target.

use super::targets::{covers, TARGETS};
use crate::config::{shown, stray};
use crate::error::{Error, Result};
use tracing::level_filters::LevelFilter;

/// From the most to the least.
const LEVELS: [&str; 5] = ["trace", "debug", "info", "warn", "error"];

/// The argument that errors name.
const ARGUMENT: &str = "minLevel";

/// The key of what no target covers.
const DEFAULT: &str = "default";

/// The least level that is heard of each target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Levels {
    default: LevelFilter,
    targets: Vec<(&'static str, LevelFilter)>,
}

impl Default for Levels {
    /// What an operator wants: a few lines per request.
    fn default() -> Self {
        Levels { default: LevelFilter::INFO, targets: Vec::new() }
    }
}

impl Levels {
    /// The same for every target. `INVALID_ARGUMENT` for what is no level.
    pub fn of_all(level: &str) -> Result<Self> {
        let default = parse(level).ok_or_else(|| wrong(ARGUMENT, level, &LEVELS.join(", ")))?;
        Ok(Levels { default, ..Levels::default() })
    }

    /// What errors call the level of `key`: a target, or `default`. `INVALID_ARGUMENT` for what is neither.
    pub fn name_of(key: &str) -> Result<String> {
        if key == DEFAULT || TARGETS.contains(&key) {
            return Ok(format!("{ARGUMENT}.{key}"));
        }
        let (targets, shown) = (TARGETS.join(", "), shown(key));
        let what = format!("{ARGUMENT} has the key {shown}, which is no target; there are {DEFAULT}, {targets}");
        Err(Error::argument(ARGUMENT, format!("{what}{}", stray(key))))
    }

    /// One more: the level, or `off`, of that target, or of `default`. `INVALID_ARGUMENT` for what is neither.
    pub fn set(&mut self, key: &str, level: &str) -> Result<()> {
        let name = Levels::name_of(key)?;
        let parsed = if level == "off" { Some(LevelFilter::OFF) } else { parse(level) };
        let parsed = parsed.ok_or_else(|| wrong(&name, level, &format!("{}, off", LEVELS.join(", "))))?;
        match TARGETS.iter().find(|target| **target == key) {
            Some(target) => self.targets.push((target, parsed)),
            None => self.default = parsed,
        }
        Ok(())
    }

    /// The least level that is heard of a target: that of the longest name that covers it.
    pub fn of(&self, target: &str) -> LevelFilter {
        let covering = self.targets.iter().filter(|(name, _)| covers(name, target));
        covering.max_by_key(|(name, _)| name.len()).map_or(self.default, |(_, level)| *level)
    }

    /// The most that is heard of any target.
    pub fn widest(&self) -> LevelFilter {
        self.targets.iter().map(|(_, level)| *level).fold(self.default, LevelFilter::max)
    }
}

fn parse(level: &str) -> Option<LevelFilter> {
    match level {
        "trace" => Some(LevelFilter::TRACE),
        "debug" => Some(LevelFilter::DEBUG),
        "info" => Some(LevelFilter::INFO),
        "warn" => Some(LevelFilter::WARN),
        "error" => Some(LevelFilter::ERROR),
        _ => None,
    }
}

fn wrong(name: &str, value: &str, known: &str) -> Error {
    Error::argument(name, format!("{name} is {}; it must be one of {known}{}", shown(value), stray(value)))
}
