//! JavaScript numbers → integers: a NaN, a fraction, a negative or something too big is an error with the option's name,
//! never a rounded or saturated value.

use crate::error::{Error, Result};
use std::ops::RangeInclusive;

/// The largest integer that a JavaScript number holds exactly (`Number.MAX_SAFE_INTEGER`).
pub const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// An option's number as an integer in `range`; `INVALID_OPTION` with `name` (dotted, such as `lease.ttlMs`) and the value.
pub fn safe_integer(name: &str, value: f64, range: RangeInclusive<u64>) -> Result<u64> {
    integer(name, value, &range).map_err(|message| Error::option(name, message))
}

/// The same for a method's argument: `INVALID_ARGUMENT` with `name` and the value.
pub fn safe_argument(name: &str, value: f64, range: RangeInclusive<u64>) -> Result<u64> {
    integer(name, value, &range).map_err(|message| Error::argument(name, message))
}

fn integer(name: &str, value: f64, range: &RangeInclusive<u64>) -> std::result::Result<u64, String> {
    let must = format!("it must be a whole number from {} to {}", range.start(), range.end());
    if value.is_nan() {
        return Err(format!("{name} is not a number (NaN); {must}"));
    }
    if value.is_infinite() {
        let sign = if value < 0.0 { "-" } else { "" };
        return Err(format!("{name} is {sign}Infinity; {must}"));
    }
    if value.fract() != 0.0 {
        return Err(format!("{name} is {value}, which has a fraction; {must}"));
    }
    if value.abs() > MAX_SAFE_INTEGER as f64 {
        return Err(format!(
            "{name} is {value:e}, which JavaScript can't hold exactly; {must}"
        ));
    }
    // Lossless: a whole number within ±(2^53 - 1).
    match u64::try_from(value as i64) {
        Ok(whole) if range.contains(&whole) => Ok(whole),
        _ => Err(format!("{name} is {value}; {must}")),
    }
}
